# cython: language_level=3
# mypy: disable-error-code="untyped-decorator,valid-type"
"""Ended flows: the integers of the flow table, counted or as values.

A message is read after the packet loop has walked its block, when its flow may already have ended;
so its name status is set in the flow table or, failing that, here. Most flows are only counted by
client (`netwatch.dissect.flows.accounting`).
"""

from array import array
from collections.abc import Callable, Iterator, Sequence

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.buffers import Words
from netwatch.core.flow import (
    CONTESTED,
    DENIALS,
    INITIAL_WINDOW,
    NAME_STATUSES,
    REFUSAL,
    Checksums,
    Flow,
    FlowClient,
    Sent,
)
from netwatch.core.limited_dict import LimitedDict
from netwatch.coverage.flow_visibility import VISIBILITIES, Visibility
from netwatch.dissect.flows.accounting import FlowAccounting
from netwatch.dissect.flows.flow_counts import FlowCounts
from netwatch.dissect.flows.table import FlowTable
from netwatch.dissect.loop.layout import (
    ACKED_CONTESTED,
    CELL_OUTSIDE,
    CHECKSUMS_RIGHT_0,
    CHECKSUMS_WRONG_0,
    DENIAL,
    DENIAL_403,
    DENIED_BY,
    FLOW_ACKED,
    NAME_NO_SNI,
    UNANSWERED,
)
from netwatch.dissect.loop.layout import FLOW_WORDS as FIELDS

LATE_LIMIT = 65_536
"""Flows to report whose end had already been counted; of more, the oldest are forgotten."""

_TOLD = cython.declare(cython.Py_ssize_t, 7)
_LOW = cython.declare(cython.Py_ssize_t, 9)
_HIGH = cython.declare(cython.Py_ssize_t, 13)
_PORTS = cython.declare(cython.Py_ssize_t, 17)
_ABOUT = cython.declare(cython.Py_ssize_t, 18)
_MACS = cython.declare(cython.Py_ssize_t, 20)
_VISIBILITY = cython.declare(cython.longlong, 255)
_IPV6 = cython.declare(cython.longlong, 1 << 8)
_OUTSIDE = cython.declare(cython.longlong, CELL_OUTSIDE)
_CLIENT = cython.declare(cython.longlong, 1 << 9)
_CLIENT_1 = cython.declare(cython.longlong, 1 << 10)
_STARTED = cython.declare(cython.longlong, 1 << 11)
_FOLLOWED = cython.declare(cython.longlong, 1 << 15)
_WAITING = cython.declare(cython.longlong, 2)
_REFUSED_0 = cython.declare(cython.longlong, 1 << 16)
_REFUSED_1 = cython.declare(cython.longlong, 1 << 17)
_RIGHT_0 = cython.declare(cython.longlong, CHECKSUMS_RIGHT_0)
_WRONG_0 = cython.declare(cython.longlong, CHECKSUMS_WRONG_0)
_ACKED = cython.declare(cython.Py_ssize_t, FLOW_ACKED)
_NUMBERS = cython.declare(cython.longlong, 0xFFFFFFFF)

Slot = tuple[int, ...]
"""The integers of a slot of the flow table."""


CountedFlows = Callable[[FlowClient, Visibility, int, Sequence[int]], None]
"""Takes ended flows, as `netwatch.dissect.consumer.Consumer.flows_counted`."""


class FlowRecords:
    """The ended flows of one capture that have not been handed over yet.

    `table` is the flow table; `sources` are the names of files and interfaces by their number in
    flows. `counted` takes the flows that `accounting` counts, unless `slots_ended` takes the slots
    of all.
    """

    def __init__(
        self,
        table: FlowTable,
        sources: Sequence[str],
        accounting: FlowAccounting,
        counted: CountedFlows,
        slots_ended: Callable[[memoryview], None] | None = None,
    ) -> None:
        self._table = table
        self._sources = sources
        self._accounting = accounting
        self._counted = counted
        self._slots_ended = slots_ended
        self._words: Words = array("q")
        self._offsets: dict[int, int] = {}
        self._indexed = 0
        self._late: LimitedDict[int, None] = LimitedDict(LATE_LIMIT)
        self._named_due = False

    def collect(self) -> None:
        """Look at the flows that have ended; needed after each list of rows."""
        self._words = self._table.hold_closed()

    def report_individually(self, flow: int) -> None:
        """Report this flow individually when it has ended, whatever its name status. If it was
        already counted, the next flow with its number is reported, unless only its name matters."""
        if self._table.report_end(flow):
            return
        offset = self._offset(flow)
        if offset >= 0:
            self._words[offset + _ABOUT] |= _FOLLOWED
            return
        self._late[flow] = None

    def set_name_status(self, flow: int, name_status: int) -> None:
        """Set what a message reveals about the name of its flow, as an index into `NAME_STATUSES`.
        The greatest of several is used."""
        if self._table.set_name_status(flow, name_status):
            return
        offset = self._offset(flow)
        if offset >= 0:
            word = self._words[offset + _TOLD]
            self._words[offset + _TOLD] = max(word, word & 255 | name_status << 8)

    def forget_name(self, flow: int) -> None:
        """Reset what messages revealed about the name of a flow."""
        if self._table.forget_name(flow):
            return
        offset = self._offset(flow)
        if offset >= 0:
            self._words[offset + _TOLD] &= 255

    def _offset(self, flow: int) -> int:
        """Where the integers of a flow that has not been counted yet start, otherwise -1."""
        words = self._words
        for at in range(self._indexed, len(words), FIELDS):
            self._offsets[words[at] | words[at + _TOLD] & 255] = at
        self._indexed = len(words)
        return self._offsets.get(flow, -1)

    def flows(self) -> Iterator[Flow]:
        """Count the flows that have ended since the last call, and yield those to report
        individually; or hand all of them over as slots."""
        words, self._words = self._table.take_closed(), array("q")
        self._offsets.clear()
        self._indexed = 0
        if self._slots_ended is not None:
            if words:
                self._slots_ended(words)
            return
        at, reported = 0, list[int]()
        while at < len(words):
            at = self._accounting.account(words, at, self._late.keys(), reported)
            if at < len(words):
                self._make_room()
        for at in reported:
            flow = to_flow(tuple(words[at : at + FIELDS]), self._sources)
            self._late.pop(flow.flow_id, None)
            yield flow

    def count_open(self, counted: CountedFlows) -> None:
        """Count the open flows as if they ended now, and hand them only to `counted`. Ended flows
        were collected before."""
        accounting, place, ended = self._accounting.apart(), 0, self._table.closed
        while place >= 0:
            place = self._table.copy_open(place)
            words, at = self._table.take_closed(ended), 0
            while at < len(words):
                at = accounting.account(words, at, frozenset(), [])
                for counts in (accounting.named, accounting.others):
                    _hand_over(counts, counted)

    def _make_room(self) -> None:
        """Hand over the counts of a full table. Named flows that are handed over early belong to
        those that end in the same block."""
        if self._accounting.named.is_full():
            self._named_due = True
            _hand_over(self._accounting.named, self._counted)
        else:
            self.hand_over_others()

    def hand_over_named(self, *, all_: bool = False) -> None:
        """Hand over the flows that only matter because their name was read, if there are many, or
        `all_`."""
        at_least = 1 if all_ else self._accounting.named_batch
        if self._accounting.named.flows >= at_least or self._named_due:
            self._named_due = False
            _hand_over(self._accounting.named, self._counted)

    def hand_over_others(self) -> None:
        """Hand over all other flows that were counted."""
        if self._accounting.others.flows:
            _hand_over(self._accounting.others, self._counted)


def _hand_over(counts: FlowCounts, counted: CountedFlows) -> None:
    for about, mac, address, flows, times in counts.take():
        vlan = (about >> 16) - 1 if about >> 16 else None
        ip = b"" if about & _OUTSIDE else _address(address, about)
        visibility = VISIBILITIES[about & _VISIBILITY]
        counted(FlowClient(ip, vlan, _mac(mac)), visibility, flows, times)


def to_flow(slot: Slot, sources: Sequence[str]) -> Flow:
    """A slot of the flow table as a value; `sources` are named by their number."""
    about, ports, status = slot[_ABOUT], slot[_PORTS], slot[_TOLD] >> 8
    side = _client_side(about, ports)
    ends = (
        (_address(slot[_LOW : _LOW + 4], about), ports >> 16, slot[4]),
        (_address(slot[_HIGH : _HIGH + 4], about), ports & 0xFFFF, slot[5]),
    )
    (client_ip, client_port, out), (server_ip, server_port, in_) = ends[side], ends[1 - side]
    return Flow(
        first=slot[8],
        last=slot[1],
        transport="tcp" if about & 255 == 6 else "udp",
        client_ip=client_ip,
        client_port=client_port,
        server_ip=server_ip,
        server_port=server_port,
        vlan=(about >> 16) - 1 if about >> 16 else None,
        bytes_out=out,
        bytes_in=in_,
        name_status=NAME_STATUSES[status],
        start_seen=bool(about & _STARTED),
        # Once its name was read, a flow may wait in vain: the loop is not told what a parser made
        # of a message in several packets.
        incomplete_message=status < NAME_NO_SNI and _WAITING in (slot[6] & 7, (slot[6] >> 8) & 7),
        client_sent=side_sent(side, out, slot[6]),
        server_sent=side_sent(1 - side, in_, slot[6]),
        client_mac=_mac(slot[_MACS + side]),
        source=sources[slot[19] >> 40],
        packet=slot[19] & 0xFFFFFFFFFF,
        flow_id=slot[0] | slot[_TOLD] & 255,
        client_acknowledged=acknowledged(slot[_ACKED + side]),
        server_acknowledged=acknowledged(slot[_ACKED + 1 - side]),
        client_checksums=side_checksums(side, slot[6]),
        server_checksums=side_checksums(1 - side, slot[6]),
    )


def acknowledged(word: int) -> int | None:
    """What a side has had acknowledged, from the word `FLOW_ACKED` of the flow table."""
    if word >> ACKED_CONTESTED:
        return CONTESTED
    return word & _NUMBERS if word else None


def side_checksums(side: int, state: int) -> Checksums:
    """The checksum state of a side (0 or 1), from the word `FLOW_STATE` of the flow table."""
    if state & (_RIGHT_0 << side):
        return "right"
    return "wrong" if state & (_WRONG_0 << side) else "unknown"


def side_sent(side: int, payload: int, state: int) -> Sent:
    """What a side (0 or 1) of a flow was seen to send, from its bytes of payload and the word
    `FLOW_STATE` of the flow table."""
    if state & (_REFUSED_1 if side else _REFUSED_0) and payload <= INITIAL_WINDOW:
        return REFUSAL
    denial = state >> DENIAL
    # After an alert from a middlebox the server may still answer, as after a reset.
    if (
        denial
        and (state >> DENIED_BY) & 1 == side
        and (denial >= DENIAL_403 or payload <= INITIAL_WINDOW)
    ):
        return DENIALS[denial]
    if payload and not (state >> (UNANSWERED + side)) & 1:
        return "payload"
    return "headers" if payload or (state >> 8 * side) & 255 else "nothing"


@cython.cfunc
def _client_side(about: cython.longlong, ports: cython.longlong) -> cython.int:
    """The client's side: the end that opened the flow, otherwise the one with the greater port."""
    if about & _CLIENT:
        return 1 if about & _CLIENT_1 else 0
    return int(ports >> 16 < ports & 0xFFFF)


def _address(words: tuple[int, ...], about: int) -> bytes:
    return b"".join([word.to_bytes(4) for word in words[: 4 if about & _IPV6 else 1]])


def _mac(word: int) -> bytes | None:
    return word.to_bytes(7)[1:] if word else None
