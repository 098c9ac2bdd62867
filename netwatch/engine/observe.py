# cython: language_level=3
"""From captures to observations: which files there are, and what the wire shows in them.

Here sources meet the dissector, and the dissector the protocols; no rule is known yet.
"""

import contextlib
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

from netwatch.capture.block import TIME, Block, Source
from netwatch.capture.files import STDIN, Found, NotACapture, open_source
from netwatch.core.errors import CaptureError
from netwatch.core.flow import Flow
from netwatch.core.statistics import RunStatistics
from netwatch.dissect.dissector import FOREVER, Dissector
from netwatch.dissect.flows.records import GATHERED, Client
from netwatch.protocols import PROTOCOLS, looks_like

if not cython.compiled:
    from netwatch.core.message import Message, ShownName
    from netwatch.core.observation import Observation
    from netwatch.core.packet import Packet
else:
    from cython.cimports.netwatch.core.message import Message, ShownName
    from cython.cimports.netwatch.core.observation import Observation
    from cython.cimports.netwatch.core.packet import Packet

Progress = Callable[[RunStatistics, Source, int], None]
"""Told after each block: the counts so far, the source, and how many bytes of it are read."""

CAPTURE_ENDINGS = frozenset({"pcap", "pcapng", "cap", "dmp", "ntar"})
"""How files in a folder end that are meant to be captures."""


def meant_as_capture(path: str) -> bool:
    """Whether a file's name says that it is a capture, compressed or not."""
    return any(ending in CAPTURE_ENDINGS for ending in path.lower().split(".")[-2:])


def captures(found: Iterable[Found], continuous: bool) -> Iterator[Sequence[Found]]:
    """The files of each capture: one each, or all of them where they are one capture cut
    in pieces (`continuous`), in the order of their first packet."""
    if continuous:
        yield sorted(found, key=_begins)
    else:
        for each in found:
            yield (each,)


def _begins(found: Found) -> int:
    """The time of the first packet in ns; 0 where there is none."""
    if found.error is None and found.path != STDIN:
        with contextlib.suppress(CaptureError):
            for block in open_source(found.path).blocks():
                return block.records[TIME] if block.count else 0
    return 0


class Wire:
    """What a capture shows: its observations, file by file.

    A capture may be cut in several files: flows and unfinished messages go on from one
    `read` to the next until `close`. Observations of messages for which `wanted` is false
    are left out; None wants all, and so do `zones`, in which a name must be to be wanted.
    With `name_status`, the number in `core.flow.NAME_STATUSES` of what a message tells of
    its flow's name, each flow is handed to `ended` when it is over, but those that have a name and
    say nothing more, which `named` gets as a number for each client, now and then. With
    `proving` (see `Dissector`) observations come with the packets that prove them. With
    `learning`, names of `LEARNING_SOURCES`, messages that claim addresses are handed to
    `claimed`, in the order of their packets, before the names that they show, and each
    flow to `ended`.
    """

    def __init__(
        self,
        statistics: RunStatistics,
        progress: Progress | None = None,
        wanted: Callable[[Message], bool] | None = None,
        zones: Sequence[bytes] | None = None,
        name_status: Callable[[Message], int] | None = None,
        ended: Callable[[Flow], None] = lambda flow: None,
        named: Callable[[Client, list[int]], None] = lambda client, times: None,
        proving: Callable[[bytes], bool] | None = None,
        learning: Collection[str] = (),
        claimed: Callable[[Packet, Message], None] = lambda packet, message: None,
    ) -> None:
        self.statistics = statistics
        self._progress = progress
        self._wanted = wanted
        self._zones = zones
        self._name_status = name_status
        self._ended = ended
        self._named = named
        self._proving = proving
        self._learning = learning
        self._claimed = claimed
        self._dissector: Dissector | None = None
        self._counted: tuple[Counter[str], Counter[str]] = Counter(), Counter()

    def read(self, found: Found) -> Iterator[Observation]:
        """The observations of one capture. One that cannot be read is noted in the statistics,
        and so is the end of one that is cut short, after what could be read."""
        if found.error:
            self.statistics.unread.append(found.error)
            return
        try:
            source = open_source(found.path)
            for block in source.blocks():
                yield from self.block(block, source.name)
                if self._progress is not None:
                    self._progress(self.statistics, source, block.position)
            self.statistics.anomalies.update(+Counter({"capture-dropped": source.dropped}))
            self.statistics.files += 1
            self.statistics.notes += [f"{source.name}: {note}" for note in source.notes]
        except NotACapture as error:
            if found.named or meant_as_capture(found.path):
                self.statistics.unread.append(str(error))
            else:
                self.statistics.skipped.append(found.path)
        except CaptureError as error:
            self.statistics.unread.append(str(error))

    def flush(self) -> Iterator[Observation]:
        """The capture is over: what messages cut short show."""
        if self._dissector is not None:
            yield from self._observations(self._dissector.flush())

    def bytes_of(self, observation: Observation) -> tuple[int, int]:
        """Transport payload of an observation's flow so far, out of and into its client."""
        return self._dissector.bytes_of(observation) if self._dissector else (0, 0)

    def tables(self) -> dict[str, tuple[int, int, int]]:
        """How full the tables of the dissector are (see `Dissector.tables`)."""
        return self._dissector.tables() if self._dissector else {}

    def answered(self, client: bytes, address: bytes, time: int) -> bool:
        """Whether a client had an address for a name outside of the zones at a time, ns."""
        known = self._dissector
        return known is not None and known.loop.addresses.answered(client, address, time)

    def note(self, client: bytes, address: bytes, time: int, until: int) -> None:
        """Let `answered` know of an answer for a name that is in a zone and of no interest,
        or that a parser had to read: in use from `time` to `until`, ns."""
        if self._dissector is not None:
            self._dissector.loop.addresses.remember(client, address, time, until)

    def interest(self, zones: Sequence[bytes]) -> None:
        """From now on only names in these zones are of interest."""
        self._zones = zones
        if self._dissector is not None:
            self._dissector.loop.prefilter.domains.replace(zones)

    def learn(self, learning: Collection[str]) -> None:
        """From now on devices are learned from these alone."""
        self._learning = learning
        if self._dissector is not None:
            self._dissector.learn(learning)

    def follow(self, flow: int) -> None:
        """The end of this flow is handed to `ended`, even if it has a name and says no more."""
        if self._dissector is not None:
            self._dissector.follow(flow)

    def settle(self, before: int) -> None:
        """Flows silent since `before` (ns of packet time) are over: for a capture that goes on
        for ever."""
        if self._dissector is not None:
            for flow in self._dissector.finish(before):
                self._ended(flow)
            self._tell_named()

    def close(self) -> None:
        """Forget the capture's flows and take its last counts into the statistics."""
        self.settle(FOREVER)
        self.count()
        self._dissector = None
        self._counted = Counter(), Counter()

    def block(self, block: Block, source: str) -> Iterator[Observation]:
        """The observations that become whole with the packets of one block of `source`."""
        if self._dissector is None:
            seed = secrets.randbits(62)
            self._dissector = Dissector(
                PROTOCOLS,
                looks_like,
                self._wanted,
                self._zones,
                self._name_status,
                seed,
                self._proving,
                self._learning,
            )
        dissector, loop = self._dissector, self._dissector.loop
        packets, octets, candidates = loop.packets, loop.octets, loop.candidates.total
        yield from self._observations(dissector.messages(block, source))
        for flow in dissector.flows():
            self._ended(flow)
        self._tell_named(GATHERED)
        self.statistics.packets += loop.packets - packets
        self.statistics.wire_bytes += loop.octets - octets
        self.statistics.candidates += loop.candidates.total - candidates

    def _tell_named(self, enough: int = 1) -> None:
        if self._dissector is not None:
            for client, times in self._dissector.named(enough):
                self._named(client, times)

    def count(self) -> None:
        """Take what was counted since the last time into the statistics."""
        if self._dissector is None:
            return
        now = self._dissector.shown(), self._dissector.anomalies()
        self.statistics.observations.update(now[0] - self._counted[0])
        self.statistics.anomalies.update(now[1] - self._counted[1])
        self._counted = now

    def _observations(self, found: Iterable[tuple[Packet, Message]]) -> Iterator[Observation]:
        for packet, message in found:
            if message.claims:
                self._claimed(packet, message)
            yield from observe(packet, message)


def observe(packet: Packet, message: Message) -> list[Observation]:
    """One observation for each name that a message shows."""
    shown: ShownName
    found = []
    for shown in message.names:
        there = shown.client_is_destination
        seen = Observation(
            time=packet.time,
            time_digits=packet.time_digits,
            evidence=shown.evidence,
            name=shown.name,
            client_ip=packet.dst if there else packet.src,
            client_port=packet.dport if there else packet.sport,
            client_mac=packet.dst_mac if there else packet.src_mac,
            server_ip=packet.src if there else packet.dst,
            server_port=packet.sport if there else packet.dport,
            transport=packet.transport,
            vlan=packet.vlan,
            source=packet.source,
            packet=packet.number,
            flow_id=packet.flow_id,
            dns=message.dns,
            tls=message.tls,
            quic=message.quic,
            frames=packet.frames,
        )
        found.append(seen)
    return found
