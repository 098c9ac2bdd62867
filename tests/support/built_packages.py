"""The packages of this checkout, and a later version of them."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.packaging_modules import packaging_modules
from support.paths import ROOT

(pythons,) = packaging_modules("pythons")

LATER = "0.1.1~test"


@dataclass(frozen=True)
class BuiltPackages:
    """Folders with packages, and the wheels that they were made of."""

    folder: Path
    later: Path
    wheelhouse: Path

    @property
    def wheel(self) -> Path:
        """The wheel of netwatch."""
        (wheel,) = self.wheelhouse.glob("netwatch_bans-*.whl")
        return wheel


def package(folder: Path, name: str, form: str) -> Path:
    """A package in a folder, by its name and format."""
    mark = "_" if form == "deb" else "-[0-9]"
    (found,) = folder.glob(f"{name}{mark}*.{form}")
    return found


def build(output: Path, *options: str, program: Path = ROOT) -> None:
    """Run the program that builds packages, of the checkout in the folder `program`."""
    programs = f"{Path(sys.executable).parent}:/usr/lib/ccache:{os.environ['PATH']}"
    # A version manager's would put the compiler before ccache.
    python = pythons.executable("python3.13")
    script = program / "packaging" / "packages.py"
    done = subprocess.run(
        [sys.executable, script, "--python", python, "--output", output, *options],
        env={**os.environ, "PATH": programs}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def built(folder: Path) -> BuiltPackages:
    """Build the packages. The wheel may be given as NETWATCH_WHEEL, otherwise it is built too."""
    wheel = os.environ.get("NETWATCH_WHEEL")
    build(folder / "now", *(["--wheel", wheel] if wheel else []))
    house = folder / "now" / "wheelhouse"
    (own,) = house.glob("netwatch_bans-*.whl")
    common = ("--wheel", str(own), "--wheelhouse", str(house))
    build(folder / "later", *common, "--package-version", LATER)
    return BuiltPackages(folder / "now", folder / "later", house)
