"""The packets that prove an address binding or a host name, kept while incidents need evidence.

An incident of a learned device can be reproduced from its evidence capture only if the device can
be learned from it again. The packets that last showed its binding and its name are therefore added
to the packets of its contacts. They are limited in bytes, in total and for each entry; what exceeds
a limit is counted, and contacts are then reported without these packets.
"""

from collections import OrderedDict

from netwatch.core.frame import Frame
from netwatch.inventory.bindings import AddressBinding
from netwatch.inventory.hosts import Host

MAX_BYTES = 16 << 20
"""Bytes of packets that prove bindings and host names."""

MAX_ENTRY_BYTES = 4096
"""Bytes of packets that prove one binding or one host name."""

Frames = tuple[Frame, ...]


class BindingEvidence:
    """The packets that last showed a binding, or the name of a host. `dropped` counts entries
    that were evicted or too large."""

    def __init__(self) -> None:
        self._table: OrderedDict[AddressBinding | Host, Frames] = OrderedDict()
        self._bytes = 0
        self.dropped = 0

    def store(self, subject: AddressBinding | Host, frames: Frames) -> None:
        """Store the packets that show a binding or a host name, in place of earlier ones."""
        self._remove(subject)
        if not frames:
            return
        size = bytes_in(frames)
        if size > MAX_ENTRY_BYTES:
            self.dropped += 1
            return
        self._table[subject] = frames
        self._bytes += size
        while self._bytes > MAX_BYTES:
            self.dropped += 1
            self._remove(next(iter(self._table)))

    def frames_of(self, *subjects: AddressBinding | Host | None) -> Frames:
        """The packets that are stored for these, each packet once."""
        stored = [self._table.get(subject, ()) for subject in subjects if subject is not None]
        return tuple(dict.fromkeys(frame for frames in stored for frame in frames))

    def _remove(self, subject: AddressBinding | Host) -> None:
        self._bytes -= bytes_in(self._table.pop(subject, ()))


def bytes_in(frames: Frames) -> int:
    """The size of packets in bytes."""
    return sum(len(frame.data) for frame in frames)
