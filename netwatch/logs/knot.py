"""Knot Resolver: the requests and answers that its policies log.

``policy.IPTRACE`` writes the client of a request, ``policy.REQTRACE`` the request, and
``policy.DEBUG_ALWAYS`` the request and the answer (documentation of Knot Resolver, "Debugging a
single request"). Each begins with ``[reqdbg][policy][ID.00]``, with the request's id, and packets
follow as text of several lines. The journal has these lines in one record. Names are in lower case.
Lines have no time of their own.

The id is the DNS message's, so several clients may use the same one. The client is before or after
the packet, by the order of the policies, and is valid until the answer. Requests of the resolver
itself show nothing.
"""

import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from netwatch.core.limited_dict import LimitedDict
from netwatch.core.message import DnsInfo
from netwatch.logs.dns_values import (
    address,
    address_text,
    alias,
    carried_time,
    port,
    record_type,
    response_code,
    shown,
    unescaped,
)
from netwatch.logs.records import (
    MAX_PARTS,
    NOWHERE,
    Carried,
    CurrentRecord,
    Endpoint,
    Lack,
    LogEntry,
    Place,
    ReaderContext,
    RecordReader,
    Sample,
)

MAX_REQUESTS = 4096
"""Maximum number of requests whose client is known, and of those waiting for their client; the
oldest is forgotten."""

MAX_RECORDS = 512
"""Maximum number of records of an answer to read."""

_TAG = re.compile(rb"\[(?:reqdbg|policy)\s*\](?:\[policy\s*\])?\[(\d+)\.\d\d\]\s+(.*)")
_ARRIVED = re.compile(
    rb"request packet arrived from (\S+)#(\d+) to (\S+)#(\d+) \((UDP|TCP)[^)]*\)\s*"
)
_STATUS = re.compile(rb";; ->>HEADER<<- opcode: QUERY; status: ([A-Z0-9]{1,16}); id: \d+")
_RECORD = re.compile(rb"(\S+)\s+(\d{1,10})\s+([A-Z0-9]{1,16})\s+(\S.*)")
_QUESTION = re.compile(rb"(\S+)\s+([A-Z0-9]{1,16})\s*")
_NO_CLIENT: tuple[Lack, ...] = ("client",)


@dataclass(frozen=True, slots=True)
class _Request:
    """The client of a request, the transport, the line with it, and the name asked for, empty
    before its packet is read. One that `is_internal` is the resolver's own."""

    client: Endpoint = NOWHERE
    server: Endpoint = NOWHERE
    transport: Literal["tcp", "udp"] = "udp"
    arrived: Place | None = None
    name: bytes = b""
    is_internal: bool = False


_UNKNOWN = _Request()
_INTERNAL = _Request(is_internal=True)


def recognise(sample: Sample) -> int:
    """The number of lines of the sample that only Knot Resolver writes."""
    return sum(
        b"request packet" in line or b"answer packet" in line
        for line in sample.lines
        if line.startswith((b"[reqdbg]", b"[policy]")) and _TAG.match(line)
    )


class KnotReader(RecordReader):
    """Reads the records of one log of Knot Resolver."""

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        self._requests: LimitedDict[bytes, _Request] = LimitedDict(MAX_REQUESTS)
        self._waiting: OrderedDict[bytes, _Packet] = OrderedDict()
        self._packet: _Packet | None = None

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a line, or the lines of one record."""
        entries: list[LogEntry] = []
        for line in record.split(b"\n"):
            entries += self._line(line, carried)
        return entries

    def flush(self) -> Iterable[LogEntry]:
        """The packet that ends with the log, and those whose client was not logged."""
        ended = [*self._end()]
        for number in list(self._waiting):
            ended += self._without_client(number)
        return ended

    def _line(self, line: bytes, carried: Carried) -> Iterable[LogEntry]:
        found = _TAG.match(line)
        if found is None:
            return self._packet_line(line)
        ended = self._end()
        number, text = found.groups()
        if arrived := _ARRIVED.fullmatch(text):
            source, source_port, server, server_port, transport = arrived.groups()
            return [
                *ended,
                *self._arrived(
                    number,
                    _Request(
                        Endpoint(address(source), port(source_port.lstrip(b"0") or b"0")),
                        Endpoint(address(server), port(server_port.lstrip(b"0") or b"0")),
                        "tcp" if transport == b"TCP" else "udp",
                        self._current.place(carried.time or 0, carried.time_digits),
                    ),
                ),
            ]
        if text.startswith(b"request packet arrived internally"):
            return [*ended, *self._arrived(number, _INTERNAL)]
        if text.startswith((b"request packet:", b"answer packet:")):
            self._packet = _Packet(
                number, text.startswith(b"answer"), carried_time(carried), self._current
            )
        return ended

    def _arrived(self, number: bytes, request: _Request) -> Iterable[LogEntry]:
        """The client of a request: returns what its packet shows, if that was read before."""
        packet = self._waiting.pop(number, None)
        if packet is not None:
            request = replace(request, name=packet.name)
        self._requests[number] = request
        self._requests.move_to_end(number)
        return () if packet is None else _shown(packet, request)

    def _without_client(self, number: bytes) -> Iterable[LogEntry]:
        """What the packet of a request shows whose client was not logged."""
        packet = self._waiting.pop(number, None)
        return () if packet is None else _shown(packet, _UNKNOWN)

    def _packet_line(self, line: bytes) -> Iterable[LogEntry]:
        packet = self._packet
        if packet is None:
            return ()
        if line.startswith(b";; ADDITIONAL SECTION"):
            return self._end()
        packet.read(line)
        # The bytes after the question of a request do not matter.
        return self._end() if packet.name and not packet.is_answer else ()

    def _end(self) -> Iterable[LogEntry]:
        """What the packet shows that ends here."""
        packet, self._packet = self._packet, None
        if packet is None or not packet.name:
            return ()
        number, request = packet.number, self._requests.get(packet.number)
        if packet.is_answer:
            self._requests.pop(number, None)
            if request is None or request.name not in (b"", packet.name):
                request = _UNKNOWN
            return [*self._without_client(number), *_shown(packet, request)]
        if request is not None and not request.name:
            self._requests[number] = replace(request, name=packet.name)
            return _shown(packet, request)
        # The known client belongs to an earlier request with this id.
        self._requests.pop(number, None)
        before = self._without_client(number)
        self._waiting[number] = packet
        if len(self._waiting) > MAX_REQUESTS:
            before = [*before, *self._without_client(next(iter(self._waiting)))]
        return before


def _shown(packet: "_Packet", request: _Request) -> Iterable[LogEntry]:
    """What a packet shows of the client of a request."""
    if request.is_internal:
        return ()
    return shown(
        unescaped(packet.name),
        packet.info(),
        packet.when,
        request.client,
        request.server,
        request.transport,
        lacks=_NO_CLIENT if request.client.ip is None else (),
        shown_at=packet.asked_at,
        parts=tuple([at for at in (request.arrived, *packet.places) if at is not None]),
        aliases_at=packet.aliases_at,
    )


class _Packet:
    """A packet whose lines are being read, of the request with the id `number`. `asked_at` is the
    line with the name asked for, `aliases_at` the lines with the aliases, and `places` all lines
    read from it, except addresses after the first."""

    def __init__(
        self, number: bytes, is_answer: bool, when: tuple[int, int], current: CurrentRecord
    ) -> None:
        self.asked_at: Place | None = None
        self.aliases_at: dict[str, Place | None] = {}
        self.places = [current.place(*when)]
        self._current = current
        self.number = number
        self.when = when
        self.name = b""
        self.is_answer = is_answer
        self._kind = ""
        self._rcode = "NOERROR"
        self._section = b""
        self._chain: dict[str, None] = {}
        self._addresses: dict[str, int] = {}
        self._records = 0

    def read(self, line: bytes) -> None:
        """Read a line of the packet."""
        if line.startswith(b";;"):
            if found := _STATUS.match(line):
                self._rcode = response_code(found[1].decode("ascii"))
            self._section = line
        elif self._section.startswith(b";; QUESTION") and not self.name:
            if found := _QUESTION.fullmatch(line):
                self.name, self._kind = found[1], record_type(found[2].decode("ascii"))
                self.asked_at = self._keep_place()
        elif self._section.startswith(b";; ANSWER") and (found := _RECORD.fullmatch(line)):
            self._answer(found)

    def _answer(self, found: re.Match[bytes]) -> None:
        self._records += 1
        if self._records > MAX_RECORDS:
            return
        kind, data = found[3], found[4].strip()
        if kind == b"CNAME":
            target = alias(data)
            if target not in self._chain:
                self.aliases_at[target] = self._keep_place()
            self._chain[target] = None
        elif kind in (b"A", b"AAAA") and (text := address_text(data)):
            if not self._addresses:
                self._keep_place()
            self._addresses.setdefault(text, int(found[2]))

    def _keep_place(self) -> Place | None:
        place = self._current.place(*self.when)
        if len(self.places) < MAX_PARTS:
            self.places.append(place)
        return place

    def info(self) -> DnsInfo:
        """The content of the packet besides the name."""
        if not self.is_answer:
            return DnsInfo(self._kind)
        return DnsInfo(self._kind, self._rcode, tuple(self._addresses.items()), tuple(self._chain))
