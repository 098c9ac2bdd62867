"""Observations as values, for tests that compare them."""

from collections.abc import Iterable, Iterator
from typing import Any

from netwatch.core.message import Message, Observation, Packet, ShownName
from netwatch.core.observation_batch import ObservationBatch
from netwatch.dissect.dissector import Dissector, Found, LoopRows
from netwatch.formats.line_writer import observation_record


def observe(packet: Packet, message: Message) -> list[Observation]:
    """The observation of each name that a message shows."""
    batch = ObservationBatch([packet.source])
    start, stop = batch.append(packet, message, 0, True)
    return [batch.observation(row) for row in range(start, stop)]


def batch_of(*shown: Observation) -> ObservationBatch:
    """A batch with these observations, as if a parser had read each of them."""
    sources = list(dict.fromkeys(each.source for each in shown))
    batch = ObservationBatch(sources)
    for each in shown:
        packet = Packet(
            source=each.source,
            number=each.packet,
            time=each.time,
            time_digits=each.time_digits,
            transport=each.transport,
            src=each.client_ip,
            sport=each.client_port,
            dst=each.server_ip,
            dport=each.server_port,
            src_mac=each.client_mac,
            dst_mac=None,
            vlan=each.vlan,
            flow_id=each.flow_id,
        )
        message = Message(
            size=0,
            names=(ShownName(each.evidence, each.name, False, each.raw, each.asked),),
            dns=each.dns,
            tls=each.tls,
            quic=each.quic,
        )
        batch.add_span(*batch.append(packet, message, sources.index(each.source), True))
    return batch


def record_of(shown: Observation) -> dict[str, Any]:
    """The record of one observation."""
    return observation_record(batch_of(shown), 0)


def read(reader: Dissector, messages: Iterable[Found | LoopRows]) -> Iterator[Observation]:
    """The observations of what a dissector has read."""
    for found in messages:
        if isinstance(found, LoopRows):
            for row in range(found.start, found.stop):
                yield reader.loop.batch.observation(row)
        else:
            yield from observe(*found)


def observations(batches: Iterable[ObservationBatch]) -> Iterator[Observation]:
    """The observations of batches that are valid one at a time."""
    for batch in batches:
        yield from batch.observations()
