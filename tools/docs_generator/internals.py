"""The layers of the packages, and the parsers."""

import configparser
from pathlib import Path

import yaml

from docs_generator.markdown import code, table
from docs_generator.pages import ROOT
from netwatch.protocols import PROTOCOLS


def layers() -> list[list[str]]:
    """The packages of each layer, from the top, as ``.importlinter`` has them."""
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", encoding="utf-8")
    lines = contracts["importlinter:contract:layers"]["layers"].split("\n")
    return [[name.strip() for name in line.split("|")] for line in lines if line.strip()]


def packages_block(_: str) -> str:
    """The packages by layer. Raises `ValueError` if one has no description, or does not exist."""
    file = Path(__file__).parent / "data" / "packages.yaml"
    texts: dict[str, str] = yaml.safe_load(file.read_text(encoding="utf-8"))
    there = [name for layer in layers() for name in layer]
    if set(texts) != set(there):
        raise ValueError(f"{file.name} differs from .importlinter: {set(texts) ^ set(there)}")
    rows = []
    for number, layer in enumerate(layers(), 1):
        for name in layer:
            is_module = (ROOT / "netwatch" / f"{name}.py").exists()
            rows.append([str(number), code(f"{name}.py" if is_module else f"{name}/"), texts[name]])
    return table(("layer", "package", "what it does"), rows)


def parsers_block(_: str) -> str:
    """The parsers by the kind of their candidates."""
    rows = []
    for kind, protocol in PROTOCOLS.items():
        file = protocol.module.removeprefix("netwatch.").replace(".", "/") + ".py"
        notes = "persistent" if protocol.persistent else ""
        rows.append([str(kind), protocol.name, protocol.shape, code(file), notes])
    return table(("kind", "protocol", "shape", "parser", ""), rows)
