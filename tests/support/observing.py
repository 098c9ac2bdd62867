"""Observations as values, for tests that compare them."""

from collections.abc import Iterable, Iterator

from netwatch.core.message import Message
from netwatch.core.observation import Observation
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.packet import Packet
from netwatch.dissect.dissector import Dissector, Found, LoopRows


def observe(packet: Packet, message: Message) -> list[Observation]:
    """The observation of each name that a message shows."""
    batch = ObservationBatch([packet.source])
    start, stop = batch.append(packet, message, 0, True)
    return [batch.observation(row) for row in range(start, stop)]


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
