# cython: language_level=3
"""One name that one device showed on the wire, with its evidence."""

from dataclasses import dataclass, field
from typing import Literal

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

from netwatch.core.frame import Frame
from netwatch.core.message import Evidence

if cython.compiled:
    from cython.cimports.netwatch.core.message import DnsInfo, QuicInfo, TlsInfo
else:
    from netwatch.core.message import DnsInfo, QuicInfo, TlsInfo


@cython.cclass
@dataclass(frozen=True)
class Observation:
    """One name that one device showed on the wire, with its evidence.

    `frames` are the packets that prove it, where they are kept: read alone, they show the
    same.
    """

    time: int
    digits: int
    evidence: Evidence
    name: str
    client_ip: bytes
    client_port: int
    client_mac: bytes | None
    server_ip: bytes
    server_port: int
    transport: Literal["tcp", "udp"]
    vlan: int | None
    source: str
    packet: int
    flow: int = 0
    dns: DnsInfo | None = None
    tls: TlsInfo | None = None
    quic: QuicInfo | None = None
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)
