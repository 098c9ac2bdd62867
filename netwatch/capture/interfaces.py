"""The network interfaces of Linux (their names, link types and states), and the privileges that
capturing on them needs: how to check, grant and drop these.

The queries are ioctls on a socket (netdevice(7)) and not files below /sys, so that the answers are
for the network namespace in which the socket was opened.

Capturing needs one capability, CAP_NET_RAW (capabilities(7)), and only while sockets are opened. A
process that was started as root therefore opens its sources first and then permanently becomes
another user. Modules that are imported later must be readable for that user.
"""

import contextlib
import ctypes
import errno
import fcntl
import grp
import os
import pwd
import socket
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.errors import CaptureError, NetwatchError
from netwatch.core.system.files import become, group_ids, is_root, user_ids

ETHERNET, RAW, RADIOTAP, WLAN, FDDI = 1, 101, 127, 105, 10
"""LINKTYPE_ numbers (tcpdump.org)."""

LOOPBACK = 772
"""ARPHRD_LOOPBACK (linux/if_arp.h)."""

LINK_TYPES: dict[int, int] = {
    1: ETHERNET,
    LOOPBACK: ETHERNET,  # Ethernet frames with addresses of zeros
    512: RAW,  # PPP; the kernel removes its header
    519: RAW,  # raw IP of mobile modems
    768: RAW,  # IP in IP
    769: RAW,  # IPv6 tunnels
    774: FDDI,
    776: RAW,  # IPv6 in IPv4
    778: RAW,  # GRE over IPv4
    801: WLAN,
    803: RADIOTAP,
    823: RAW,  # GRE over IPv6
    65534: RAW,  # tun, WireGuard
}
"""LINKTYPE_ numbers by ARPHRD_ number (linux/if_arp.h). Tunnels are captured without their headers,
which differ by direction."""

_SIOCGIFFLAGS, _SIOCGIFMTU, _SIOCGIFHWADDR, _SIOCGIFINDEX = 0x8913, 0x8921, 0x8927, 0x8933
_UP, _RUNNING = 0x1, 0x40
_MAX_NAME = 15

NET_RAW = 13
"""CAP_NET_RAW (linux/capability.h)."""

CAPTURE_NICENESS = -15
"""The niceness of a capture (setpriority(2)). The kernel drops packets that no process reads in
time, and everything else can wait: against six busy processes of niceness 0 on the same core a
process of niceness -15 has 83 % of it."""

_STATUS = Path("/proc/self/status")

_PR_SET_NO_NEW_PRIVS = 38

_CAPABILITY_VERSION = 0x20080522
_SETPCAP = 8


@dataclass(frozen=True, slots=True)
class InterfaceState:
    """The state of an interface.

    `index` changes when an interface is created again under the same name. `hardware` is its
    ARPHRD_ number, `mtu` is in bytes. `up` is its administrative state, `running` is true if it
    also has a link.
    """

    index: int
    hardware: int
    mtu: int
    up: bool
    running: bool

    @property
    def link_type(self) -> int | None:
        """The LINKTYPE_ number, None if such interfaces are not supported."""
        return LINK_TYPES.get(self.hardware)


def can_receive(state: InterfaceState | None) -> bool:
    """Whether packets can arrive: the interface exists, is up, and has a link."""
    return state is not None and state.up and state.running


def interface_names() -> list[str]:
    """The names of all interfaces, in the order of the system."""
    return [name for _, name in socket.if_nameindex()]


def open_query_socket() -> socket.socket:
    """A socket for queries, in the network namespace of the caller; it needs no privileges."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def query_state(query_socket: socket.socket, name: str) -> InterfaceState | None:
    """The state of the interface `name` in the network namespace of the socket, None if it does
    not exist. Raises `CaptureError` if the query fails."""
    encoded = name.encode("utf-8", "surrogateescape")
    if not encoded or len(encoded) > _MAX_NAME or b"\0" in encoded:
        return None
    request = struct.pack("16s24x", encoded)

    def ask(what: int, form: str) -> int:
        answer = fcntl.ioctl(query_socket, what, request)
        return int(struct.unpack_from(form, answer, 16)[0])

    try:
        flags = ask(_SIOCGIFFLAGS, "=H")
        return InterfaceState(
            index=ask(_SIOCGIFINDEX, "=i"),
            hardware=ask(_SIOCGIFHWADDR, "=H"),
            mtu=ask(_SIOCGIFMTU, "=i"),
            up=bool(flags & _UP),
            running=bool(flags & _RUNNING),
        )
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise CaptureError(f"{name}: cannot be queried: {error.strerror}") from None


def require_state(query_socket: socket.socket, name: str) -> tuple[InterfaceState, int]:
    """The state and the LINKTYPE_ number of an interface.

    Raises `CaptureError` if there is no such interface, with the names of those that exist, or if
    its link type is not supported.
    """
    state = query_state(query_socket, name)
    if state is None:
        existing = ", ".join(interface_names()) or "none"
        raise CaptureError(f"{name}: no such interface; expected one of {existing}")
    link_type = state.link_type
    if link_type is None:
        raise CaptureError(
            f"{name}: hardware type {state.hardware} (ARPHRD_ of linux/if_arp.h) is not supported,"
            " expected Ethernet, loopback, WLAN, FDDI, PPP or an IP tunnel"
        )
    return state, link_type


# linux/prctl.h and linux/capability.h
_PR_CAPBSET_READ, _PR_CAPBSET_DROP = 23, 24
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


def effective_capabilities() -> int | None:
    """The effective capabilities as a bit mask, None on a system without capabilities."""
    return _capabilities().get("CapEff")


def _capabilities() -> dict[str, int]:
    """The sets of capabilities of this process (proc(5)) as bit masks: ``CapInh``, ``CapPrm``,
    ``CapEff``, ``CapBnd``, ``CapAmb``. Empty on a system without capabilities."""
    sets = {}
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.startswith("Cap"):
                sets[key] = int(value, 16)
    return sets


def can_capture() -> bool:
    """Whether this process has CAP_NET_RAW or may take it, or is root on a system without
    capabilities."""
    sets = _capabilities()
    if "CapEff" not in sets:
        return is_root()
    return bool((sets["CapEff"] | sets.get("CapPrm", 0)) >> NET_RAW & 1)


def use_permitted() -> None:
    """Make CAP_NET_RAW effective if it is only permitted: with ``setcap cap_net_raw=p`` a program
    can be started even where it cannot have the capability, such as in a container without it, but
    must take it itself (capabilities(7)). If it is not permitted, nothing happens."""
    sets = _capabilities()
    permitted = sets.get("CapPrm", 0)
    effective = sets.get("CapEff", 0) | permitted & 1 << NET_RAW
    if effective == sets.get("CapEff", 0):
        return
    wanted = (effective, permitted, sets.get("CapInh", 0))
    halves = [mask >> shift & 0xFFFFFFFF for shift in (0, 32) for mask in wanted]
    # struct __user_cap_header_struct, and two struct __user_cap_data_struct (capset(2)).
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    _libc().capset(header, (ctypes.c_uint32 * 6)(*halves))


def grant_instructions(program: str | None = None) -> list[str]:
    """The ways to grant CAP_NET_RAW, one per line, with the exact command or setting.

    `program` is the file to grant the capability to, by default the running interpreter.
    """
    found = str(Path(program or sys.executable).resolve())
    if sys.platform != "linux":
        return [
            "start it as root (sudo)",
            "or let your group read the BPF devices, /dev/bpf* (ChmodBPF of Wireshark does)",
        ]
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


def raise_priority() -> None:
    """Prioritise this process, and those that it forks, over others if allowed: as root, with
    CAP_SYS_NICE, or with a suitable RLIMIT_NICE. Otherwise the niceness stays as it is."""
    if os.getpriority(os.PRIO_PROCESS, 0) > CAPTURE_NICENESS:
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, CAPTURE_NICENESS)


def drop_privileges(user: str, group: str | None = None, *, keep_groups: bool = False) -> None:
    """Permanently become `user`, with `group` (by default the group of the user) as only group, or
    with `keep_groups` with all groups of the user: files that appear later may belong to them.

    Called as root after all sources were opened. All capabilities are dropped, and none can be
    regained: every set of them is emptied, including the bounding set, which limits what a program
    with file capabilities gets. Without CAP_SETPCAP, in a container for example, the bounding set
    stays, and only PR_SET_NO_NEW_PRIVS guards against that. If the process already runs as that
    user, only its capabilities are dropped. Raises `NetwatchError` if the privileges cannot be
    dropped; the caller must not continue then.
    """
    try:
        entry = pwd.getpwnam(user)
        gid = entry.pw_gid if group is None else grp.getgrnam(group).gr_gid
    except KeyError:
        missing = f"group '{group}'" if _user_exists(user) else f"user '{user}'"
        raise NetwatchError(f"there is no {missing} on this machine") from None
    if entry.pw_uid == 0:
        raise NetwatchError(f"user '{user}' is root, expected an unprivileged user")
    if user_ids() == {entry.pw_uid}:
        _empty_capability_sets()
        _verify_capabilities(bounding=False)
        return
    # Only a process with this capability may empty the bounding set (capabilities(7)).
    bounding = bool((effective_capabilities() or 0) >> _SETPCAP & 1)
    if bounding:
        _empty_bounding_set()
    groups = sorted({*os.getgrouplist(user, gid)} - {0}) if keep_groups else []
    try:
        become(entry.pw_uid, gid, groups)
    except PermissionError:
        raise NetwatchError(f"only root can become user '{user}'") from None
    _empty_capability_sets()
    _verify_dropped(entry.pw_uid, gid, groups)
    _verify_capabilities(bounding=bounding)


def _user_exists(user: str) -> bool:
    with contextlib.suppress(KeyError):
        return bool(pwd.getpwnam(user))
    return False


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _empty_bounding_set() -> None:
    """Remove all capabilities that this kernel knows from the bounding set; it needs
    CAP_SETPCAP. Whether it worked is verified at the end."""
    if sys.platform == "linux":
        prctl, capability = _libc().prctl, 0
        while prctl(_PR_CAPBSET_READ, capability, 0, 0, 0) >= 0:
            prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
            capability += 1


def _empty_capability_sets() -> None:
    """Empty the effective, permitted, inheritable and ambient set, and set PR_SET_NO_NEW_PRIVS
    (prctl(2)), so that no program started from here gains privileges. Becoming another user does
    not empty the inheritable set, and a process that is not root may have any of them."""
    if sys.platform != "linux":
        return
    libc = _libc()
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    # struct __user_cap_header_struct, and two empty struct __user_cap_data_struct (capset(2)).
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    libc.capset(header, (ctypes.c_uint32 * 6)())


def _verify_capabilities(*, bounding: bool) -> None:
    """Raise `NetwatchError` unless all sets of capabilities are empty; the bounding set only if
    requested."""
    left = [name for name, mask in _capabilities().items() if mask]
    if not bounding and "CapBnd" in left:
        left.remove("CapBnd")
    if left:
        raise NetwatchError(f"capabilities remain after they were dropped: {', '.join(left)}")


def _verify_dropped(uid: int, gid: int, groups: list[int]) -> None:
    """Raise `NetwatchError` unless root's privileges were dropped, and no other group is left."""
    can_regain_root = True
    try:
        os.setuid(0)
    except PermissionError:
        can_regain_root = False
    if (
        can_regain_root
        or user_ids() != {uid}
        or group_ids() != {gid}
        or not {*os.getgroups()} <= {gid, *groups}
    ):
        raise NetwatchError("privileges of root remain after they were dropped")
