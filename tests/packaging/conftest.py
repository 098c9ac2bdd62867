"""A small project with the build of this one, compilers that fail, the manual, and packages."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.build_project import MODULES, PYPROJECT, Project
from support.built_packages import BuiltPackages, built
from support.paths import ROOT


@pytest.fixture(scope="package")
def translated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two modules to compile, with their C."""
    root = tmp_path_factory.mktemp("translated")
    shutil.copytree(
        ROOT / "packaging", root / "packaging", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("MANIFEST.in", "setup.py"):
        shutil.copy(ROOT / name, root)
    (root / "pyproject.toml").write_text(PYPROJECT)
    (root / "netwatch").mkdir()
    for name, text in MODULES.items():
        (root / "netwatch" / name).write_text(text)
    code = "import compiled_modules\ncompiled_modules.translate()"
    assert Project(root).run(code).returncode == 0
    return root


@pytest.fixture
def project(translated: Path, tmp_path: Path) -> Project:
    """A copy of the two modules, in a path with a space."""
    return Project(Path(shutil.copytree(translated, tmp_path / "a project")))


@pytest.fixture
def fake_compiler(tmp_path: Path) -> Callable[..., Path]:
    """Makes a C compiler whose results are empty files, and that fails for one source."""

    def make(broken: str = "no such source") -> Path:
        path = tmp_path / "cc"
        path.write_text(
            "#!/bin/sh\n"
            f'case "$*" in *"{broken}"*) echo "{broken}: broken" >&2; exit 1;; esac\n'
            'while [ $# -gt 1 ]; do [ "$1" = -o ] && : > "$2"; shift; done\n'
        )
        path.chmod(0o755)
        return path

    return make


@pytest.fixture(scope="session")
def manual(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The man pages and the completions, as packages of systems get them."""
    output = tmp_path_factory.mktemp("manual")
    subprocess.run(
        [sys.executable, ROOT / "packaging" / "manual.py", output],
        check=True,
        timeout=60,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1679270400"},  # 2023-03-20
    )
    return output


@pytest.fixture(scope="package")
def packages(tmp_path_factory: pytest.TempPathFactory) -> BuiltPackages:
    """The packages of this checkout."""
    return built(tmp_path_factory.mktemp("packages"))
