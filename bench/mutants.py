"""How many small mistakes the tests find: ``python bench/mutants.py``.

Cosmic Ray changes one place of a module (a comparison, a number, a condition), and the tests of
that module run against it. A mutant is killed if one of them fails or does not end. Of each of ten
modules, which were chosen before they were first measured, a sample is taken that is the same in
each run; a survivor is printed, since it may show an assertion that is missing. With ``--write``
the table goes to ``docs/internals/testing.md``. No file is changed: the
process of the tests imports the mutant instead of the module.
"""

import argparse
import ast
import contextlib
import difflib
import importlib
import os
import random
import resource
import signal
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.metadata import packages_distributions
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "internals" / "testing.md"

MODULES = {
    "netwatch.config.console_section": ("config/test_console_section.py",),
    "netwatch.core.tabular": ("core/test_tabular.py",),
    "netwatch.coverage.counts": ("coverage/test_counts.py", "formats/test_coverage.py"),
    "netwatch.fleet.envelope": ("fleet/test_envelope.py", "fleet/test_fact_batch.py"),
    "netwatch.formats.table": ("formats/test_table.py",),
    "netwatch.inventory.devices": (
        "inventory/test_devices.py",
        "inventory/test_possible_classes.py",
    ),
    "netwatch.lists.reader": ("lists/test_reader.py", "lists/test_formats.py"),
    "netwatch.logs.recognise": (
        "logs/test_recognise.py",
        "logs/test_log_stream.py",
        "logs/test_proxies.py",
    ),
    "netwatch.rules.grade": ("rules/test_grade.py", "incidents/test_confidence.py"),
    "netwatch.watch.health": ("watch/test_health.py", "watch/test_metrics.py"),
}
"""The modules, each with the tests that are about it. They are pure Python, of ten packages, and
their tests take a second or two."""

SAMPLE = 30
"""How many mutants of a module are tried."""

SEED = 20260101
"""Which of them."""

MOST_CPU, LONGEST = 20, 1200
"""The seconds of CPU time, and of a clock, after which tests that do not end have found the mutant.
On a busy machine tests may wait long before they get the CPU time that they need."""

LEFT_OUT = ("core/ReplaceBinaryOperator_BitOr_",)
"""Operators by the start of their name: nearly every `|` is in the annotation of a type, where a
mutant cannot even be imported."""

THIRD_PARTY = {*packages_distributions()} - {"netwatch"}

MARKS = ("<!-- mutants: start -->", "<!-- mutants: end -->")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A changed source: the operator of Cosmic Ray, and the lines that differ."""

    operator: str
    source: str
    difference: str


def path_of(module: str) -> Path:
    """The file of a module."""
    return ROOT.joinpath(*module.split(".")).with_suffix(".py")


def places(source: str) -> dict[tuple[int, int], list[tuple[str, int]]]:
    """What can be changed in a source: at each place, the operators and their occurrences."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    found: dict[tuple[int, int], list[tuple[str, int]]] = defaultdict(list)
    nodes = [*ast_nodes(get_ast(source))]
    for name in sorted(operator_names()):
        operator = get_operator(name)
        if name.startswith(LEFT_OUT) or operator.arguments():
            continue
        occurrence = 0
        for node in nodes:
            for start, _ in operator().mutation_positions(node):
                found[start].append((name, occurrence))
                occurrence += 1
    return found


def mutants(module: str) -> list[Mutant]:
    """The sample of a module: of places chosen at random, a change chosen at random."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    source = path_of(module).read_text(encoding="utf-8")
    chance = random.Random(f"{SEED} {module}")
    open_places = sorted(places(source).items())
    chance.shuffle(open_places)
    found: list[Mutant] = []
    for _, changes in open_places:
        name, occurrence = chance.choice(changes)
        changed = mutate_code(source, get_operator(name)(), occurrence)
        if changed is None or not is_other(source, changed):
            continue
        lines = difflib.unified_diff(source.splitlines(), changed.splitlines(), lineterm="", n=0)
        found.append(Mutant(name, changed, "\n".join([*lines][2:])))
        if len(found) == SAMPLE:
            break
    return found


def is_other(source: str, changed: str) -> bool:
    """Whether a change is one that Python can read, and not of the layout alone."""
    try:
        return ast.dump(ast.parse(source)) != ast.dump(ast.parse(changed))
    except SyntaxError:
        return False


class _Finder(MetaPathFinder):
    """Finds the mutant instead of the module."""

    def __init__(self, module: str, source: str) -> None:
        self.module, self.source = module, source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self.module:
            return None
        file = str(path_of(fullname))
        return spec_from_file_location(fullname, file, loader=_Loader(fullname, file, self.source))


class _Loader(SourceFileLoader):
    """Has the path of the module and the source of the mutant."""

    def __init__(self, fullname: str, path: str, source: str) -> None:
        super().__init__(fullname, path)
        self.source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self.source, self.path, "exec")


def passes(module: str, source: str, imported: Path | None = None) -> bool:
    """Whether the tests of a module pass with this source in its place. They run in a fork of this
    process, which has already imported what is not of the project; with `imported`, the names of
    all modules that were needed are written there."""
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU, MOST_CPU))
        signal.alarm(LONGEST)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(nothing, number)
        sys.meta_path.insert(0, _Finder(module, source))
        options = ["-q", "-x", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist"]
        tests = [str(ROOT / "tests" / name) for name in MODULES[module]]
        status = pytest.main([*options, f"--rootdir={ROOT}", *tests])
        if imported is not None:
            imported.write_text("\n".join(sys.modules), encoding="utf-8")
        os._exit(int(status))
    return os.waitpid(pid, 0)[1] == 0


def import_what_is_needed(names: Iterable[str]) -> None:
    """Import the modules of other packages, once for all mutants."""
    for name in names:
        spec = getattr(sys.modules.get(name), "__spec__", None)
        top = name.partition(".")[0]
        if spec is None and top in THIRD_PARTY:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def measured(module: str) -> tuple[int, int]:
    """How many mutants of a module were tried, and how many killed; survivors are printed."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as names:
        if not passes(module, path_of(module).read_text(encoding="utf-8"), Path(names.name)):
            sys.exit(f"The tests of {module} fail without a mutant.")
        import_what_is_needed(names.read().split())
    sample, killed = mutants(module), 0
    for mutant in sample:
        if passes(module, mutant.source):
            print(f"\n{module}: {mutant.operator} survives\n{mutant.difference}", flush=True)
        else:
            killed += 1
    print(f"\n{module}: {killed} of {len(sample)} killed", flush=True)
    return len(sample), killed


def table(rows: dict[str, tuple[int, int]]) -> str:
    """The rows of all modules as a table of Markdown, with their sum."""
    lines = ["| module | mutants | killed |", "| --- | ---: | ---: |"]
    lines += [f"| `{name}` | {tried} | {killed} |" for name, (tried, killed) in rows.items()]
    tried, killed = (sum(column) for column in zip(*rows.values(), strict=True))
    return "\n".join([*lines, f"| together | {tried} | {killed} |"])


def main() -> None:
    """Measure all modules, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="such as netwatch.core.tabular"
    )
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    arguments = parser.parse_args()
    rows = {name: measured(name) for name in arguments.modules or MODULES}
    print(f"\n{table(rows)}")
    if arguments.write:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        PAGE.write_text(f"{before}{MARKS[0]}\n{table(rows)}\n{MARKS[1]}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
