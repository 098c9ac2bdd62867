"""The wheel in an environment that has nothing else: what a command prints where an extra is
missing is copied into a shell, until nothing is missing any more."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.built_packages import BuiltPackages
from support.extras import CASES, prepare
from support.programs import needs

pytestmark = [pytest.mark.packages, needs("python3.13")]

WORDS = {each.extra: each.words for each in reversed(CASES)}
"""A command for each extra."""

MISSING = re.compile(r"needs (?:an extra|a package)[^:]*: (.*\[(\w+)\][^\s]*)$", re.MULTILINE)


@pytest.fixture(scope="module")
def environment(packages: BuiltPackages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel") / "an environment"
    subprocess.run(["python3.13", "-m", "venv", folder], check=True)
    pip = [folder / "bin/python", "-m", "pip", "install", "-q", "--no-index"]
    links = ["--find-links", packages.wheelhouse, packages.wheel]
    subprocess.run([*pip, *links], check=True)
    return folder


@pytest.mark.parametrize("extra", sorted(WORDS))
def test_what_is_printed_is_pasted(
    extra: str, environment: Path, packages: BuiltPackages, tmp_path: Path
) -> None:
    prepare(tmp_path)
    python = shutil.copytree(environment, tmp_path / "an environment", symlinks=True) / "bin/python"
    variables = {
        **os.environ,
        # A shell has not what the machine of a test has for its own Python.
        "PIP_FIND_LINKS": str(packages.wheelhouse),
        "AWS_EC2_METADATA_DISABLED": "true",
    }

    def printed() -> str:
        command = [python, "-m", "netwatch", *WORDS[extra].split()]
        try:
            done = subprocess.run(
                command, cwd=tmp_path, env=variables, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", timeout=30,
            )  # fmt: skip
        except subprocess.TimeoutExpired as expired:  # it serves
            return (expired.stderr or b"").decode()
        return done.stdout + done.stderr

    pasted = []
    while found := MISSING.search(output := printed()):
        command, named = found.groups()
        assert named not in pasted, output
        pasted.append(named)
        subprocess.run(["bash", "-c", command], cwd="/", env=variables, check=True, timeout=600)
    assert extra in pasted, output  # some need a store, too
    assert "Traceback" not in output
    assert "ModuleNotFoundError" not in output
