"""What it takes to capture, what of it is there, and how it is given up.

Capturing takes one right, CAP_NET_RAW (capabilities(7)), and only while sockets are
opened. So a program that was started as root opens its sources first and then becomes
another user for good. What is imported later has to be readable for that user.
"""

import contextlib
import ctypes
import grp
import os
import pwd
import sys
from pathlib import Path

from netwatch.core.errors import NetwatchError

NET_RAW = 13
"""CAP_NET_RAW (linux/capability.h)."""

_STATUS = Path("/proc/self/status")
_NO_NEW_PRIVS = 38


def capabilities() -> int | None:
    """The capabilities in force, bit by bit; None where the system has none to tell of."""
    with contextlib.suppress(OSError):
        for line in _STATUS.read_bytes().splitlines():
            key, _, value = line.partition(b":")
            if key == b"CapEff":
                return int(value, 16)
    return None


def may_capture() -> bool:
    """Whether the rights are there: CAP_NET_RAW, or root where there are no capabilities."""
    held = capabilities()
    return os.geteuid() == 0 if held is None else bool(held >> NET_RAW & 1)


def grants(program: str | None = None) -> list[str]:
    """What an admin does to grant the right, a way a line: the exact command or setting.
    `program` is the file that is to have it, else the interpreter that runs."""
    found = str(Path(program or sys.executable).resolve())
    if sys.platform != "linux":
        return ["start it as root (sudo)"]
    return [
        f"setcap cap_net_raw=ep {found} (for whoever may run that file{_whose(found)})",
        "systemd unit: AmbientCapabilities=CAP_NET_RAW, CapabilityBoundingSet=CAP_NET_RAW",
        "docker: --cap-add NET_RAW --network host",
        "or start it as root with a user to become when the interfaces are open",
    ]


def _whose(file: str) -> str:
    """A warning where the file of the interpreter is not that of this environment alone."""
    if sys.prefix == sys.base_prefix or Path(file).is_relative_to(sys.prefix):
        return ""
    return "; every Python program runs it, `python3 -m venv --copies` makes one for netwatch alone"


def drop(user: str, group: str | None = None) -> None:
    """Become `user` for good, in `group` (else the user's own) and no other; called by
    root when all sources are open. No capability is kept, and none can be got again.

    Raises `NetwatchError` where that cannot be or did not take; who calls must not go on
    then. A process that runs as the user already keeps what it has.
    """
    try:
        entry = pwd.getpwnam(user)
        gid = entry.pw_gid if group is None else grp.getgrnam(group).gr_gid
    except KeyError:
        missing = f"group '{group}'" if _known(user) else f"user '{user}'"
        raise NetwatchError(f"there is no {missing} on this machine") from None
    if entry.pw_uid == 0:
        raise NetwatchError(f"user '{user}' is root, expected one with fewer rights")
    if os.getresuid() == (entry.pw_uid,) * 3:
        return
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    except PermissionError:
        raise NetwatchError(f"only root can become user '{user}'") from None
    _shut()
    _check(entry.pw_uid, gid)


def _known(user: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


def _shut() -> None:
    """Let no program that is started from here have more rights (prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)


def _check(uid: int, gid: int) -> None:
    """Raise `NetwatchError` unless the rights are really gone."""
    back = True
    try:
        os.setuid(0)
    except PermissionError:
        back = False
    held = capabilities()
    if (
        back
        or os.getresuid() != (uid,) * 3
        or os.getresgid() != (gid,) * 3
        or os.getgroups() not in ([], [gid])
        or held
    ):
        raise NetwatchError("rights of root are still there after they were dropped")
