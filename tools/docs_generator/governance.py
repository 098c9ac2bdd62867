"""What an administration asks: trust boundaries and threats to privacy, with the tests that hold,
accessibility, dependencies with their licences, and samples of the documents of a controller.

A test looks for each test that is named, and compares the dependencies with ``pyproject.toml``. The
samples are made of the configuration that `netwatch init` proposes, with a store.
"""

import re
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from docs_generator.data import rows
from docs_generator.extras import OTHERS
from docs_generator.markdown import table
from docs_generator.pages import ROOT
from netwatch import __version__
from netwatch.cli.init import Answers, configuration_text
from netwatch.config import load
from netwatch.explain.documents import documents, markdown
from netwatch.explain.subject import CATALOGUES
from netwatch.language.language import LANGUAGES, language

SAMPLES = "docs/governance/samples"
"""The folder of the samples, relative to the root."""

_HEADS = {
    "boundaries": ("boundary", "STRIDE", "what holds it", "tests"),
    "linddun": ("threat", "how", "what holds it", "tests"),
    "accessibility": ("clause", "state", "tests"),
}


def block(name: str) -> str:
    """A table of ``data/governance.yaml``, with the files of its tests."""
    found = rows("governance")[name]
    return table(_HEADS[name], ([*list(row.values())[:-1], _files(row["tests"])] for row in found))


def _files(tests: list[str]) -> str:
    return ", ".join(dict.fromkeys(f"`{test.partition('::')[0]}`" for test in tests))


def dependencies_block(kind: str) -> str:
    """The packages that are required, or optional, with licence and reason."""
    found = rows("dependencies")[kind].items()
    return table(
        ("package", "licence", "why"), ([name, licence, why] for name, (licence, why) in found)
    )


def dependencies() -> dict[str, set[str]]:
    """The packages that ``pyproject.toml`` names for users, by kind."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    optional = [each for name in extras if name not in OTHERS for each in extras[name]]
    return {"required": _names(project["dependencies"]), "optional": _names(optional)}


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9._-]", each)[0] for each in requirements}


def samples() -> Iterator[tuple[Path, str]]:
    """Each document in each language, as a file with its text."""
    answers = Answers("", {"service": ("10.20.0.0/16",)}, (), ("be-fed-tiktok-2023",))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "netwatch.yaml")
        path.write_text(f"{configuration_text(answers)}store: {{path: store}}\n", encoding="utf-8")
        config = load(str(path))
    for code in LANGUAGES:
        spoken = language(code, CATALOGUES)
        for name, make in documents().items():
            text = "".join(f"{line}\n" for line in markdown(make(config, spoken), spoken))
            # A release changes no file but those in which the version stands.
            text = text.replace(f"netwatch {__version__}", "netwatch")
            yield ROOT / SAMPLES / f"{name}.{code}.txt", text
