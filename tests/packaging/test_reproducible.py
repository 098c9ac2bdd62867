"""Two builds in different folders give the same bytes: the sdist and the wheel of two compiled
modules, and the packages of systems."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from support.build_project import Project
from support.built_packages import BuiltPackages, build, package
from support.packaging_modules import packaging_modules
from support.paths import ROOT
from support.programs import needs

(wheels,) = packaging_modules("wheels")

FOLDERS = ("one", "a longer path/to another folder")


def copies(source: Path, folder: Path) -> list[Project]:
    return [Project(Path(shutil.copytree(source, folder / name))) for name in FOLDERS]


def test_an_sdist_is_the_same_from_another_folder(
    translated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    made = []
    for number, project in enumerate(copies(translated, tmp_path)):
        target = tmp_path / f"{number}.tar.gz"
        wheels.repack(project.build("build_sdist"), target, 1_700_000_000)
        made.append(target.read_bytes())
    assert made[0] == made[1]


def test_a_compiled_wheel_is_the_same_from_another_folder(
    translated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    for name, value in wheels.reproducible_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CCACHE_DISABLE", "1")
    first, second = (
        project.build("build_wheel", required=True) for project in copies(translated, tmp_path)
    )
    assert any(name.endswith(".so") for name in zipfile.ZipFile(first).namelist())
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.packages
@needs("git")
def test_packages_of_a_wheel_are_the_same_from_another_folder(
    packages: BuiltPackages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch = wheels.reproducible_environment()["SOURCE_DATE_EPOCH"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    other = tmp_path / FOLDERS[1]
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.rstrip("\0").split("\0"):
        if (ROOT / name).exists():
            (other / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, other / name)
    house, wheel = str(packages.wheelhouse), str(packages.wheel)
    build(tmp_path, "--wheel", wheel, "--wheelhouse", house, program=other)
    for name in ("netwatch", "netwatch-console"):
        for form in ("deb", "rpm"):
            first, second = (package(each, name, form) for each in (packages.folder, tmp_path))
            assert first.read_bytes() == second.read_bytes(), first.name
