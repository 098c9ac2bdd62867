"""Systems of Debian in folders, into which packages are installed.

`mmdebstrap` makes them once; they are kept as archives in build/system-roots, and each test gets
one unpacked. Commands run inside of them in a mount namespace of their own.
"""

import fcntl
import hashlib
import os
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.paths import ROOT
from support.programs import require_programs

SUITE = "trixie"
CACHE = ROOT / "build" / "system-roots"

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}
"""The environment of every command in a root."""

_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
_NEEDED = "systemd systemd-sysv passwd python3.13 python3.13-venv ca-certificates logrotate"
"""What a machine has on which netwatch is installed as a service, and what
installs a wheel."""

_OTHERS = (
    *("dev/", "proc/", "run/", "sys/", "tmp/", "root/"),
    *("var/cache/", "var/lib/apt/", "var/lib/dpkg/", "var/lib/rpm/", "var/lib/systemd/"),
    "var/lib/logrotate/",
    *("var/log/apt/", "var/log/dpkg.log", "var/log/alternatives.log", "var/log/journal/"),
    *("etc/ld.so.cache", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/gshadow-"),
    *("etc/.pwd.lock", "etc/machine-id", "etc/resolv.conf", "etc/subuid-", "etc/subgid-"),
    *("usr/lib/sysimage/rpm/", "var/log/wtmp", "var/log/lastlog", "var/log/btmp"),
)
"""What package managers and systemd write for themselves: their databases, logs and caches."""


@dataclass(frozen=True)
class SystemRoot:
    """A system in a folder."""

    path: Path

    def run(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command inside of it as root. All processes that it started end with it."""
        done = subprocess.run(
            [
                *("unshare", "--fork", "--pid", "--mount", "--kill-child"),
                *(f"--root={self.path}", "--wd=/", "--mount-proc=/proc", *command),
            ],
            env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
        return done

    def read(self, path: str) -> str:
        """A file of it."""
        return (self.path / path.lstrip("/")).read_text(encoding="utf-8")

    def listing(self) -> dict[str, str]:
        """What is where: kind, permissions and owners; of files below /etc also what they say.
        Without what package managers and systemd write for themselves."""
        found = {}
        for folder, folders, files in os.walk(self.path):
            for name in (*folders, *files):
                path = Path(folder, name)
                shown = path.relative_to(self.path).as_posix()
                if f"{shown}/".startswith(_OTHERS) or shown in _OTHERS:
                    continue
                status = path.lstat()
                text = f"{stat.filemode(status.st_mode)} {status.st_uid}:{status.st_gid}"
                if path.is_symlink():
                    text += f" {path.readlink()}"
                elif shown.startswith("etc/") and path.is_file():
                    text += f" {hashlib.sha256(path.read_bytes()).hexdigest()}"
                found[shown] = text
        return found


def differences(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What a listing has and another has not, or has otherwise."""
    return [
        f"{path}: {before.get(path, 'missing')} -> {after.get(path, 'missing')}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]


@contextmanager
def bare_root() -> Iterator[SystemRoot]:
    """A system that has the package manager and what it needs, nothing else."""
    with _unpacked(bare_archive()) as root:
        yield root


@contextmanager
def service_root() -> Iterator[SystemRoot]:
    """A system with systemd and everything that the packages depend on."""
    with _unpacked(_archive("service", _make_service)) as root:
        yield root


def bare_archive() -> Path:
    """A system with apt and what it needs, as an archive."""
    return _archive("bare", _make_bare)


def _archive(name: str, make: Callable[[Path], None]) -> Path:
    """The archive of a root, which is made where it is missing."""
    require_programs("mmdebstrap", "unshare")
    if os.geteuid():
        pytest.skip("system roots need root")
    CACHE.mkdir(parents=True, exist_ok=True)
    archive = CACHE / f"debian-{SUITE}-{name}.tar"
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not archive.exists():
            partial = archive.with_suffix(".partial.tar")
            make(partial)
            partial.rename(archive)
    return archive


def _make_bare(archive: Path) -> None:
    # The mirror of this machine, where it has the same system.
    sources = [str(_SOURCES)] if SUITE in _text(_SOURCES) else []
    command = ["mmdebstrap", "--variant=apt", "--mode=root", SUITE, str(archive), *sources]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    if done.returncode:
        pytest.skip(f"mmdebstrap cannot make a system here: {done.stderr[-500:]}")


def _make_service(archive: Path) -> None:
    with bare_root() as root:
        root.run("apt-get", "update", "-q")
        root.run("apt-get", "install", "-q", "-y", "--no-install-recommends", *_NEEDED.split())
        root.run("apt-get", "clean")
        # Written when they are first needed, otherwise.
        root.run("systemd-tmpfiles", "--create")
        subprocess.run(["tar", "-C", root.path, "-cf", archive, "."], check=True)


@contextmanager
def _unpacked(archive: Path) -> Iterator[SystemRoot]:
    with tempfile.TemporaryDirectory(prefix="netwatch-root-", dir="/var/tmp") as folder:
        root = Path(folder)
        subprocess.run(["tar", "-C", root, "--numeric-owner", "-xpf", archive], check=True)
        root.chmod(0o755)
        yield SystemRoot(root)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""
