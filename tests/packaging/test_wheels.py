"""What is published names what it contains, and is built and checked with the Pythons that work."""

import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from support.packaging_modules import packaging_modules
from support.paths import ROOT

pythons, wheels, check_wheels, python_matrix = packaging_modules(
    "pythons", "wheels", "check_wheels", "python_matrix"
)


def fake_python(folder: Path, version: str, text: str) -> Path:
    """A program that takes the place of a Python."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"python{version}"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_a_python_that_refuses_to_run_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_python(tmp_path / "shims", "3.14", "echo not installed >&2; exit 127")
    fake_python(tmp_path / "root" / "versions" / "3.14.2" / "bin", "3.14", "echo /old")
    fake_python(tmp_path / "root" / "versions" / "3.14.10" / "bin", "3.14", "echo /new")
    monkeypatch.setenv("PATH", f"{tmp_path / 'shims'}:/bin:/usr/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "root"))
    found = pythons.find_pythons()
    assert found["3.14"] == "/new"
    assert found[f"3.{sys.version_info.minor}"]
    assert pythons.missing({"3.12": "x"}) == ["3.11", "3.13", "3.14"]


def test_what_the_sbom_says_of_netwatch_itself() -> None:
    licensed = {"name": "a", "licenses": [{"license": {"id": "MIT"}}]}
    sbom: dict[str, Any] = {
        "metadata": {"component": {"name": "netwatch-bans", "version": "1"}, "timestamp": "x"},
        "components": [licensed],
    }
    made = wheels.completed(sbom)
    assert made["metadata"]["component"]["purl"] == "pkg:pypi/netwatch-bans@1"
    bundled = made["metadata"]["component"]["components"]
    assert all(each["licenses"] for each in bundled)
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert "Cython's runtime code" in notice
    assert {"library", "data"} == {each["type"] for each in bundled}
    assert made["metadata"]["timestamp"] == "x"
    sbom["components"].append({"name": "of-nobody", "licenses": []})
    with pytest.raises(SystemExit, match="no licence: of-nobody"):
        wheels.completed(sbom)


def test_licences_of_the_sbom_are_those_of_spdx() -> None:
    def licences(name: str, *named: str) -> list[str]:
        apache = {"acknowledgement": "declared", "id": "Apache-2.0"}
        others = [{"acknowledgement": "declared", "name": f"License :: {each}"} for each in named]
        component = {"name": name, "licenses": [{"license": each} for each in (apache, *others)]}
        root = {"name": "netwatch-bans", "version": "1"}
        made = wheels.completed({"metadata": {"component": root}, "components": [component]})
        return [each["license"]["id"] for each in made["components"][0]["licenses"]]

    assert licences("a", "OSI Approved :: Apache Software License") == ["Apache-2.0"]
    assert licences("lz4", "OSI Approved :: BSD License") == ["Apache-2.0", "BSD-3-Clause"]
    with pytest.raises(SystemExit, match="no licence: of-some-clauses"):
        licences("of-some-clauses", "OSI Approved :: BSD License")


def test_a_wheel_with_a_library_of_the_machine_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "netwatch_bans-1-cp311-cp311-linux.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("netwatch/__init__.py", "")
    wheels.require_own(path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("netwatch.libs/libz.so.1", "")
    with pytest.raises(SystemExit, match="libz"):
        wheels.require_own(path)


def test_flags_of_the_user_are_no_part_of_a_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CFLAGS", "-O0")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    environment = wheels.reproducible_environment()
    assert "CFLAGS" not in environment
    assert environment["LDFLAGS"] == "-Wl,--build-id=none"
    assert os.environ["CFLAGS"] == "-O0"


def test_the_tests_for_every_python_exist() -> None:
    assert all((ROOT / path).exists() for path in python_matrix.SELECTION)
    names = [text.partition(">")[0] for text in python_matrix.requirements()]
    assert {"pytest", "duckdb", "fsspec"} <= set(names)


def test_without_wheels_there_is_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(check_wheels.CheckError, match="has no wheel"):
        check_wheels.check(tmp_path)


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    import tomllib

    tool = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    identifiers = [f"cp{version.replace('.', '')}-*" for version in pythons.versions()]
    assert tool["tool"]["cibuildwheel"]["build"] == identifiers
    assert tool["project"]["requires-python"] == f">={pythons.versions()[0]}"
