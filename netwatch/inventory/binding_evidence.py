"""The packets by which it is known who has an address, and what it is called, where
incidents are to be proven.

A device that was learned has to be learned again from what is kept of an incident, so the
packets that said so last are handed on with its contacts. They are bounded by bytes, all
of them and those of one address; what had to go is counted, and contacts are told
without.
"""

from collections import OrderedDict

from netwatch.core.frame import Frame
from netwatch.inventory.bindings import Hold, Station

MAX_BYTES = 16 << 20
"""Bytes of packets that say who has an address."""

MAX_OF_ONE = 4096
"""Bytes of those that say it of one address."""

Frames = tuple[Frame, ...]


class Grounds:
    """The packets that said last that somebody has an address, by that hold, and what a
    station is called. `lost` counts what went, or never was kept, because it was too much."""

    def __init__(self) -> None:
        self._table: OrderedDict[Hold | Station, Frames] = OrderedDict()
        self._bytes = 0
        self.lost = 0

    def keep(self, what: Hold | Station, frames: Frames) -> None:
        """Keep these packets in place of those that said it before."""
        self._forget(what)
        if not frames:
            return
        size = _size(frames)
        if size > MAX_OF_ONE:
            self.lost += 1
            return
        self._table[what] = frames
        self._bytes += size
        while self._bytes > MAX_BYTES:
            self.lost += 1
            self._forget(next(iter(self._table)))

    def of(self, *what: Hold | Station | None) -> Frames:
        """What is kept of these, each packet once."""
        found = [self._table.get(each, ()) for each in what if each is not None]
        return tuple(dict.fromkeys(frame for frames in found for frame in frames))

    def _forget(self, what: Hold | Station) -> None:
        self._bytes -= _size(self._table.pop(what, ()))


def _size(frames: Frames) -> int:
    return sum(len(frame.data) for frame in frames)
