"""The compiled modules: their list, their translation to C, and a build of all of them or none.

The modules that `[tool.netwatch]` in pyproject.toml lists are ordinary Python files in Cython's
pure Python mode. A build has two steps:

1. Cython translates every module to C, in one call. Utility code that all modules need (memory
   views, for the most part) goes into one shared module instead of into each of them, which saves
   half of the compiler's time.
2. The C compiler builds the modules side by side.

An sdist contains the generated C together with a digest of the sources that it was generated
from. Where the digest matches, a build from the sdist skips the first step and does not need
Cython. Where somebody has patched a source, it does not match, and the C is generated again.

If any module fails to build, none of them is installed compiled: a compiled class cannot have an
interpreted one as its base or attribute, so a mixture would fail at import. The same files then
run interpreted. Set NETWATCH_COMPILED=required to get an error instead, or NETWATCH_COMPILED=off to
compile nothing, which takes seconds instead of minutes.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path

from compiler import fault
from setuptools import Extension
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["netwatch"]
SHARED = "netwatch._cyutility"
"""The module that contains the utility code of all others."""

MANUAL = "packaging/man"
"""The man pages in an sdist: to write them takes netwatch with all it depends on, which a build has
not. NETWATCH_MANUAL is a folder with them while the sdist is built; a checkout has none."""

DIGEST = "packaging/translated.sha256"
"""A file of the sdist: the digest of the sources that its C was generated from."""

CAUSE = "netwatch/not-compiled.txt"
"""A file of an installation whose modules could not be compiled: the reason, which pip does not
show."""

COMPILED_SUFFIXES = (".so", ".pyd")
"""How the names of compiled modules end, the second on Windows."""

PROCESSORS = (
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
)


def path_of(module: str, suffix: str) -> str:
    """The path of a module's file, relative to the root of the project."""
    return module.replace(".", "/") + suffix


def extensions() -> list[Extension]:
    """All modules to compile, the shared one first."""
    return [_extension(SHARED, ".c"), *(_extension(name, ".py") for name in OPTIONS["compiled"])]


def _extension(module: str, suffix: str) -> Extension:
    """A module with its compiler flags.

    Code at -O3 is no faster, and takes the compiler twice as long. Debugging information would make
    the files five times as large. A level in CFLAGS has precedence: at -O0 the modules are compiled
    in a quarter of the time, for tests of what they do.
    """
    headers = [str(path.relative_to(ROOT)) for path in ROOT.glob("netwatch/**/*.h")]
    level = [] if "-O" in os.environ.get("CFLAGS", "") else ["-O2"]
    # What MSVC calls /O2 and /w it takes with a hyphen, too; without -g it writes nothing either.
    debugging = [] if sys.platform == "win32" else ["-g0"]
    flags = [*level, *debugging, "-w"]
    source = path_of(module, suffix)
    return Extension(
        module, [source], depends=headers, include_dirs=["."], extra_compile_args=flags
    )


def source_digest() -> str:
    """A digest of everything that the generated C depends on."""
    paths = [path_of(name, ".py") for name in OPTIONS["compiled"]]
    paths += [path.relative_to(ROOT).as_posix() for path in ROOT.glob("netwatch/**/*.pxd")]
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.encode() + b"\0" + (ROOT / path).read_bytes() + b"\0")
    return digest.hexdigest()


def shared_files() -> list[tuple[str, list[str]]]:
    """What is installed below the prefix: each folder with its files. In a checkout there are no
    man pages."""
    folders = sorted((ROOT / MANUAL).glob("man*"))
    pages = [(folder.name, sorted(folder.iterdir())) for folder in folders]
    return [
        ("share/netwatch", ["packaging/netwatch.service"]),
        *(
            (f"share/man/{name}", [path.relative_to(ROOT).as_posix() for path in paths])
            for name, paths in pages
        ),
    ]


def is_off() -> bool:
    """Whether nothing is to be compiled."""
    return os.environ.get("NETWATCH_COMPILED") == "off"


def is_translated() -> bool:
    """Whether this is an sdist whose C was generated from the sources as they are."""
    recorded = ROOT / DIGEST
    return recorded.exists() and recorded.read_text(encoding="ascii").strip() == source_digest()


def remove_outdated() -> None:
    """Remove the C of each module that is older than any .pxd. Cython overlooks some of these
    dependencies (``from cython.cimports.package import module``, and what a .pxd has of another),
    and the C would keep the old constants and layouts."""
    declared = [path.stat().st_mtime for path in ROOT.glob("netwatch/**/*.pxd")]
    for name in OPTIONS["compiled"]:
        translated = ROOT / path_of(name, ".c")
        if translated.exists() and translated.stat().st_mtime < max(declared, default=0.0):
            translated.unlink()


def translate() -> None:
    """Generate the C of every module whose source is newer, or whose C is of another Cython."""
    from Cython.Build import cythonize
    from Cython.Utils import file_generated_by_this_cython

    shared = ROOT / path_of(SHARED, ".c")
    if not file_generated_by_this_cython(str(shared)):
        # This takes a process of its own: generating the shared module changes a global of the
        # compiler, and every module that is translated after it would fail at import.
        command = [sys.executable, "-m", "cython", f"--generate-shared={shared}"]
        subprocess.run(command, check=True)
    remove_outdated()
    cythonize(
        [_extension(name, ".py") for name in OPTIONS["compiled"]],
        nthreads=PROCESSORS,
        quiet=True,
        force=(ROOT / DIGEST).exists(),  # a patch may have left the source older than its C
        shared_utility_qualified_name=SHARED,
        compiler_directives={
            "show_performance_hints": False,
            "emit_code_comments": False,
            # A memoryview that is not initialized has no bytes: the bounds check rejects any index.
            "initializedcheck": False,
        },
    )


def remove_compiled(folder: Path, keep: Collection[str] = ()) -> None:
    """Remove all compiled modules from a tree but those to `keep` (paths relative to it)."""
    for path in folder.glob("netwatch/**/*"):
        if path.suffix in COMPILED_SUFFIXES and path.relative_to(folder).as_posix() not in keep:
            path.unlink()


class BuildAllOrNone(build_ext):
    """Builds every compiled module, or none of them."""

    def finalize_options(self) -> None:
        """Run as many compilers at a time as there are processors."""
        super().finalize_options()
        self.parallel = self.parallel or PROCESSORS

    def run(self) -> None:
        """Translate and compile; after any failure remove what was compiled."""
        if is_off():
            self.extensions = []
            return
        # What an editable installation imports is in the source tree; any other installation
        # leaves the compiled modules there alone.
        folders = [Path(self.build_lib), *([ROOT] if self.inplace else [])]
        for folder in folders:
            (folder / CAUSE).unlink(missing_ok=True)
        try:
            if not is_translated():
                translate()
            for each in self.extensions:
                each.sources = [path_of(each.name, ".c")]
            # Python would import the compiled form of a module that is no longer listed.
            built = (self.get_ext_filename(each.name) for each in self.extensions)
            listed = {Path(name).as_posix() for name in built}
            for folder in folders:
                remove_compiled(folder, listed)
            super().run()
        except Exception as error:
            if os.environ.get("NETWATCH_COMPILED") == "required":
                raise
            cause = " ".join((fault() or str(error)).split())
            print(f"netwatch: no module is compiled, the packet loop runs interpreted: {cause}")
            for folder in folders:
                remove_compiled(folder)
                (folder / CAUSE).parent.mkdir(parents=True, exist_ok=True)
                (folder / CAUSE).write_text(f"{cause}\n", encoding="utf-8")
            self.extensions = []


class BuildPyAlone(build_py):
    """Copies the Python files, and leaves none in the wheel that an earlier build copied."""

    def find_package_modules(self, package: str, package_dir: str) -> list[tuple[str, str, str]]:
        """The modules of a package; of the samples only the captures are installed."""
        if package == "netwatch.pcaps":
            return []
        return super().find_package_modules(package, package_dir)  # type: ignore[no-any-return]

    def run(self) -> None:
        """Copy, then remove what is no part of the project any more."""
        super().run()
        if self.editable_mode:
            return
        copied = {Path(path).resolve() for path in self.get_outputs()}
        for path in Path(self.build_lib).glob("netwatch/**/*"):
            if (
                path.is_file()
                and path.suffix not in COMPILED_SUFFIXES
                and path.resolve() not in copied
            ):
                path.unlink()


class EditableByPath(editable_wheel):
    """Makes an editable installation of the path of the checkout.

    For packages outside of ``netwatch`` (`package-dir`) setuptools would make an import finder.
    Type checkers cannot follow one, and it gives way to any folder called netwatch.
    """

    def finalize_options(self) -> None:
        """Leave the signatures to the package, which finds them in a checkout."""
        super().finalize_options()
        self.package_dir = {"": "."}


class SdistWithC(sdist):
    """An sdist that contains the generated C, and the man pages."""

    def run(self) -> None:
        """Translate before the files are collected."""
        if not is_translated():
            translate()
        for each in self.distribution.ext_modules:
            each.sources = [path_of(each.name, ".c")]
        super().run()

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        """Record the digest and the man pages in the sdist alone: in a checkout sources change."""
        super().make_release_tree(base_dir, files)
        digest = Path(base_dir) / DIGEST
        digest.parent.mkdir(exist_ok=True)
        digest.unlink(missing_ok=True)  # it may be a hard link to the file of another sdist
        digest.write_text(source_digest() + "\n", encoding="ascii")
        if pages := os.environ.get("NETWATCH_MANUAL"):
            shutil.copytree(Path(pages), Path(base_dir) / MANUAL, dirs_exist_ok=True)
