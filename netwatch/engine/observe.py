# cython: language_level=3
"""Blocks of packets in, observations out: one for each name that a device showed.

Here the dissector meets the protocols. Nothing is known of apps and bans yet.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.capture.block import Block
from netwatch.core.statistics import RunStatistics
from netwatch.dissect.consumer import Consumer, DissectorOptions
from netwatch.dissect.dissector import END_OF_TIME, Dissector
from netwatch.dissect.flows.records import NAMED_BATCH
from netwatch.protocols import PROTOCOLS, detect_stream_kind

if not cython.compiled:
    from netwatch.core.message import Message, ShownName
    from netwatch.core.observation import Observation
    from netwatch.core.packet import Packet
else:
    from cython.cimports.netwatch.core.message import Message, ShownName
    from cython.cimports.netwatch.core.observation import Observation
    from cython.cimports.netwatch.core.packet import Packet


class Observer:
    """The observations of one capture, block by block.

    What the packets show beside names goes to `consumer`: flows that have ended, and messages
    that claim addresses. Flows and unfinished messages continue from one block to the next
    until `close`. `seed` (62 bits) varies how flows and addresses spread over tables.
    """

    def __init__(
        self,
        consumer: Consumer,
        statistics: RunStatistics,
        options: DissectorOptions,
        *,
        seed: int,
    ) -> None:
        self.dissector = Dissector(PROTOCOLS, detect_stream_kind, consumer, options, seed=seed)
        self._consumer = consumer
        self._statistics = statistics
        self._counted_names: Counter[str] = Counter()
        self._counted_anomalies: Counter[str] = Counter()

    def observations(self, block: Block, source: str) -> Iterator[Observation]:
        """The observations of messages that became complete with the packets of a block.

        `source` is the file or interface of the block. The block's flows that have ended are
        handed over once its observations were consumed.
        """
        loop, statistics = self.dissector.loop, self._statistics
        packets, octets, candidates = loop.packets, loop.octets, loop.candidates.total
        yield from self._observe(self.dissector.messages(block, source))
        for flow in self.dissector.flows():
            self._consumer.flow_ended(flow)
        self._hand_over_named_flows(NAMED_BATCH)
        statistics.packets += loop.packets - packets
        statistics.wire_bytes += loop.octets - octets
        statistics.candidates += loop.candidates.total - candidates

    def flush(self) -> Iterator[Observation]:
        """The observations of messages that are incomplete at the end of the capture."""
        yield from self._observe(self.dissector.flush())

    def end_flows(self, before: int) -> None:
        """End and hand over the flows without a packet since `before`, in ns since the epoch."""
        for flow in self.dissector.end_flows(before):
            self._consumer.flow_ended(flow)
        self._hand_over_named_flows()

    def close(self) -> None:
        """End all flows and add the last counts to the statistics: the capture has ended."""
        self.end_flows(END_OF_TIME)
        self.update_statistics()

    def update_statistics(self) -> None:
        """Add what was counted since the last call to the statistics."""
        names, anomalies = self.dissector.names_by_evidence(), self.dissector.anomalies()
        self._statistics.observations.update(names - self._counted_names)
        self._statistics.anomalies.update(anomalies - self._counted_anomalies)
        self._counted_names, self._counted_anomalies = names, anomalies

    def _hand_over_named_flows(self, at_least: int = 1) -> None:
        for client, times in self.dissector.named_flows(at_least):
            self._consumer.named_flows(client, times)

    def _observe(self, messages: Iterable[tuple[Packet, Message]]) -> Iterator[Observation]:
        for packet, message in messages:
            if message.claims:
                self._consumer.address_claimed(packet, message)
            yield from observe(packet, message)


def observe(packet: Packet, message: Message) -> list[Observation]:
    """One observation for each name that a message shows."""
    shown: ShownName
    observations = []
    for shown in message.names:
        to_client = shown.client_is_destination
        observation = Observation(
            time=packet.time,
            time_digits=packet.time_digits,
            evidence=shown.evidence,
            name=shown.name,
            client_ip=packet.dst if to_client else packet.src,
            client_port=packet.dport if to_client else packet.sport,
            client_mac=packet.dst_mac if to_client else packet.src_mac,
            server_ip=packet.src if to_client else packet.dst,
            server_port=packet.sport if to_client else packet.dport,
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
        observations.append(observation)
    return observations
