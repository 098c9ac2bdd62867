"""Network interfaces of Linux: what they are called, what they carry, how they are.

A socket is asked, not the system's files, so that the answers are those of the network
namespace that the socket was opened in (netdevice(7)).
"""

import errno
import fcntl
import socket
import struct
from dataclasses import dataclass

from netwatch.core.errors import CaptureError

ETHERNET, RAW, RADIOTAP, WLAN, FDDI = 1, 101, 127, 105, 10
"""LINKTYPE_ numbers (tcpdump.org)."""

LOOPBACK = 772

HARDWARE: dict[int, int] = {
    1: ETHERNET,
    LOOPBACK: ETHERNET,  # in Ethernet frames without addresses
    512: RAW,  # PPP; the kernel has taken its header off
    519: RAW,  # raw IP of modems
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
"""ARPHRD_ (linux/if_arp.h) to LINKTYPE_. Of tunnels the IP packets inside are taken:
what stands before them differs by direction."""

_SIOCGIFFLAGS, _SIOCGIFMTU, _SIOCGIFHWADDR, _SIOCGIFINDEX = 0x8913, 0x8921, 0x8927, 0x8933
_UP, _RUNNING = 0x1, 0x40
_LONGEST = 15


@dataclass(frozen=True, slots=True)
class State:
    """An interface as it is now: `index` changes when it is made anew; `hardware` is its
    ARPHRD_ number, `mtu` in bytes; `up` is whether it was set up, `running` whether its
    link is there too."""

    index: int
    hardware: int
    mtu: int
    up: bool
    running: bool

    @property
    def link_type(self) -> int | None:
        """Its LINKTYPE_ number; None where it is not read."""
        return HARDWARE.get(self.hardware)


def carries(state: State | None) -> bool:
    """Whether packets can come: it is there, set up, and has a link."""
    return state is not None and state.up and state.running


def names() -> list[str]:
    """The interfaces there are, in the system's order."""
    return [name for _, name in socket.if_nameindex()]


def asked() -> socket.socket:
    """A socket to ask through, in the namespace of who calls; it takes no rights."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)


def look(asked: socket.socket, name: str) -> State | None:
    """The state of the interface `name` in the namespace of any socket; None where there
    is none of that name. Raises `CaptureError` where the system does not tell."""
    encoded = name.encode()
    if not encoded or len(encoded) > _LONGEST or b"\0" in encoded:
        return None
    request = struct.pack("16s24x", encoded)

    def ask(what: int, form: str) -> int:
        answer = fcntl.ioctl(asked, what, request)
        return int(struct.unpack_from(form, answer, 16)[0])

    try:
        flags = ask(_SIOCGIFFLAGS, "=H")
        return State(
            index=ask(_SIOCGIFINDEX, "=i"),
            hardware=ask(_SIOCGIFHWADDR, "=H"),
            mtu=ask(_SIOCGIFMTU, "=i"),
            up=bool(flags & _UP),
            running=bool(flags & _RUNNING),
        )
    except OSError as error:
        if error.errno == errno.ENODEV:
            return None
        raise CaptureError(f"{name}: cannot be looked at: {error.strerror}") from None


def need(asked: socket.socket, name: str) -> tuple[State, int]:
    """State and LINKTYPE_ number of an interface that can be read; else raises
    `CaptureError` with what there is instead."""
    state = look(asked, name)
    if state is None:
        there = ", ".join(names()) or "none"
        raise CaptureError(f"{name}: no such interface, expected one of: {there}")
    link_type = state.link_type
    if link_type is None:
        raise CaptureError(
            f"{name}: is of hardware type {state.hardware} (ARPHRD_ of linux/if_arp.h), which is"
            " not read; expected Ethernet, loopback, WLAN, FDDI, PPP or a tunnel of IP"
        )
    return state, link_type
