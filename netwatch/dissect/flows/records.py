# cython: language_level=3
# mypy: disable-error-code="untyped-decorator,valid-type"
"""Flows that are over: the flow table's words as values, and what messages tell of names.

A message is read after the packet loop is through with its block, when its flow may be
over already; what it tells of the flow's name is kept with either. Most flows have a
name and are no more than a time at which their client had one.
"""

from array import array
from collections.abc import Iterator, Sequence

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

from netwatch.core.flow import NAME_STATUSES, Flow
from netwatch.dissect.loop.layout import FLOW_WORDS as FIELDS
from netwatch.dissect.loop.loop import Loop

GATHERED = 65_536
"""Flows with a name that are gathered before they have to be told."""

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

Slot = tuple[int, ...]
"""The words of a slot of the flow table."""

Client = tuple[bytes, int | None, bytes | None]
"""Address, VLAN and MAC of a client."""


class Over:
    """The flows of one loop that are over and not told yet; `sources` by their number.
    Those that have a name and say nothing more are gathered by client."""

    def __init__(self, loop: Loop, sources: Sequence[str]) -> None:
        self._loop = loop
        self._sources = sources
        self.prefiltered = False
        self._words = array("q")
        self._places: dict[int, int] = {}
        self._indexed = 0
        self._named: dict[tuple[int, int, Slot], list[int]] = {}
        self._gathered = 0

    def take(self) -> None:
        """Take the flows from the table that are over since the last list of rows."""
        self._words += self._loop.flows.take_closed()

    def follow(self, flow: int) -> None:
        """The end of this flow is told, whatever it says. One that was told already has none,
        and would be waited for without end."""
        if not self._loop.flows.report_end(flow):
            at = self._place(flow)
            if at >= 0:
                self._words[at + _ABOUT] |= _FOLLOWED

    def mark(self, flow: int, name_status: int) -> None:
        """Keep with a flow what a message told of its name, a number in `NAME_STATUSES`; a
        greater one stands over a lesser."""
        if self._loop.flows.set_name_status(flow, name_status):
            return
        at = self._place(flow)
        if at >= 0:
            word = self._words[at + _TOLD]
            self._words[at + _TOLD] = max(word, word & 255 | name_status << 8)

    def _place(self, flow: int) -> int:
        """Where the words of a flow that is over and not told yet start, else -1."""
        words = self._words
        for at in range(self._indexed, len(words), FIELDS):
            self._places[words[at] | words[at + _TOLD] & 255] = at
        self._indexed = len(words)
        return self._places.get(flow, -1)

    def idle(self, kind: int, flow: int, hello: bytes) -> bool:
        """Whether a hello shows a name of no interest, which counts it. A hello that the loop has
        prefiltered is not of no interest."""
        if self.prefiltered or not self._loop.prefilter.messages.uninteresting(kind, hello):
            return False
        self.mark(flow, _NAMED)
        return True

    def idle_stream(self, kind: int, side: tuple[int, int], data: bytes) -> bool:
        """The same of a message that one side of a flow sent."""
        return self.idle(kind, side[0], data)

    def flows(self) -> Iterator[Flow]:
        """The flows that are over since the last call, but for those that `named` tells."""
        words, self._words = self._words, array("q")
        self._places.clear()
        self._indexed = 0
        for at in self._gather(words):
            yield ended(tuple(words[at : at + FIELDS]), self._sources)

    def _gather(self, words: cython.longlong[::1]) -> list[int]:
        """Keep of flows that have a name and say nothing more when they began, with their
        client; where the words of those that are to be told start."""
        at: cython.Py_ssize_t
        mine: cython.Py_ssize_t
        about: cython.longlong
        one: cython.longlong
        other: cython.longlong
        named = self._named
        told: list[int] = []
        for at in range(0, len(words), FIELDS):
            about = words[at + _ABOUT]
            one = words[at + _PORTS] >> 16
            other = words[at + _PORTS] & 0xFFFF
            if about & _FOLLOWED:
                told.append(at)
            elif (
                words[at + _TOLD] >> 8 == _NAMED
                and (words[at + _OUT] or words[at + _IN])
                and not (one == 53 or one == 853 or other == 53 or other == 853)
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
                self._gathered += 1
            elif not (one == 53 or other == 53):
                told.append(at)
            # else a lookup over TCP, which is no flow as those over UDP are none
        return told

    def named(self, enough: int = 1) -> Iterator[tuple[Client, list[int]]]:
        """The clients of the flows that are over since the last call, have a name and say
        nothing more, with the times (ns) of their first packets; none while there are less
        than `enough` flows."""
        if self._gathered < enough:
            return
        named, self._named, self._gathered = self._named, {}, 0
        for (about, mac, words), times in named.items():
            vlan = (about >> 16) - 1 if about >> 16 else None
            yield (_address(words, about), vlan, mac.to_bytes(7)[1:] if mac else None), times


def ended(slot: Slot, sources: Sequence[str]) -> Flow:
    """A flow of those that `Flows.take` gave; `sources` by their number."""
    about, ports = slot[_ABOUT], slot[_PORTS]
    side = _client_side(about, ports)
    ends = (
        (_address(slot[_LOW : _LOW + 4], about), ports >> 16, slot[4]),
        (_address(slot[_HIGH : _HIGH + 4], about), ports & 0xFFFF, slot[5]),
    )
    (client_ip, client_port, out), (server_ip, server_port, in_) = ends[side], ends[1 - side]
    mac = slot[_MACS + side]
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
        client_mac=mac.to_bytes(7)[1:] if mac else None,
        source=sources[slot[19] >> 40],
        packet=slot[19] & 0xFFFFFFFFFF,
        flow_id=slot[0] | slot[_TOLD] & 255,
    )


@cython.cfunc
def _client_side(about: cython.longlong, ports: cython.longlong) -> cython.int:
    """The side of the client: who opened the flow, else the end with the greater port."""
    if about & _CLIENT:
        return 1 if about & _CLIENT_1 else 0
    return int(ports >> 16 < ports & 0xFFFF)


def _address(words: tuple[int, ...], about: int) -> bytes:
    return b"".join([word.to_bytes(4) for word in words[: 4 if about & _IPV6 else 1]])
