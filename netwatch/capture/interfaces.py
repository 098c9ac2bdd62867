"""The network interfaces of Linux: their names, link types and states.

The queries are ioctls on a socket (netdevice(7)) and not files below /sys, so that the answers are
those of the network namespace in which the socket was opened.
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
