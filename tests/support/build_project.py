"""A project folder to build in, and a small one whose every build takes seconds."""

import os
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

PYPROJECT = """[build-system]
requires = ["setuptools>=77"]
build-backend = "build_backend"
backend-path = ["packaging"]

[project]
name = "netwatch-bans"
version = "0.1.0"

[tool.setuptools]
include-package-data = false
packages = ["netwatch"]

[tool.netwatch]
compiled = [
    "netwatch.one",
    "netwatch.two",
]
"""
MODULES = {
    "__init__.py": "",
    "one.py": "import cython\n\n\ndef f(data: cython.uchar[::1]) -> int:\n    return data[0]\n",
    "two.py": "from netwatch import one\n\n\ndef g() -> int:\n    return one.f(bytearray([7]))\n",
}
BLOCKED = "raise ImportError('Cython is not installed here')\n"


@dataclass(frozen=True)
class Project:
    """A folder to build in."""

    root: Path

    def run(
        self, code: str, *, cython: bool = True, compiler: Path | str = "", required: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run Python code in the project, with or without Cython, with another C compiler."""
        environment = dict(os.environ)
        paths = [str(self.root / "packaging"), str(self.root)]
        if not cython:
            hidden = self.root.parent / "hidden"
            hidden.mkdir(exist_ok=True)
            for name in ("Cython.py", "cython.py"):
                (hidden / name).write_text(BLOCKED)
            paths.insert(0, str(hidden))
        environment["PYTHONPATH"] = os.pathsep.join(paths)
        environment["NETWATCH_COMPILED"] = "required" if required else ""
        if compiler:
            environment["CC"] = str(compiler)
        return subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=1200,  # to translate everything takes a busy machine many minutes
        )

    def setup(self, *arguments: str, **options: bool | Path | str) -> str:
        """Run setup.py, which has to succeed; its output."""
        code = "import runpy, sys\nsys.argv = ['setup.py', *%r]\nrunpy.run_path('setup.py')"
        done = self.run(code % (arguments,), **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def build(self, hook: str, **options: bool | Path | str) -> Path:
        """Call a hook of the build backend (PEP 517), which has to succeed; the file it made."""
        code = f"import build_backend\nprint('built:', build_backend.{hook}('dist'))"
        done = self.run(code, **options)
        assert done.returncode == 0, done.stderr
        return self.root / "dist" / done.stdout.rpartition("built: ")[2].strip()

    def requires(self, hook: str, **options: bool) -> list[str]:
        """What a hook of the build backend requires beside setuptools."""
        done = self.run(f"import build_backend\nprint(*build_backend.{hook}())", **options)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1].split()

    def change(self, path: str, old: str, new: str) -> None:
        """Replace a text in a file of the package."""
        file = self.root / "netwatch" / path
        text = file.read_text()
        assert old in text, path
        file.write_text(text.replace(old, new))

    def compiled(self) -> set[str]:
        """The compiled modules in the source tree."""
        return {path.name.partition(".")[0] for path in self.root.glob("netwatch/*.so")}


def unpacked(sdist: Path, folder: Path) -> Project:
    """An sdist unpacked in a folder."""
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    return Project(folder / "netwatch_bans-0.1.0")
