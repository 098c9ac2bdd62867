"""An observation as the Python API gives it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from netwatch.api.parts import Dns, Endpoint, Log, Quic, Tls
from netwatch.api.view import Record
from netwatch.core.message import Evidence

_NOBODY = Endpoint()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation(Record):
    """One name that one device showed, with its evidence: the record of an observation with its
    keys as attributes, None where a key is left out. `time` is aware and in UTC, in microseconds;
    `record` has it as fine as the capture."""

    __hash__ = Record.__hash__

    time: datetime
    evidence: Evidence
    name: str
    raw: str | None = None
    client: Endpoint = _NOBODY
    server: Endpoint = _NOBODY
    transport: Literal["tcp", "udp"]
    vlan: int | None = None
    community_id: str | None = None
    source: str
    packet: int | None = None
    sensor: str | None = None
    dns: Dns | None = None
    tls: Tls | None = None
    quic: Quic | None = None
    log: Log | None = None
