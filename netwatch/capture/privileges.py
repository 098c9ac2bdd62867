"""The privileges that capturing needs: how to check, grant and drop them.

Capturing needs one capability, CAP_NET_RAW (capabilities(7)), and only while sockets are opened. A
process that was started as root therefore opens its sources first and then permanently becomes
another user. Modules that are imported later must be readable for that user.
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
_PR_SET_NO_NEW_PRIVS = 38


def effective_capabilities() -> int | None:
    """The effective capabilities as a bit mask, None on a system without capabilities."""
    with contextlib.suppress(OSError):
        for line in _STATUS.read_bytes().splitlines():
            key, _, value = line.partition(b":")
            if key == b"CapEff":
                return int(value, 16)
    return None


def can_capture() -> bool:
    """Whether this process has CAP_NET_RAW, or is root on a system without capabilities."""
    effective = effective_capabilities()
    return os.geteuid() == 0 if effective is None else bool(effective >> NET_RAW & 1)


def grant_instructions(program: str | None = None) -> list[str]:
    """The ways to grant CAP_NET_RAW, one per line, with the exact command or setting.

    `program` is the file that is to have the capability, by default the running interpreter.
    """
    found = str(Path(program or sys.executable).resolve())
    if sys.platform != "linux":
        return ["start it as root (sudo)"]
    warning = _shared_interpreter_warning(found)
    return [
        f"setcap cap_net_raw=ep {found} (for everybody who may run that file{warning})",
        "systemd unit: AmbientCapabilities=CAP_NET_RAW, CapabilityBoundingSet=CAP_NET_RAW",
        "docker: --cap-add NET_RAW --network host",
        "or start it as root with --user, the user to become after opening the interfaces",
    ]


def _shared_interpreter_warning(file: str) -> str:
    """A warning if the file of the interpreter does not belong to this environment only."""
    if sys.prefix == sys.base_prefix or Path(file).is_relative_to(sys.prefix):
        return ""
    return "; every Python program uses it, `python3 -m venv --copies` makes one for netwatch only"


def drop_privileges(user: str, group: str | None = None) -> None:
    """Permanently become `user`, with `group` (by default the group of the user) as only group.

    Called as root after all sources were opened. All capabilities are dropped, and none can be
    regained. Does nothing if the process already runs as that user. Raises `NetwatchError` if the
    privileges cannot be dropped; the caller must not continue then.
    """
    try:
        entry = pwd.getpwnam(user)
        gid = entry.pw_gid if group is None else grp.getgrnam(group).gr_gid
    except KeyError:
        missing = f"group '{group}'" if _user_exists(user) else f"user '{user}'"
        raise NetwatchError(f"there is no {missing} on this machine") from None
    if entry.pw_uid == 0:
        raise NetwatchError(f"user '{user}' is root, expected an unprivileged user")
    if os.getresuid() == (entry.pw_uid,) * 3:
        return
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    except PermissionError:
        raise NetwatchError(f"only root can become user '{user}'") from None
    _forbid_new_privileges()
    _verify_dropped(entry.pw_uid, gid)


def _user_exists(user: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


def _forbid_new_privileges() -> None:
    """Set PR_SET_NO_NEW_PRIVS (prctl(2)): no program started from here gains privileges."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def _verify_dropped(uid: int, gid: int) -> None:
    """Raise `NetwatchError` unless the privileges were dropped."""
    can_regain_root = True
    try:
        os.setuid(0)
    except PermissionError:
        can_regain_root = False
    remaining = effective_capabilities()
    if (
        can_regain_root
        or os.getresuid() != (uid,) * 3
        or os.getresgid() != (gid,) * 3
        or os.getgroups() not in ([], [gid])
        or remaining
    ):
        raise NetwatchError("privileges of root remain after they were dropped")
