"""What the documents say of packets, oddities, limits and modules is what the code has."""

import ast
import importlib
import inspect
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from support.documents import ARCHITECTURE, CONTRIBUTING, ROOT, rows, section, words

from netwatch.core.message import Evidence
from netwatch.protocols import PROTOCOLS
from netwatch.protocols.quic_packet import VERSIONS


def literals(file: Path) -> set[str]:
    """Literals of the form of an oddity's name; a number in one is spelled N."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
            start = str(node.values[0].value)
            found |= {f"{start}N"} if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+-", start) else set()
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            named = re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)+", node.value)
            found |= {node.value} if named else set()
    return found


def test_oddities_are_those_of_the_code() -> None:
    package = ROOT / "netwatch"
    files = [*package.glob("dissect/*.py"), *package.glob("protocols/*.py")]
    there = set().union(*map(literals, [*files, package / "pipeline.py", package / "wire.py"]))
    others = {*get_args(Evidence), *(each.name for each in PROTOCOLS.values())}
    others |= {version.text for version in VERSIONS.values()}
    table = [words(row[0])[0] for row in rows(section("## Oddities"))]
    assert len(table) > 50
    assert table == sorted(set(table))
    assert set(table) == there - others


def constants(module: str) -> dict[str, object]:
    """What a module gives names to; of compiled code, which hides them, what it declares."""
    file = ROOT / f"{module.replace('.', '/')}.py"
    there = vars(importlib.import_module(module))
    found: dict[str, object] = {}
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        for target in node.targets if isinstance(node, ast.Assign) else ():
            name, value = ast.unparse(target), node.value
            if isinstance(value, ast.Call) and ast.unparse(value.func) == "cython.declare":
                given = value.args[1]
                found[name] = given.value if isinstance(given, ast.Constant) else None
            else:
                found[name] = there.get(name)
    return found


def limits() -> list[tuple[str, int]]:
    table = rows(section("## Limits"))
    return [(words(row[2])[0], int(row[1].replace(",", ""))) for row in table if words(row[2])]


@pytest.mark.parametrize(("place", "number"), limits())
def test_limit_is_that_of_the_code(place: str, number: int) -> None:
    path, _, argument = place.partition(":")
    module, _, name = path.rpartition(".")
    if argument:
        owner = getattr(importlib.import_module(module), name)
        assert inspect.signature(owner).parameters[argument].default == number
    else:
        assert constants(module)[name] == number


def test_every_limit_is_told() -> None:
    there = set()
    files = (ROOT / "netwatch").rglob("[a-z]*.py")
    # what the catalogue limits is told as an error of a user's file
    for file in (file for file in files if file.parent.name != "catalog"):
        module = ".".join(file.relative_to(ROOT).with_suffix("").parts)
        names = constants(module)
        there |= {f"{module}.{name}" for name in names if re.match(r"MAX_|([A-Z]+_)*LIMIT$", name)}
    assert len(there) > 40
    assert there - {place for place, _ in limits()} == set()


# what is read


def compared(file: str, function: str, *names: str) -> set[int]:
    """The numbers that a function holds variables or attributes of these names equal to."""
    tree = ast.parse((ROOT / "netwatch" / "dissect" / file).read_text(encoding="utf-8"))
    (body,) = (
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == function
    )
    return {
        node.comparators[0].value
        for node in ast.walk(body)
        if isinstance(node, ast.Compare)
        and ast.unparse(node.left).removeprefix("self.") in names
        and isinstance(node.ops[0], ast.Eq)
        and isinstance(node.comparators[0], ast.Constant)
    }


def test_link_types_are_those_of_the_code() -> None:
    told = [int(text) for row in rows(section("### Link types")) for text in row[1].split(",")]
    there = compared("headers.py", "link", "link_type")
    there |= compared("links.py", "other_link", "link_type")
    assert sorted(told) == sorted(there)


def test_wrappings_are_those_of_the_code() -> None:
    told: dict[str, set[int]] = {}
    for row in rows(section("### Wrappings")):
        for way in row[1].split("; "):
            known, numbers = re.fullmatch(r"([A-Za-z ]+?) ([0-9a-fA-Fx, ]+)", way).groups()
            told.setdefault(known, set()).update(int(text, 0) for text in numbers.split(", "))
    types = compared("headers.py", "ether_type", "kind")
    udp, tcp, esp = 17, 6, 50
    assert told == {
        "EtherType": types | compared("tunnels.py", "other_type", "kind"),
        "IP protocol": compared("tunnels.py", "inner", "proto") - {udp, tcp, esp},
        "UDP port": compared("overlays.py", "wrapped", "src", "dst"),
        "GRE": compared("tunnels.py", "gre", "kind"),
        "PPP": compared("tunnels.py", "ppp", "kind"),
    }


# the other documents


def test_rooms_are_those_of_the_package() -> None:
    table = rows(section("## Rooms", ARCHITECTURE))
    told = {word for row in table for word in words(row[0])}
    there = {file.name for file in (ROOT / "netwatch").glob("*.py") if file.name[0] != "_"}
    there |= {f"{file.parent.name}/" for file in (ROOT / "netwatch").glob("*/__init__.py")}
    assert told == there


def test_protocols_are_those_of_the_table() -> None:
    table = rows(section("## From rows to names", ARCHITECTURE))
    told = {int(row[0]): (words(row[2])[0], "persistent" in row[2]) for row in table}
    shapes = ("parse", "parse_stream", "converse", "connect")
    assert told == {
        kind: (next(shape for shape in shapes if getattr(each, shape)), each.persistent)
        for kind, each in PROTOCOLS.items()
    }
    modules = {word for row in table for word in words(row[3])}
    helpers = {"__init__.py", "reader.py", "dns_code.py", "ech.py"}
    files = {file.name for file in (ROOT / "netwatch" / "protocols").glob("*.py")}
    assert modules | helpers == files


def test_compiled_modules_are_those_of_the_build() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    built = {name.rpartition(".")[2] for name in project["tool"]["netwatch"]["compiled"]}
    told = re.search(r"compiled module \(([^)]*)\)", CONTRIBUTING.replace("\n", " ")).group(1)
    assert {Path(word).stem for word in words(told) if word.endswith(".py")} == built
