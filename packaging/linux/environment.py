"""The private environment of the packages: a virtual environment with everything in Python that
netwatch needs, as the interpreter of the target system finds it.

Its wheels are downloaded for the oldest glibc that netwatch's own wheels support, then installed
without an index, so that the same wheels give the same files. Bytecode is part of the package: the
service may not write into /usr, and compiling at each start would take seconds.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from linux.libraries import shared_objects
from linux.unused import prune, prune_bytecode
from wheels import OLDEST_GLIBC

PREFIX = "/usr/lib/netwatch"
"""Where the environment is installed."""

_FROM_SOURCE = ("nkeys>=0.2",)
"""What is published without a wheel. It is plain Python."""

_WITHOUT_BYTECODE = ("apprise/plugins", "dpkt", "oauthlib", "scapy")
"""What one output and one command import, which takes up to a second longer without. Its bytecode
would be a tenth of the environment."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The Python of the target system: the command here, ``(3, 13)``, and the machine."""

    command: str
    version: tuple[int, int]
    machine: str

    @classmethod
    def find(cls, command: str, environment: Mapping[str, str]) -> "Interpreter":
        """Ask a command what it is. Ends the program where it has no pip."""
        code = (
            "import json, platform, sys, pip;"
            "print(json.dumps([*sys.version_info[:2], platform.machine()]))"
        )
        major, minor, machine = json.loads(run([command, "-c", code], environment))
        return cls(command, (major, minor), machine)

    @property
    def name(self) -> str:
        """Its name in both distributions, such as ``python3.13``."""
        return f"python{self.version[0]}.{self.version[1]}"

    @property
    def site_packages(self) -> str:
        """Where the environment has its modules."""
        return f"{PREFIX}/lib/{self.name}/site-packages"

    @property
    def platforms(self) -> list[str]:
        """Options that let pip choose among wheels for the oldest supported glibc."""
        newest = int(OLDEST_GLIBC.split("_")[1])
        tags = [f"manylinux_2_{minor}" for minor in range(newest, 4, -1)]
        tags += ["manylinux2014", "manylinux2010", "manylinux1"]
        return [word for tag in tags for word in ("--platform", f"{tag}_{self.machine}")]


def download(
    interpreter: Interpreter,
    wheel: Path,
    extras: Sequence[str],
    house: Path,
    environment: Mapping[str, str],
) -> None:
    """Fill a folder with the wheels of a wheel's dependencies, the newest that its requirements
    (and those of PIP_CONSTRAINT) allow."""
    house.mkdir(parents=True)
    pip = [interpreter.command, "-m", "pip"]
    run([*pip, "wheel", "-q", "--no-deps", "-w", str(house), *_FROM_SOURCE], environment)
    run(
        [
            *(*pip, "download", "-q", "--only-binary=:all:", *interpreter.platforms),
            *("--find-links", str(house), "--dest", str(house), _with_extras(wheel, extras)),
        ],
        environment,
    )


def fill(
    interpreter: Interpreter,
    wheel: Path,
    extras: Sequence[str],
    house: Path,
    target: Path,
    environment: Mapping[str, str],
    without: Sequence[str] = (),
) -> Path:
    """Install a wheel and its dependencies into a folder, from a folder of wheels alone; all but
    the libraries `without`."""
    run(
        [
            *(interpreter.command, "-m", "pip", "install", "-q", "--root-user-action=ignore"),
            *("--no-index", "--no-compile", "--only-binary=:all:", *interpreter.platforms),
            *("--find-links", str(house), "--target", str(target), _with_extras(wheel, extras)),
        ],
        # A folder of wheels that the machine is configured with would add others.
        {**environment, "PIP_CONFIG_FILE": os.devnull},
    )
    for name in ("bin", "share"):
        shutil.rmtree(target / name, ignore_errors=True)
    prune(target, without)
    # Half of the size of the shared objects in wheels is for debuggers and linkers.
    run(["strip", "--strip-unneeded", *map(str, shared_objects(target))], environment)
    # One process: what other files have interned changes how a name is written.
    run(
        [
            *(interpreter.command, "-m", "compileall", "-q", "-j1"),
            *("--invalidation-mode", "unchecked-hash"),
            *("-x", rf"^{re.escape(str(target))}/({'|'.join(_WITHOUT_BYTECODE)})/"),
            *("-s", str(target), "-p", interpreter.site_packages, str(target)),
        ],
        environment,
    )
    prune_bytecode(target)
    return target


def subtract(whole: Path, base: Path) -> None:
    """Remove from a folder what another has. Ends the program where they differ."""
    for path in sorted(base.rglob("*")):
        other = whole / path.relative_to(base)
        if path.is_dir():
            continue
        if path.suffix != ".pyc" and path.read_bytes() != other.read_bytes():
            sys.exit(f"{other.name} differs between the packages")
        other.unlink()
    for path in sorted(whole.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """What a command prints. Where it fails, what it printed is the message."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def _with_extras(wheel: Path, extras: Sequence[str]) -> str:
    return f"{wheel.resolve()}[{','.join(extras)}]"
