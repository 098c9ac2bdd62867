"""The shared libraries that the compiled modules of a package take from the system.

Wheels bring most libraries along; those that the manylinux policies allow them to expect are read
from the ELF files and become dependencies: on packages of Debian, on sonames for rpm.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection

_GLIBC = re.compile(r"GLIBC_2\.(\d+)$")

_DEBIAN = {
    "ld-linux-x86-64.so.2": "libc6",
    "ld-linux-aarch64.so.1": "libc6",
    "libc.so.6": "libc6",
    "libdl.so.2": "libc6",
    "libgcc_s.so.1": "libgcc-s1",
    "libm.so.6": "libc6",
    "libpthread.so.0": "libc6",
    "libresolv.so.2": "libc6",
    "librt.so.1": "libc6",
    "libstdc++.so.6": "libstdc++6",
    "libutil.so.1": "libc6",
    "libz.so.1": "zlib1g",
}


@dataclass(frozen=True, slots=True)
class Libraries:
    """Sonames in their order, and the newest minor version of glibc that one of them asks for."""

    sonames: tuple[str, ...]
    glibc: int

    def debian(self) -> list[str]:
        """The packages of Debian that have them."""
        names = {_DEBIAN[soname] for soname in self.sonames} - {"libc6"}
        return [f"libc6 (>= 2.{self.glibc})", *sorted(names)]

    def rpm(self) -> list[str]:
        """What rpm calls them, on machines of 64 bits."""
        others = [f"{each}()(64bit)" for each in self.sonames if not each.startswith("ld-")]
        return [f"libc.so.6(GLIBC_2.{self.glibc})(64bit)", *others]


def shared_objects(folder: Path) -> list[Path]:
    """The ELF files of a folder in the order of their names."""
    found = []
    for path in sorted(folder.rglob("*.so*")):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    found.append(path)
    return found


def needed_libraries(folder: Path) -> Libraries:
    """What the shared objects of a folder need and none of them is. Ends the program for a library
    that no package is known for."""
    objects = shared_objects(folder)
    bundled = {path.name for path in objects}
    sonames: set[str] = set()
    glibc = 0
    for path in objects:
        with path.open("rb") as file:
            elf = ELFFile(file)
            wanted = set(_needed(elf)) - bundled
            for soname in sorted(wanted - set(_DEBIAN)):
                sys.exit(
                    f"{path.relative_to(folder)} needs {soname}; add its package to {__file__}"
                )
            sonames |= wanted
            glibc = max([glibc, *_glibc_versions(elf)])
    return Libraries(tuple(sorted(sonames)), glibc)


def _needed(elf: ELFFile) -> Iterator[str]:
    for section in elf.iter_sections():
        if isinstance(section, DynamicSection):
            for tag in section.iter_tags("DT_NEEDED"):
                yield tag.needed


def _glibc_versions(elf: ELFFile) -> Iterator[int]:
    for section in elf.iter_sections():
        if isinstance(section, GNUVerNeedSection):
            for _, auxiliaries in section.iter_versions():
                for each in auxiliaries:
                    if found := _GLIBC.match(each.name):
                        yield int(found[1])
