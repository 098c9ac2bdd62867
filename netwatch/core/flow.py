"""A conversation as the flow table knows it when it is over."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from netwatch.core.frame import Frame

NameStatus = Literal[
    "none", "truncated", "no-sni", "named", "ech", "encrypted-dns", "vpn", "relay", "tor"
]
"""What a flow's messages told of its name, the last known of these in this order."""

GRACE = 300_000_000_000
"""How long after its TTL a DNS answer may still be in use, ns: caches keep a floor."""

NAME_STATUSES: tuple[NameStatus, ...] = get_args(NameStatus)
"""By number, as the flow table holds them: a later one stands over an earlier one."""

BYPASS: tuple[NameStatus, ...] = ("encrypted-dns", "vpn", "relay", "tor")
"""Categories of apps that hide from the wire what a device asks for; a flow to one has the
name_status of that name."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A conversation that is over, or as far as the capture went: a TCP connection, or
    what two UDP ports said to each other; lookups on DNS's own ports are none.

    `first` and `last` are the times of its packets in ns, bytes are transport payload out
    of and into the client. The client is who opened it; where the capture started in
    mid-flow (`opened` false) it is the end with the greater port. `waiting` says that
    it began a message that never became whole. `source` and `packet` are those of its
    first packet, `flow` is its name in observations, `frames` what the first packet came
    in, where it is kept.
    """

    first: int
    last: int
    transport: Literal["tcp", "udp"]
    client_ip: bytes
    client_port: int
    server_ip: bytes
    server_port: int
    vlan: int | None
    bytes_out: int
    bytes_in: int
    name_status: NameStatus
    opened: bool
    waiting: bool
    source: str = ""
    packet: int = 0
    client_mac: bytes | None = None
    flow: int = field(default=0, compare=False)
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)
