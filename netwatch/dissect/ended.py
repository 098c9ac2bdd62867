"""Flows that are over: the flow table's words as values, and what messages tell of names.

A message is read after the packet loop is through with its block, when its flow may be
over already; what it tells of the flow's name is kept with either. Most flows have a
name and are no more than a count of their client.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

from netwatch.dissect.kernel import Kernel
from netwatch.dissect.slots import FIELDS
from netwatch.model import OUTCOMES, Flow

CLIENTS = 16_384
"""Clients whose flows with a name are counted before they have to be told."""

_NAMED = OUTCOMES.index("named")
_TOLD, _LOW, _HIGH, _PORTS, _ABOUT, _MACS = 7, 9, 13, 17, 18, 20
_DNS_PORTS = frozenset({53, 853})
_IPV6, _CLIENT, _CLIENT_1, _STARTED = 1 << 8, 1 << 9, 1 << 10, 1 << 11
_WAITING = 2

Slot = tuple[int, ...]
"""The words of a slot of the flow table."""

Client = tuple[bytes, int | None, bytes | None]
"""Address, VLAN and MAC of a client."""


class Over:
    """The flows of one kernel that are over and not told yet; `sources` by their number.
    With `counting`, those that have a name and say nothing more are counted by client."""

    def __init__(self, kernel: Kernel, sources: Sequence[str], counting: bool = True) -> None:
        self._kernel = kernel
        self.counting = counting
        self._sources = sources
        self._words: list[int] = []
        self._places: dict[int, int] = {}
        self._followed: set[int] = set()
        self._named: Counter[tuple[int, int, Slot]] = Counter()

    def take(self) -> None:
        """Take the flows from the table that are over since the last list of rows."""
        taken = self._kernel.flows.take()
        for at in range(0, len(taken), FIELDS):
            self._places[taken[at] | taken[at + _TOLD] & 255] = len(self._words) + at
        self._words += taken

    def follow(self, flow: int) -> None:
        """The end of this flow is told, whatever it says."""
        self._followed.add(flow)

    def mark(self, flow: int, outcome: int) -> None:
        """Keep with a flow what a message told of its name, a number in `OUTCOMES`; a
        greater one stands over a lesser."""
        if self._kernel.flows.mark(flow, outcome):
            return
        at = self._places.get(flow)
        if at is not None:
            word = self._words[at + _TOLD]
            self._words[at + _TOLD] = max(word, word & 255 | outcome << 8)

    def idle(self, kind: int, flow: int, hello: bytes) -> bool:
        """Whether a hello shows a name of no interest, which counts it."""
        if not self._kernel.idle(kind, hello):
            return False
        self.mark(flow, _NAMED)
        return True

    def idle_stream(self, kind: int, side: tuple[int, int], data: bytes) -> bool:
        """The same of a message that one side of a flow sent."""
        return self.idle(kind, side[0], data)

    def flows(self) -> Iterator[Flow]:
        """The flows that are over since the last call, but for those that `named` counts."""
        words, self._words = self._words, []
        self._places.clear()
        for slot in zip(*[iter(words)] * FIELDS, strict=True):
            ports = slot[_PORTS]
            usual = _DNS_PORTS.isdisjoint((ports >> 16, ports & 0xFFFF))
            flow = slot[0] | slot[_TOLD] & 255
            if flow in self._followed:
                self._followed.remove(flow)
                yield ended(slot, self._sources)
            elif self.counting and usual and slot[_TOLD] >> 8 == _NAMED and slot[4] + slot[5]:
                side, about = _client_side(slot), slot[_ABOUT]
                address = slot[_HIGH : _HIGH + 4] if side else slot[_LOW : _LOW + 4]
                self._named[about & _IPV6 | about >> 16 << 16, slot[_MACS + side], address] += 1
            elif 53 not in (ports >> 16, ports & 0xFFFF):
                yield ended(slot, self._sources)
            # else a lookup over TCP, which is no flow as those over UDP are none

    def named(self, enough: int = 1) -> Iterator[tuple[Client, int]]:
        """The clients of the flows that are over since the last call, have a name and say
        nothing more, with their number; none while there are less than `enough` clients."""
        if len(self._named) < enough:
            return
        counts, self._named = self._named, Counter()
        for (about, mac, words), count in counts.items():
            vlan = (about >> 16) - 1 if about >> 16 else None
            yield (_address(words, about), vlan, mac.to_bytes(7)[1:] if mac else None), count


def ended(slot: Slot, sources: Sequence[str]) -> Flow:
    """A flow of those that `Flows.take` gave; `sources` by their number."""
    about, ports, side = slot[_ABOUT], slot[_PORTS], _client_side(slot)
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
        outcome=OUTCOMES[slot[_TOLD] >> 8],
        opened=bool(about & _STARTED),
        waiting=_WAITING in (slot[6] & 7, (slot[6] >> 8) & 7),
        client_mac=mac.to_bytes(7)[1:] if mac else None,
        source=sources[slot[19] >> 40],
        packet=slot[19] & 0xFFFFFFFFFF,
        flow=slot[0] | slot[_TOLD] & 255,
    )


def _client_side(slot: Slot) -> int:
    """The side of the client: who opened the flow, else the end with the greater port."""
    about, ports = slot[_ABOUT], slot[_PORTS]
    if about & _CLIENT:
        return 1 if about & _CLIENT_1 else 0
    return int(ports >> 16 < ports & 0xFFFF)


def _address(words: tuple[int, ...], about: int) -> bytes:
    return b"".join([word.to_bytes(4) for word in words[: 4 if about & _IPV6 else 1]])
