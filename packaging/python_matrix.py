"""Tests netwatch with each Python that is here: installed from the sdist, with compiled modules.

`make test-pythons` runs this. The whole suite runs with the Python of .venv; with each other one
runs a short selection, in which a difference between versions of Python shows: parsers with
their vectors and properties, the compiled packet loop, a scan by the command line, a store, and the
configuration. As in the suite, every warning is an error, so that what a newer Python deprecates is
noticed here.

The modules are compiled without optimization, unless CFLAGS is set: what they do is tested, not how
fast. A compiler cache (ccache) makes a second run short. The tests run in another folder, so that
they find the modules that were installed and not those of the source tree.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path

from pythons import find_pythons, missing

ROOT = Path(__file__).resolve().parents[1]

SELECTION = (
    "tests/protocols/test_client_hello.py",
    "tests/protocols/test_dns.py",
    "tests/core/test_owned_database.py",
    "tests/dissect/test_dissector.py",
    "tests/formats/test_jsonl.py",
    "tests/store/test_landing.py",
    "tests/cli/test_main.py",
    "tests/rules/test_policy.py",
    "tests/test_config.py",
)
"""The tests that run with every Python."""

PACKAGES = (
    *("pytest", "hypothesis", "aiosmtpd", "trustme", "setuptools"),
    *("SQLAlchemy", "duckdb", "pyarrow"),
)
"""What the selection needs, of the extra `test`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Test with all Pythons; exit status 1 where a test fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sdist", type=Path, help="the sdist to install (default: built now)")
    parser.add_argument(
        "--python",
        action="append",
        metavar="VERSION",
        help="a version to test, such as 3.12, several times for several (default: all but that"
        " of .venv, with which the whole suite runs)",
    )
    parser.add_argument("--newest", action="store_true", help="only the newest of them")
    args = parser.parse_args(arguments)
    found = find_pythons()
    own = f"3.{sys.version_info.minor}"
    for version in missing(found):
        print(f"Python {version} is not installed here, so nothing is tested with it", flush=True)
    wanted = args.python or [version for version in found if version != own]
    if args.newest:
        wanted = wanted[-1:]
    if not args.python:
        print(f"Python {own} is that of .venv, with which the whole suite runs", flush=True)
    if absent := [version for version in wanted if version not in found]:
        sys.exit(f"python_matrix: not installed here: {', '.join(absent)}")
    with tempfile.TemporaryDirectory(prefix="netwatch-pythons-") as name:
        folder = Path(name)
        sdist = args.sdist or build_sdist(folder)
        failed = [each for each in wanted if not test(found[each], each, sdist, folder)]
    if failed:
        sys.exit(f"python_matrix: failed with Python {', '.join(failed)}")


def build_sdist(folder: Path) -> Path:
    """The sdist of the source tree, with the C that Cython has generated."""
    command = [sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True)
    (made,) = folder.glob("*.tar.gz")
    return made


def test(python: str, version: str, sdist: Path, folder: Path) -> bool:
    """Install the sdist with a Python and run the selection; whether all of it passed."""
    began = time.monotonic()
    place = folder / version
    subprocess.run([python, "-m", "venv", str(place)], check=True)
    program = str(place / "bin" / "python")
    pip = [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    environment = {
        **os.environ,
        "NETWATCH_COMPILED": "required",
        "CFLAGS": os.environ.get("CFLAGS", "-O0"),
        "PYTHONPATH": "",
    }
    for what in (requirements(), [str(sdist)]):
        subprocess.run([*pip, "--no-compile", *what], env=environment, cwd=place, check=True)
    installed = time.monotonic()
    tests = [str(ROOT / each) for each in SELECTION]
    # The program `pytest`, unlike ``python -m pytest``, finds no module in the folder of its start.
    command = [str(place / "bin" / "pytest"), "-c", str(ROOT / "pyproject.toml"), *tests]
    options = ["--rootdir", str(ROOT), "-p", "no:cacheprovider", "-m", "not alone", "-rN"]
    # Servers are the same with every Python.
    options += ["-k", "not postgresql"]
    # The folder that pytest has for all runs is closed to other users at each start, also to those
    # of the suite, which may run at the same time.
    options += ["--basetemp", str(folder / f"{version}-tests")]
    done = subprocess.run([*command, *options], cwd=place, check=False)
    ended = time.monotonic()
    print(
        f"Python {version} ({python}): {'failed' if done.returncode else 'passed'}; installed in"
        f" {installed - began:.0f} s, tested in {ended - installed:.0f} s",
        flush=True,
    )
    return done.returncode == 0


def requirements() -> list[str]:
    """`PACKAGES` with the versions that the extra `test` asks for, and what a store adds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extra = project["optional-dependencies"]["test"]
    found = {text.partition(">=")[0]: text for text in extra}
    stores = project["optional-dependencies"]["store"]
    return [*(found[name] for name in PACKAGES), *(each for each in stores if "fsspec" in each)]


if __name__ == "__main__":
    main()
