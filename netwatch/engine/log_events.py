"""The records of a log as the events that an engine processes in a capture.

So a log is judged like stored events (`netwatch.engine.replay`). Flows are numbered by the log's
own identifier, so that a name and the end of its flow find each other.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from netwatch.core.flow import LOG_LINE, MAX_RECORD, Flow, Frame, LogInfo, NameStatus
from netwatch.core.limited_dict import LimitedDict
from netwatch.core.message import HANDSHAKES, Observation, Packet
from netwatch.core.names import escape_bytes
from netwatch.engine.recorded_flows import RecordedFlows
from netwatch.engine.replay import ClaimEvent, Event, LossEvent
from netwatch.flow_export.conversations import Conversation, without_port
from netwatch.logs.log_files import LogItem
from netwatch.logs.ordering import RowSink
from netwatch.logs.records import Endpoint, LogClaim, LogFlow, LogFlows, LogName, Place, log_flow
from netwatch.logs.registry import LOG_FORMATS

FLOW_LIMIT = 65_536
"""Identifiers of flows of one log to know at a time."""

MAX_WORD = 256
"""Characters of a log's name for a client, or of what denied its request."""

DNS_PORT = 53
"""The port whose conversations are lookups, not flows."""

FindAddress = Callable[[str, int], bytes | None]
"""The packed address of a host name at a time (ns), None if it is not known."""


class LogEvents:
    """The events of one log. `find_address` returns a client's address if the log has only the host
    name; without it the client has no address. With `keep_records` each observation has the record
    that shows it, as a frame of the link type `LOG_LINE`.

    `evicted` counts identifiers of flows that were forgotten because the table was full.
    `has_flows` and `has_names` tell whether the log had any so far.
    """

    def __init__(
        self, find_address: FindAddress | None = None, *, keep_records: bool = False
    ) -> None:
        self._find_address = find_address
        self._keep_records = keep_records
        # The first key of a plain dictionary is slow to find once others went before it.
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._last_number = 0
        self._statuses: dict[int, NameStatus] = {}
        self._hellos: LimitedDict[tuple[str, str], None] = LimitedDict(FLOW_LIMIT)
        self.evicted = 0
        self.has_flows = self.has_names = False

    def names(self, items: Iterable[LogItem | RowSink]) -> Iterator[Observation | RowSink]:
        """The observations among the events, and a sink of rows as it is."""
        for item in items:
            if isinstance(item, RowSink):
                yield item
                continue
            for event in self.events((item,)):
                if isinstance(event, Observation):
                    yield event

    def events(self, items: Iterable[LogItem]) -> Iterator[Event | RecordedFlows]:
        """The events, of items in the order of their time."""
        for item in items:
            entry = item.entry
            if isinstance(entry, LogName):
                self.has_names = True
                if self._is_repeated(item.format, entry):
                    continue
                yield self._observation(item, entry)
            elif isinstance(entry, LogFlow):
                self.has_flows = True
                if DNS_PORT not in (entry.client.port, entry.server.port):
                    yield self._with_name(self._flow(item, entry))
            elif isinstance(entry, LogFlows):
                self.has_flows = True
                found = without_port(entry.conversations, DNS_PORT)
                if found:
                    yield RecordedFlows(found, self._recorded)
            elif isinstance(entry, LogClaim):
                yield self._claim(item, entry)
            else:
                yield LossEvent(entry.first, entry.last, entry.count)

    def _is_repeated(self, name: str, entry: LogName) -> bool:
        """Whether another log has shown this hello: Zeek writes a QUIC hello into two."""
        if name != "zeek" or entry.evidence != "quic-sni" or not entry.flow:
            return False
        key = entry.flow, entry.name
        if key in self._hellos:
            return True
        self._hellos[key] = None
        return False

    def _observation(self, item: LogItem, entry: LogName) -> Observation:
        client, host = entry.client, _word(entry.client_host)
        if client.ip is None and host and self._find_address is not None:
            client = Endpoint(self._find_address(entry.client_host, entry.time), client.port)
        flow = -item.line
        if entry.flow:
            flow = self._number(entry.flow)
            if entry.evidence in HANDSHAKES:
                self._note_name(flow, entry)
        at = entry.shown_at or item
        frames = _frames(item, entry) if self._keep_records else ()
        return Observation(
            entry.time,
            entry.time_digits,
            entry.evidence,
            entry.name,
            client.ip or b"",
            client.port,
            entry.client_mac,
            entry.server.ip or b"",
            entry.server.port,
            entry.transport,
            entry.vlan,
            at.source,
            max(1, at.line),
            flow,
            entry.dns,
            entry.tls,
            entry.quic,
            entry.raw,
            entry.asked,
            host,
            _log_info(
                item.format,
                (*entry.lacks, *item.assumed),
                entry.outcome or "",
                _word(entry.blocked_by),
            ),
            frames,
        )

    def _flow(self, item: LogItem, entry: LogFlow) -> Flow:
        number = self._number(entry.flow) if entry.flow else -item.line
        return Flow(
            entry.first,
            entry.last,
            entry.transport,
            entry.client.ip or b"",
            entry.client.port,
            entry.server.ip or b"",
            entry.server.port,
            entry.vlan,
            entry.bytes_out,
            entry.bytes_in,
            entry.name_status,
            entry.start_seen,
            False,
            entry.client_sent,
            entry.server_sent,
            item.source,
            max(1, item.line),
            entry.client_mac,
            number,
            item.format,
            (_whole(item, entry.first, 9),) if self._keep_records else (),
            sampling=entry.sampling,
            is_doubted=entry.is_doubted,
        )

    def _recorded(self, found: Conversation) -> Flow:
        """The flow that a conversation of flow records is."""
        assert found.shown_in is not None
        source, line, record, _ = found.shown_in
        entry = log_flow(found)
        return self._flow(LogItem(source, "ipfix", line, record, entry), entry)

    def _claim(self, item: LogItem, entry: LogClaim) -> ClaimEvent:
        source = entry.source or b""
        frames = (_whole(item, entry.time, entry.time_digits),) if self._keep_records else ()
        packet = Packet(
            item.source,
            item.line,
            entry.time,
            entry.time_digits,
            "udp",
            source,
            0,
            b"",
            0,
            None,
            None,
            None,
            0,
            frames,
        )
        return ClaimEvent(packet, (entry.claim,), item.format)

    def _number(self, key: str) -> int:
        """The number of a flow by the log's identifier."""
        number = self._numbers.get(key, 0)
        if number:
            self._numbers.move_to_end(key)
            return number
        if len(self._numbers) >= FLOW_LIMIT:
            self._statuses.pop(self._numbers.popitem(last=False)[1], None)
            self.evicted += 1
        self._numbers[key] = self._last_number = self._last_number + 1
        return self._last_number

    def _note_name(self, flow: int, entry: LogName) -> None:
        is_outer = entry.tls is not None and entry.tls.ech == "outer"
        self._statuses[flow] = "ech" if is_outer else self._statuses.get(flow, "named")

    def _with_name(self, flow: Flow) -> Flow:
        """The flow with what its names revealed about it."""
        status = self._statuses.get(flow.flow_id)
        if status is None or flow.name_status not in ("none", "truncated", "no-sni"):
            return flow
        return replace(flow, name_status=status)


def _word(text: str) -> str:
    """A word of a log in printable ASCII, of bounded length."""
    if not text:
        return ""
    parts = text.encode("utf-8", "backslashreplace").split(b" ")
    return " ".join(map(escape_bytes, parts))[:MAX_WORD]


@lru_cache(4096)
def _log_info(name: str, lacks: tuple[str, ...], outcome: str, blocked_by: str) -> LogInfo:
    """The log of an observation, with what the records of its format lack."""
    row = LOG_FORMATS.get(name)
    of_format = row.lacks if row is not None else ()
    return LogInfo(name, tuple(dict.fromkeys((*of_format, *lacks))), outcome, blocked_by)


def _frames(item: LogItem, entry: LogName) -> tuple[Frame, ...]:
    """The record that has a name, followed by the others about it."""
    read = Place(
        item.source,
        item.line,
        entry.time,
        entry.time_digits,
        item.record[:MAX_RECORD],
        len(item.record),
    )
    if entry.shown_at is None and not entry.parts:
        return (_frame(read, item.format),)
    by_line = {
        (place.source, place.line): place for place in (entry.shown_at or read, *entry.parts)
    }
    return tuple([_frame(place, item.format) for place in by_line.values()])


def _frame(place: Place, name: str) -> Frame:
    return Frame(
        place.source,
        place.line,
        place.time,
        place.time_digits,
        LOG_LINE,
        name,
        place.size,
        -1,
        place.record,
    )


def _whole(item: LogItem, time: int, digits: int) -> Frame:
    """The record of an item."""
    record = item.record
    place = Place(item.source, item.line, time, digits, record[:MAX_RECORD], len(record))
    return _frame(place, item.format)
