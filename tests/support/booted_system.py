"""Boots a system root: its systemd as process 1 of namespaces and a control group of its own."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.live import children
from support.namespaces import Namespace
from support.programs import require_programs
from support.system_root import ENVIRONMENT, SystemRoot
from support.waiting import TimedOutError, wait_until

# `ip netns exec` hides the control groups of this system.
_ENTER = """
set -e
echo $$ >"$1/cgroup.procs"
shift
exec "$@"
"""
_UNSHARE = ("unshare", "--fork", "--pid", "--mount", "--cgroup", "--ipc", "--uts", "--kill-child")
_BOOT = """
set -eu
root=$1
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
for folder in run tmp dev; do mount -t tmpfs tmpfs "$root/$folder"; done
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "$root/dev/${node%:*}" c 1 "${node#*:}"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs tmpfs "$root/dev/shm"
cd "$root"
pivot_root . mnt
umount -l /mnt
exec env -i container=other PATH="$PATH" /lib/systemd/systemd --show-status=false
"""
_BOOT_TIMEOUT = 120.0


@dataclass(frozen=True)
class BootedSystem:
    """A system whose systemd runs; `pid` is its process, as this system counts it."""

    root: SystemRoot
    pid: int

    def run(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Run a command inside of it as root."""
        done = subprocess.run(
            [
                *("nsenter", f"--target={self.pid}", "--mount", "--pid", "--ipc", "--uts", "--net"),
                *("--cgroup", "--root", "--wdns=/", *command),
            ],
            env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert not check or done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
        return done

    def unit(self, name: str) -> dict[str, str]:
        """The properties of a unit."""
        lines = self.run("systemctl", "show", name).stdout.splitlines()
        return {key: value for key, _, value in (line.partition("=") for line in lines)}


@contextmanager
def booted(root: SystemRoot, network: Namespace) -> Iterator[BootedSystem]:
    """Boot a system in a network namespace. Skips the test where systemd does not come up."""
    require_programs("unshare", "nsenter", "ip")
    with _control_group() as group, tempfile.TemporaryFile() as log:
        command = network.inside(*_UNSHARE, "sh", "-c", _BOOT, "sh", str(root.path))
        process = subprocess.Popen(
            ["sh", "-c", _ENTER, "sh", str(group), *command],
            env={**os.environ, **ENVIRONMENT}, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            system = _wait_for_systemd(root, process)
            if system is None:
                log.seek(0)
                pytest.skip(f"systemd does not boot here: {log.read().decode()[-500:]}")
            yield system
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _wait_for_systemd(root: SystemRoot, process: "subprocess.Popen[bytes]") -> BootedSystem | None:
    """The system once it has started everything; none where it did not come up."""

    def is_up() -> BootedSystem | None:
        started = children(process.pid)
        if not started:
            return None
        system = BootedSystem(root, started[0])
        state = system.run("systemctl", "is-system-running", check=False).stdout.strip()
        return system if state in ("running", "degraded") else None

    try:
        wait_until(lambda: process.poll() is not None or is_up(), timeout=_BOOT_TIMEOUT)
    except TimedOutError:
        return None
    return is_up() if process.poll() is None else None


@contextmanager
def _control_group() -> Iterator[Path]:
    """A control group below that of this process, removed with all that systemd makes in it."""
    mounted = [
        words[1]
        for words in map(str.split, Path("/proc/self/mounts").read_text().splitlines())
        if words[2] == "cgroup2"
    ]
    own = [
        line.removeprefix("0::")
        for line in Path("/proc/self/cgroup").read_text().splitlines()
        if line.startswith("0::")
    ]
    if not mounted or not own:
        pytest.skip("systemd needs a control group, and version 2 of them is not mounted here")
    group = Path(mounted[0] + own[0].rstrip("/")) / f"netwatch-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"systemd needs a control group: {error}")
    try:
        yield group
    finally:
        wait_until(lambda: _removed(group), "the processes of the system have ended")


def _removed(group: Path) -> bool:
    """Remove a group and those in it; whether all could be."""
    try:
        for path in sorted((each for each in group.rglob("*") if each.is_dir()), reverse=True):
            path.rmdir()
        group.rmdir()
    except OSError:
        return False
    return True
