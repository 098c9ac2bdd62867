"""Builds what `apt` and `dnf` install, into build/packages: for each format a package ``netwatch``,
and a package ``netwatch-console`` with what the store, the console and the reports need.

Everything in Python that netwatch needs is inside of the packages, in an environment of its own,
/usr/lib/netwatch. Packages of the distribution cannot be used: of the 16 libraries, Debian 13 has
one not at all and three in versions that are too old (geoip2, hpack, urllib3), and each other
distribution lacks others. Only the interpreter is the distribution's. Compiled modules are for one
version of Python, so a package is for one as well: that of Debian 13 and Fedora 42 unless
`--python` says otherwise.

Two builds from the same commit and the same wheels give the same bytes: times come from
SOURCE_DATE_EPOCH, or else from the commit. `--wheelhouse` builds again with the wheels of a former
build.
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from linux.contents import Stage, console_contents, netwatch_contents
from linux.environment import Interpreter, download, fill, subtract
from linux.libraries import needed_libraries
from linux.nfpm import FORMATS, Package, build
from linux.unused import ONLY_FOR_CONSOLE
from wheels import ROOT, build_sdist, build_wheel, reproducible_environment

DEFAULT_PYTHON = "python3.13"

BASE_EXTRAS = ("isal", "kafka", "logs", "nats", "notify", "updates")
"""What a sensor may be asked to do and takes little space: outputs, logs, signed updates."""

CONSOLE_EXTRAS = ("arrow", "fleet", "oidc", "postgres", "report", "store", "web")
"""What takes more space than all the rest: DuckDB, Arrow, the renderer of charts."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Build all packages into a folder, whose former packages are removed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "packages")
    parser.add_argument("--python", metavar="COMMAND", default=DEFAULT_PYTHON)
    parser.add_argument("--wheel", type=Path, help="a wheel of netwatch; default: build one")
    parser.add_argument("--wheelhouse", type=Path, help="take all wheels from this folder")
    parser.add_argument("--package-version", metavar="V", help="default: that of the wheel")
    parser.add_argument(
        "--only", choices=("netwatch", "netwatch-console"), help="build this package alone"
    )
    args = parser.parse_args(arguments)
    os.umask(0o022)  # the modes of files are part of a package
    environment = reproducible_environment()
    with tempfile.TemporaryDirectory(prefix="netwatch-packages-") as name:
        folder = Path(name)
        interpreter = Interpreter.find(args.python, environment)
        wheel = args.wheel or _build_wheel(interpreter, folder, environment)
        house = args.wheelhouse or args.output / "wheelhouse"
        if args.wheelhouse is None:
            shutil.rmtree(house, ignore_errors=True)
            extras = BASE_EXTRAS if args.only == "netwatch" else BASE_EXTRAS + CONSOLE_EXTRAS
            download(interpreter, wheel, extras, house, environment)
        version = _package_version(args.package_version or wheel.name.split("-")[1])
        packages = _packages(args.only, interpreter, wheel, house, version, folder, environment)
        for old in args.output.glob("*.[dr][ep][bm]"):
            old.unlink()
        for package in packages:
            for form in FORMATS:
                build(package, form, args.output, folder, environment)
    for path in sorted(args.output.glob("*.[dr][ep][bm]")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{path.stat().st_size:>12,}  {digest}  {path}")


def _packages(
    only: str | None,
    interpreter: Interpreter,
    wheel: Path,
    house: Path,
    version: str,
    folder: Path,
    environment: dict[str, str],
) -> list[Package]:
    base = fill(
        *(interpreter, wheel, BASE_EXTRAS, house, folder / "base", environment), ONLY_FOR_CONSOLE
    )
    stage = Stage(folder / "stage", interpreter, int(environment["SOURCE_DATE_EPOCH"]))
    found = []
    if only != "netwatch-console":
        found.append(netwatch_contents(stage, base, version, needed_libraries(base)))
    if only != "netwatch":
        extras = BASE_EXTRAS + CONSOLE_EXTRAS
        whole = fill(interpreter, wheel, extras, house, folder / "whole", environment)
        libraries = needed_libraries(whole)
        subtract(whole, base)
        found.append(console_contents(stage, whole, version, libraries))
    return found


def _build_wheel(interpreter: Interpreter, folder: Path, environment: dict[str, str]) -> Path:
    """The compiled wheel of this checkout."""
    sdist = build_sdist(folder, folder, environment)
    target = folder / "wheel"
    target.mkdir()
    build_wheel(interpreter.command, sdist, folder, target, environment)
    (wheel,) = target.glob("*.whl")
    return wheel


def _package_version(version: str) -> str:
    """The version as both formats order it: a candidate comes before its release."""
    for mark in ("a", "b", "rc", ".dev"):
        head, found, number = version.partition(mark)
        if found and number.isdigit():
            return f"{head}~{mark.strip('.')}{number}"
    return version


if __name__ == "__main__":
    sys.exit(main())
