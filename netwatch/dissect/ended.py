"""Flows that are over: the flow table's words as values, and what messages tell of names.

A message is read after the packet loop is through with its block, when its flow may be
over already; what it tells of the flow's name is kept with either.
"""

from collections.abc import Iterator, Sequence

from netwatch.dissect.flows import FIELDS
from netwatch.dissect.kernel import Kernel
from netwatch.model import OUTCOMES, Flow

_NAMED = OUTCOMES.index("named")
_TOLD = 7
_IPV6, _CLIENT, _CLIENT_1, _STARTED = 1 << 8, 1 << 9, 1 << 10, 1 << 11
_WAITING = 2


class Over:
    """The flows of one kernel that are over and not told yet; `sources` by their number."""

    def __init__(self, kernel: Kernel, sources: Sequence[str]) -> None:
        self._kernel = kernel
        self._sources = sources
        self._words: list[int] = []
        self._places: dict[int, int] = {}

    def take(self) -> None:
        """Take the flows from the table that are over since the last list of rows."""
        taken = self._kernel.flows.take()
        for at in range(0, len(taken), FIELDS):
            self._places[taken[at] | taken[at + _TOLD] & 255] = len(self._words) + at
        self._words += taken

    def mark(self, flow: int, outcome: int) -> None:
        """Keep with a flow what a message told of its name, a number in `OUTCOMES`; a
        greater one stands over a lesser."""
        if self._kernel.flows.mark(flow, outcome):
            return
        at = self._places.get(flow)
        if at is not None:
            word = self._words[at + _TOLD]
            self._words[at + _TOLD] = max(word, word & 255 | outcome << 8)

    def known(self, kind: int, flow: int, hello: bytes) -> bool:
        """Whether the packet loop knows the name that a hello shows, which counts it."""
        if not self._kernel.knows(kind, hello):
            return False
        self.mark(flow, _NAMED)
        return True

    def known_stream(self, kind: int, side: tuple[int, int], data: bytes) -> bool:
        """The same of a message that one side of a flow sent."""
        return self.known(kind, side[0], data)

    def flows(self) -> Iterator[Flow]:
        """The flows that are over since the last call."""
        words, self._words = self._words, []
        self._places.clear()
        yield from ended(words, self._sources)


def ended(words: list[int], sources: Sequence[str]) -> Iterator[Flow]:
    """The flows in what `Flows.take` gave, in its order; `sources` by their number."""
    for slot in zip(*[iter(words)] * FIELDS, strict=True):
        last, states, outcome, first, ports, about = *slot[1:2], *slot[6:9], *slot[17:19]
        if 53 in (ports >> 16, ports & 0xFFFF):
            continue  # lookups over TCP, which are no flow as those over UDP are none
        words_of = 4 if about & _IPV6 else 1
        ends = (
            (_address(slot[9 : 9 + words_of]), ports >> 16, slot[4]),
            (_address(slot[13 : 13 + words_of]), ports & 0xFFFF, slot[5]),
        )
        macs = [word.to_bytes(7)[1:] if word else None for word in slot[20:22]]
        side = about & _CLIENT_1 if about & _CLIENT else ends[0][1] < ends[1][1]
        (client_ip, client_port, out), (server_ip, server_port, in_) = (
            (ends[1], ends[0]) if side else ends
        )
        yield Flow(
            first=first,
            last=last,
            transport="tcp" if about & 255 == 6 else "udp",
            client_ip=client_ip,
            client_port=client_port,
            server_ip=server_ip,
            server_port=server_port,
            vlan=(about >> 16) - 1 if about >> 16 else None,
            bytes_out=out,
            bytes_in=in_,
            outcome=OUTCOMES[outcome >> 8],
            opened=bool(about & _STARTED),
            waiting=_WAITING in (states & 7, (states >> 8) & 7),
            client_mac=macs[1] if side else macs[0],
            source=sources[slot[19] >> 40],
            packet=slot[19] & 0xFFFFFFFFFF,
            flow=slot[0] | slot[_TOLD] & 255,
        )


def _address(words: tuple[int, ...]) -> bytes:
    return b"".join([word.to_bytes(4) for word in words])
