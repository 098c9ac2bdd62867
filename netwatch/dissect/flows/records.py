# cython: language_level=3
# mypy: disable-error-code="untyped-decorator,valid-type"
"""Flows that have ended: the integers of the flow table as values, and their name statuses.

A message is read after the packet loop has walked its block, when its flow may have ended
already; so its name status is set in the flow table or, failing that, here. Of most flows
nothing matters but that their name was read: those are reported by client, as the times of
their first packets.
"""

from array import array
from collections.abc import Iterator, Sequence

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.flow import INITIAL_WINDOW, NAME_STATUSES, Flow, FlowClient, Sent
from netwatch.dissect.flows.table import FlowTable
from netwatch.dissect.loop.layout import FLOW_WORDS as FIELDS

NAMED_BATCH = 65_536
"""Named flows that are collected before they are reported."""

_NAMED = cython.declare(cython.longlong, NAME_STATUSES.index("named"))
_OUT = cython.declare(cython.Py_ssize_t, 4)
_IN = cython.declare(cython.Py_ssize_t, 5)
_TOLD = cython.declare(cython.Py_ssize_t, 7)
_FIRST = cython.declare(cython.Py_ssize_t, 8)
_LOW = cython.declare(cython.Py_ssize_t, 9)
_HIGH = cython.declare(cython.Py_ssize_t, 13)
_PORTS = cython.declare(cython.Py_ssize_t, 17)
_ABOUT = cython.declare(cython.Py_ssize_t, 18)
_MACS = cython.declare(cython.Py_ssize_t, 20)
_IPV6 = cython.declare(cython.longlong, 1 << 8)
_CLIENT = cython.declare(cython.longlong, 1 << 9)
_CLIENT_1 = cython.declare(cython.longlong, 1 << 10)
_STARTED = cython.declare(cython.longlong, 1 << 11)
_FOLLOWED = cython.declare(cython.longlong, 1 << 15)
_WAITING = cython.declare(cython.longlong, 2)
_REFUSED_0 = cython.declare(cython.longlong, 1 << 16)
_REFUSED_1 = cython.declare(cython.longlong, 1 << 17)

Slot = tuple[int, ...]
"""The integers of a slot of the flow table."""


class FlowRecords:
    """The flows of one capture that have ended and were not reported yet.

    `table` is the flow table; `sources` are the names of files and interfaces, by the number
    that flows have of them.
    """

    def __init__(self, table: FlowTable, sources: Sequence[str]) -> None:
        self._table = table
        self._sources = sources
        self._words = array("q")
        self._offsets: dict[int, int] = {}
        self._indexed = 0
        self._named: dict[tuple[int, int, Slot], list[int]] = {}
        self._named_count = 0

    def collect(self) -> None:
        """Take the flows that have ended from the table; needed after each list of rows."""
        self._words.extend(self._table.take_closed())

    def report_individually(self, flow: int) -> None:
        """Report this flow by itself, even if nothing matters but that its name was read. A
        flow that was reported already is not remembered."""
        if not self._table.report_end(flow):
            offset = self._offset(flow)
            if offset >= 0:
                self._words[offset + _ABOUT] |= _FOLLOWED

    def set_name_status(self, flow: int, name_status: int) -> None:
        """Set what a message tells of the name of its flow, as an index into `NAME_STATUSES`. The
        greatest of several is used."""
        if self._table.set_name_status(flow, name_status):
            return
        offset = self._offset(flow)
        if offset >= 0:
            word = self._words[offset + _TOLD]
            self._words[offset + _TOLD] = max(word, word & 255 | name_status << 8)

    def _offset(self, flow: int) -> int:
        """Where the integers of a flow start that was not reported yet, else -1."""
        words = self._words
        for at in range(self._indexed, len(words), FIELDS):
            self._offsets[words[at] | words[at + _TOLD] & 255] = at
        self._indexed = len(words)
        return self._offsets.get(flow, -1)

    def flows(self) -> Iterator[Flow]:
        """The flows that have ended since the last call, except for those that `named_flows`
        reports."""
        words, self._words = self._words, array("q")
        self._offsets.clear()
        self._indexed = 0
        for at in self._separate(words):
            yield to_flow(tuple(words[at : at + FIELDS]), self._sources)

    def _separate(self, words: cython.longlong[::1]) -> list[int]:
        """Collect named flows by client; the offsets of the flows to report individually."""
        at: cython.Py_ssize_t
        mine: cython.Py_ssize_t
        about: cython.longlong
        low_port: cython.longlong
        high_port: cython.longlong
        named = self._named
        individually: list[int] = []
        for at in range(0, len(words), FIELDS):
            about = words[at + _ABOUT]
            low_port = words[at + _PORTS] >> 16
            high_port = words[at + _PORTS] & 0xFFFF
            if about & _FOLLOWED:
                individually.append(at)
            elif (
                words[at + _TOLD] >> 8 == _NAMED
                and (words[at + _OUT] or words[at + _IN])
                and not (low_port == 53 or low_port == 853 or high_port == 53 or high_port == 853)
            ):
                mine = at + (_HIGH if _client_side(about, words[at + _PORTS]) else _LOW)
                address: tuple[int, ...] = (words[mine],)
                if about & _IPV6:
                    address += words[mine + 1], words[mine + 2], words[mine + 3]
                mac = words[at + _MACS + (1 if mine == at + _HIGH else 0)]
                client = about & _IPV6 | about >> 16 << 16, mac, address
                times = named.get(client)
                if times is None:
                    times = named[client] = []
                times.append(words[at + _FIRST])
                self._named_count += 1
            elif not (low_port == 53 or high_port == 53):
                individually.append(at)
            # Otherwise it is DNS over TCP, which counts as no flow, like DNS over UDP.
        return individually

    def named_flows(self, at_least: int = 1) -> Iterator[tuple[FlowClient, list[int]]]:
        """The clients of named flows that have ended since the last call, with the times of the
        first packets of their flows, in ns since the epoch; none while there are fewer than
        `at_least` flows."""
        if self._named_count < at_least:
            return
        named, self._named, self._named_count = self._named, {}, 0
        for (about, mac, words), times in named.items():
            vlan = (about >> 16) - 1 if about >> 16 else None
            yield FlowClient(_address(words, about), vlan, _mac(mac)), times


def to_flow(slot: Slot, sources: Sequence[str]) -> Flow:
    """A slot that the flow table gave as a value; `sources` are named by their number."""
    about, ports = slot[_ABOUT], slot[_PORTS]
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
        name_status=NAME_STATUSES[slot[_TOLD] >> 8],
        start_seen=bool(about & _STARTED),
        incomplete_message=_WAITING in (slot[6] & 7, (slot[6] >> 8) & 7),
        client_sent=side_sent(side, out, slot[6]),
        server_sent=side_sent(1 - side, in_, slot[6]),
        client_mac=_mac(slot[_MACS + side]),
        source=sources[slot[19] >> 40],
        packet=slot[19] & 0xFFFFFFFFFF,
        flow_id=slot[0] | slot[_TOLD] & 255,
    )


def side_sent(side: int, payload: int, state: int) -> Sent:
    """What a side (0 or 1) of a flow was seen to send, by its bytes of payload and the word
    `FLOW_STATE` of the flow table."""
    if state & (_REFUSED_1 if side else _REFUSED_0) and payload <= INITIAL_WINDOW:
        return "refusal"
    if payload:
        return "payload"
    return "headers" if (state >> 8 * side) & 255 else "nothing"


@cython.cfunc
def _client_side(about: cython.longlong, ports: cython.longlong) -> cython.int:
    """The side of the client: the end that opened the flow, else that with the greater port."""
    if about & _CLIENT:
        return 1 if about & _CLIENT_1 else 0
    return int(ports >> 16 < ports & 0xFFFF)


def _address(words: tuple[int, ...], about: int) -> bytes:
    return b"".join([word.to_bytes(4) for word in words[: 4 if about & _IPV6 else 1]])


def _mac(word: int) -> bytes | None:
    return word.to_bytes(7)[1:] if word else None
