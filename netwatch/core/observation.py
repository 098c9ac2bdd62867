# cython: language_level=3
"""Observations: one name that one device showed on the network, with its evidence."""

from dataclasses import dataclass, field
from typing import Literal

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.frame import Frame
from netwatch.core.message import Evidence
from netwatch.core.seen import LogInfo

if cython.compiled:
    from cython.cimports.netwatch.core.message import DnsInfo, QuicInfo, TlsInfo
else:
    from netwatch.core.message import DnsInfo, QuicInfo, TlsInfo


@cython.cclass
@dataclass(frozen=True)
class Observation:
    """One name that one device showed on the network, with its evidence.

    `time` is in ns with `time_digits` significant digits after the second. `source` is the file
    or interface and `packet` the number of the packet in it, from 1; where `log` is given, it is
    the number of the record in that log (of the line, where it has lines). A log may lack the
    server (empty), a port (0), and the address of the client (empty); then `client_host` may be its
    host name there. `flow_id` identifies the
    flow within one run. `raw` is the name as it is in the packet, empty where that is `name`,
    `asked` the name that was asked for, where `name` is an alias of it.
    `frames` are the frames that prove the observation, if frames are stored: read without any other
    packet, they show the same name. `mark` says how the packet was seen (`netwatch.core.seen`), 0
    in a log.
    """

    time: int
    time_digits: int
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
    flow_id: int = 0
    dns: DnsInfo | None = None
    tls: TlsInfo | None = None
    quic: QuicInfo | None = None
    raw: str = ""
    asked: str = ""
    client_host: str = ""
    log: LogInfo | None = None
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)
    mark: int = 0
