"""The environment that each target of make sets up has everything that its programs import.

In an environment that another target has filled before, nobody would notice what is missing. So
`make` is asked what it would do in a fresh clone, and the imports are found in the sources.
"""

import importlib.metadata
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from docs_generator.limits import places
from support.needed_imports import is_ours, sources, third_party
from support.paths import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

PROVIDED_BY = {
    "elftools": "pyelftools",
    "lint-imports": "import-linter",
    "mkdocs": "mkdocs-material",
}
"""The distributions of modules and programs that are not called after them, and may be missing
where the tests run."""

_MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
_RULES = re.findall(r"^([a-z][a-z-]*):(?!=| [A-Z]+ :=)", _MAKEFILE, re.MULTILINE)
TARGETS = [*dict.fromkeys(_RULES)]
"""All targets that are not files."""


@cache
def commands(target: str) -> list[str]:
    """What make would do for a target in a fresh clone."""
    options = ["--dry-run", "--no-print-directory", "VENV=fresh", "RECEIVERS=receivers"]
    command = ["make", *options, target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [each for each in done.stdout.splitlines() if "fresh/bin/" in each]


def installed(target: str) -> set[str]:
    """The distributions that the environment of a target has."""
    wanted = {"pip"}
    for command in commands(target):
        if "pip install" in command:
            if "--editable ." in command.replace("'", ""):
                wanted |= {*PROJECT["dependencies"]}
            # The argument of pip, or those of the program that prints the extras.
            extras = re.findall(r"'\.\[([\w,]+)\]'|' ([\w ]+)\)", command)
            for name in re.findall(r"\w+", " ".join(map("".join, extras))):
                wanted |= {*PROJECT["optional-dependencies"][name]}
            wanted |= {*re.findall(r"'([\w-]+)>=[\d.]+'", command)}
    return with_requirements(wanted)


def with_requirements(wanted: set[str]) -> set[str]:
    """Distributions and, if they are installed here, what they require without extras."""
    found: set[str] = set()
    waiting = [*wanted]
    while waiting:
        name = normalised(re.split(r"[^\w.-]", waiting.pop())[0])
        if name not in found:
            found.add(name)
            try:
                required = importlib.metadata.requires(name) or []
            except importlib.metadata.PackageNotFoundError:
                continue
            waiting += [each for each in required if "extra ==" not in each]
    return found


def normalised(name: str) -> str:
    """The name of a distribution as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def distributions() -> dict[str, set[str]]:
    """The distributions that have a module or a program, for those that are installed here."""
    found = {
        module: {*map(normalised, names)}
        for module, names in importlib.metadata.packages_distributions().items()
    }
    for script in importlib.metadata.entry_points(group="console_scripts"):
        if script.dist:
            found.setdefault(script.name, set()).add(normalised(script.dist.name))
    return found


def provides(name: str) -> set[str]:
    """The distributions that have a module or program."""
    return distributions().get(name) or {PROVIDED_BY.get(name, normalised(name))}


def programs(target: str) -> Iterator[str]:
    """The modules, scripts and installed programs that a target runs."""
    for command in commands(target):
        if "pip install" not in command:
            for words in re.findall(r"fresh/bin/([\w-]+)(?: (?:-m )?([\w./]+))?", command):
                yield words[1] if words[0] == "python" else words[0]


def files(program: str) -> tuple[Path, ...]:
    """The files of a program of the project."""
    if program.endswith(".py"):
        return (ROOT / program,)
    found = sources(f"{program}.__main__") or sources(program)
    if program == "docs_generator":  # it imports the modules whose limits it shows
        modules = {f"netwatch.{each.partition(':')[0].rpartition('.')[0]}" for each in places()}
        found += tuple(path for module in modules for path in sources(module))
    return found


@pytest.mark.parametrize("target", TARGETS)
def test_an_environment_has_what_its_programs_import(target: str) -> None:
    there = installed(target)
    missing = set()
    for program in programs(target):
        needed = third_party(files(program))
        if not program.endswith(".py") and not is_ours(program.partition(".")[0]):
            needed[program] = "Makefile"
        for name, file in needed.items():
            if not provides(name) & there:
                missing.add(f"{name} ({file})")
    assert missing == set(), f"the environment of 'make {target}' needs other extras"


def test_programs_and_environments_are_found() -> None:
    assert [*programs("docs")] == ["docs_generator", "dashboards", "mkdocs"]
    assert [*programs("wheels")] == ["packaging/wheels.py"]
    assert {"ruff", "mypy", "lint-imports", "netwatch"} == {*programs("lint")}
    assert "pytest" in {*programs("test-together")} & {*programs("test-alone")}
    assert {"sqlalchemy", "starlette", "pyyaml"} <= installed("console")
    assert not {"sqlalchemy", "starlette"} & installed("demo")
    assert {"pytest", "atheris"} <= installed("fuzz")
    assert {"demo", "console", "docs", "release"} <= {*TARGETS}


def test_what_is_made_has_a_target_and_tests() -> None:
    """The table of the page: each target is there, and each test runs where the page has it."""
    text = (ROOT / "docs" / "internals" / "releasing.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `make ([a-z-]+)` \| .* \| (.*) \|$", text, re.MULTILINE)
    assert {name for name, _ in rows} <= set(TARGETS)
    assert {"image", "chart", "packages", "release", "repository", "siem", "wheels"} <= dict(
        rows
    ).keys()
    for _, tests in rows:
        for bold, name in re.findall(r"(\*\*)?`([a-z_/]+\.py)`", tests):
            source = (ROOT / name).read_text(encoding="utf-8")
            whole = re.search(r"^pytestmark = .*?mark\.packages", source, re.MULTILINE | re.DOTALL)
            assert bool(whole) == bool(bold), name
