# cython: language_level=3, boundscheck=True, wraparound=False
"""The share of one worker if several read one capture: which packets it reads and counts.

`Loop` asks here once it has read the headers of a packet, and once more when it is done with the
packet. `netwatch.dissect.loop.division` decides whose a packet is. What is counted before that is
known, such as a truncated header, would be counted by all workers: worker 0 does, the others take
it back. So does a worker that reads a flow which another one counts.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.candidates import Candidates
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.division import Division
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.candidates import Candidates
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.division import Division

from netwatch.core.buffers import Words


@cython.final
@cython.cclass
class Share:
    """What the worker with the number `worker` reads of the packets at the cursor.

    It is `active` if there is a `division`; without one, everything is read and counted. `given`
    are the owners of the packet if they were decided before, otherwise -1; `counts` are the names
    that were counted without a parser.
    """

    def __init__(
        self,
        cursor: Cursor,
        candidates: Candidates,
        counts: Words,
        division: Division | None,
        worker: int,
    ) -> None:
        self.cursor = cursor
        self.candidates = candidates
        self.counts = counts
        self.counts_before: Words = array("q", bytes(8 * len(counts)))
        self.active = division is not None
        self.division = Division(1, bytes(65536)) if division is None else division
        self.worker = worker
        self.given = -1
        self.is_decided = False
        self.failures_before = 0

    if not cython.compiled:
        # The compiled form inlines these from the .pxd.

        def is_owner(self, lower: int, greater: int) -> bool:
            """Whether this worker is one of two owners that were decided before."""
            return self.worker in (lower, greater)

        def takes_record(self, lower: int, greater: int) -> bool:
            """Whether this worker reads a packet whose two owners were decided before."""
            self.given = -1 if lower == layout.EVERYONE else lower | greater << 8
            return lower == layout.EVERYONE or self.worker in (lower, greater)

    def begin(self) -> cython.void:
        """The headers of a frame are read next: its owner is not known yet."""
        self.is_decided = False
        self.failures_before = self.cursor.failures
        self.candidates.owner = layout.OWNER_EVERYONE if self.worker != 0 else layout.OWNER_SELF

    def takes_segment(self) -> cython.bint:
        """Whether this worker reads the TCP segment at the cursor."""
        if self.given >= 0:
            return self.decide(self.given)
        if not self.cursor.has(20):
            return True  # There is no header to read, and that is counted.
        return self.decide(
            self.division.of_flow(self.cursor.addresses, self.cursor.address_size, self.cursor.at)
        )

    def takes_datagram(self) -> cython.bint:
        """Whether this worker reads the datagram at the cursor: no lookup, and no tunnel."""
        if self.given >= 0:
            return self.decide(self.given)
        return self.decide(
            self.division.of_flow(self.cursor.addresses, self.cursor.address_size, self.cursor.at)
        )

    def takes_lookup(self) -> cython.bint:
        """Whether this worker reads the datagram at the cursor, which is on a port of DNS."""
        if self.given >= 0:
            return self.decide(self.given)
        return self.decide(
            self.division.of_lookup(
                self.cursor.addresses,
                self.cursor.address_size,
                self.cursor.at,
                self.cursor.end,
            )
        )

    def decide(self, owners: cython.int) -> cython.bint:
        """Whether this worker is one of two owners (as in `Division.of_ends`)."""
        i: cython.Py_ssize_t
        lower: cython.bint = owners & 255 == self.worker
        if self.worker != 0:
            self.cursor.forget_failures(self.failures_before)
        self.failures_before = self.cursor.failures
        self.is_decided = True
        if lower:
            self.candidates.owner = layout.OWNER_SELF
            return True
        if owners >> 8 != self.worker:
            self.candidates.owner = layout.OWNER_EVERYONE
            return False
        self.candidates.owner = layout.OWNER_OTHER
        for i in range(len(self.counts)):
            self.counts_before[i] = self.counts[i]
        return True

    def end(self) -> cython.void:
        """The frame was read: take back what this worker does not count."""
        i: cython.Py_ssize_t
        if not self.is_decided:
            if self.worker != 0:
                self.cursor.forget_failures(self.failures_before)
        elif self.candidates.owner == layout.OWNER_OTHER:
            self.cursor.forget_failures(self.failures_before)
            for i in range(len(self.counts)):
                self.counts[i] = self.counts_before[i]
