"""What the pages for administrations claim: each line has tests, and lists follow the project."""

import re
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

import pytest
from docs_generator import governance
from docs_generator.blocks import BLOCKS
from docs_generator.data import rows
from docs_generator.pages import parts
from support.documents import DOCS, functions_of
from support.paths import ROOT

FOLDER = DOCS / "governance"
TABLES = rows("governance")
NAMED = sorted({test for table in TABLES.values() for row in table for test in row["tests"]})
LICENCES = {
    name: licence for kind in rows("dependencies").values() for name, (licence, _) in kind.items()
}
WORDS = {
    "BSD-2-Clause": "BSD", "BSD-3-Clause": "BSD", "MIT": "MIT", "Apache-2.0": "Apache",
    "MPL-2.0": "MPL|Mozilla", "PSF-2.0": "PSF|Python Software",
}  # fmt: skip
"""How packages write a licence that do not state it as SPDX."""


def test_each_table_is_shown_and_each_line_names_a_test() -> None:
    texts = [page.read_text(encoding="utf-8") for page in FOLDER.glob("*.md")]
    shown = [given for text in texts for name, given in parts(text) if name == "governance"]
    assert sorted(shown) == sorted(TABLES)
    assert all(row["tests"] for table in TABLES.values() for row in table)


@pytest.mark.parametrize("named", NAMED)
def test_what_a_line_names_is_a_test(named: str) -> None:
    file, _, name = named.partition("::")
    assert name.startswith("test_")
    assert name in functions_of(file)


def test_all_of_stride_and_linddun_is_considered() -> None:
    letters = {letter for row in TABLES["boundaries"] for letter in row["threats"].split()}
    assert letters == set("STRIDE")
    assert "".join(row["threat"][0] for row in TABLES["linddun"]) == "LINDDUN"


def test_the_dependencies_are_those_of_the_project() -> None:
    stated = {kind: set(found) for kind, found in rows("dependencies").items()}
    found = governance.dependencies()
    assert stated == {**found, "optional": found["optional"] - found["required"]}


@pytest.mark.parametrize("name", LICENCES)
def test_a_licence_is_what_the_package_states(name: str) -> None:
    try:
        known = metadata(name)
    except PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    expression = known.get("License-Expression")
    if expression:
        assert LICENCES[name] == expression
        return
    classifiers = [each for each in known.get_all("Classifier", []) if each.startswith("License")]
    stated = " ".join([*(known.get("License") or "").splitlines()[:1], *classifiers])
    assert stated, "the package states no licence"
    assert re.search(WORDS[LICENCES[name]], stated), stated


def test_the_licence_that_binds_others_is_explained() -> None:
    text = (ROOT / "NOTICE").read_text(encoding="utf-8")
    binding = [name for name, licence in LICENCES.items() if licence.startswith("GPL")]
    assert binding == ["scapy"]
    assert "scapy" in text


@pytest.fixture(scope="module")
def samples() -> dict[Path, str]:
    return dict(governance.samples())


def test_the_samples_are_what_the_program_writes(samples: dict[Path, str]) -> None:
    for path, text in samples.items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run 'make docs-tables'"


def test_no_other_sample_is_left(samples: dict[Path, str]) -> None:
    made = {path.name for path in samples}
    assert len(made) == 12
    assert {path.name for path in (ROOT / governance.SAMPLES).iterdir()} == made
    page = (FOLDER / "privacy.md").read_text(encoding="utf-8")
    assert {name for name in made if f"samples/{name}" in page} == made


def test_versions_with_fixes_are_those_of_the_security_policy() -> None:
    policy = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    page = (FOLDER / "support.md").read_text(encoding="utf-8")
    for promise in (
        "latest minor version",
        "the minor version before it, for six months",
        "within a week",
    ):
        assert promise in policy.replace("\n", " ")
    assert "The latest minor version. From 1.0 on also the one before it, for six months." in page
    assert "within a week" in page


def test_blocks_refuse_what_is_not_there() -> None:
    with pytest.raises(KeyError):
        BLOCKS["governance"]("nothing")
