# cython: language_level=3, boundscheck=True, wraparound=False
"""What happens to an ended flow: it is counted, and reported individually only if needed.

Most flows only matter as a number: how many of a client had which visibility. They are counted from
the words of their slots. A flow is reported individually if its end was requested, or if its client
may have resolved its server's address for an app.
"""

from array import array
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.coverage.flow_visibility import FlowVisibility
    from cython.cimports.netwatch.dissect.flows.address_tables import (
        AddressFilter,
        mixed,
    )
    from cython.cimports.netwatch.dissect.flows.flow_counts import FlowCounts
    from cython.cimports.netwatch.dissect.loop import layout
else:
    from netwatch.coverage.flow_visibility import FlowVisibility
    from netwatch.dissect.flows.address_tables import (
        AddressFilter,
        mixed,
    )
    from netwatch.dissect.flows.flow_counts import FlowCounts
    from netwatch.dissect.loop import layout

from netwatch.core.buffers import Words
from netwatch.core.flow import BYPASS_CATEGORIES, NAME_STATUSES
from netwatch.dissect.flows import address_tables
from netwatch.dissect.loop.division import Division
from netwatch.dissect.loop.layout import FLOW_WORDS

NAMED_BATCH = 65_536
"""Named flows to count before they are handed over."""

CELLS = 65_536
"""Pairs of a client and a visibility whose flows are counted before they are handed over."""

TIMES = 65_536
"""Times of flows to keep before these flows are handed over."""

EVERYWHERE = ((bytes(4), b"\xff" * 4), (bytes(16), b"\xff" * 16))
"""The ranges of all addresses."""

_NAMED = cython.declare(cython.longlong, NAME_STATUSES.index("named"))
_BYPASS = cython.declare(cython.longlong, NAME_STATUSES.index(BYPASS_CATEGORIES[0]))
_WORDS = cython.declare(cython.Py_ssize_t, FLOW_WORDS)


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """The configuration of counting flows.

    `ranges` are the addresses of networks: clients outside all of them are counted together.
    `categories` are categories of servers by address, `changing` the addresses whose device depends
    on the time. Without `by_device` the clients of flows are only addresses, whatever MAC they have
    and device they are. With `report_all` each flow is also reported individually, unless it is
    named. Without `counting` flows are reported and not counted. With `slots_ended` neither: it
    takes the slots of all flows, also named ones and those on DNS ports, as `layout.FLOW_WORDS`
    integers each, which `netwatch.dissect.flows.records.to_flow` explains.
    """

    ranges: address_tables.AddressRanges = field(
        default_factory=lambda: address_tables.AddressRanges(EVERYWHERE)
    )
    categories: address_tables.AddressCategories = field(
        default_factory=address_tables.AddressCategories
    )
    changing: address_tables.AddressFilter = field(
        default_factory=lambda: address_tables.AddressFilter(0)
    )
    report_all: bool = False
    slots_ended: Callable[[memoryview], None] | None = None
    counting: bool = True
    by_device: bool = True


@cython.final
@cython.cclass
class FlowAccounting:
    """Counts the flows of one capture: in `named` the flows that only matter because their name was
    read, each with the time of its first packet; in `others` all others, with their times if the
    client's device may depend on them.

    Put into `resolved` the pairs of client and server whose flows are to be reported, and into
    `learned` the addresses whose device was learned. `salt` (63 bits) varies the hashes. With
    `division`, flows that another worker than `worker` counts are not counted.
    """

    def __init__(
        self,
        options: FlowOptions,
        salt: int,
        *,
        division: Division | None = None,
        worker: int = 0,
    ) -> None:
        self.division = division
        self.worker = worker
        self.visibility = FlowVisibility()
        self.resolved = AddressFilter(salt)
        self.learned = AddressFilter(salt)
        self.words: Words = array("q")
        self.named_batch = NAMED_BATCH
        # A block ends before so many more named flows have ended.
        self.named = FlowCounts(2 * NAMED_BATCH, 2 * NAMED_BATCH, salt)
        self.others = FlowCounts(CELLS, TIMES, salt)
        self.replace(options)

    def replace(self, options: FlowOptions) -> None:
        """Count by these options from now on; nothing may be counted in `others`."""
        self.ranges = options.ranges
        self.categories = options.categories
        self.changing = options.changing
        self.report_all = options.report_all
        self.counting = options.counting
        self.by_device = options.by_device

    def apart(self) -> "FlowAccounting":
        """Another instance that counts in the same way, separately."""
        options = FlowOptions(
            self.ranges,
            self.categories,
            self.changing,
            counting=self.counting,
            by_device=self.by_device,
        )
        made: FlowAccounting = FlowAccounting(
            options, self.resolved.salt, division=self.division, worker=self.worker
        )
        made.resolved, made.learned = self.resolved, self.learned
        return made

    def account(
        self,
        words: Words,
        at: cython.Py_ssize_t,
        followed: AbstractSet[int],
        reported: list[int],
    ) -> int:
        """Count the flows whose slots are in `words`, from the offset `at`, until all are counted
        or a table is full; returns the offset to continue from. The offsets of flows to report are
        added to `reported`, including those in `followed`."""
        about: cython.longlong
        low: cython.longlong
        high: cython.longlong
        status: cython.longlong
        is_followed: cython.bint
        is_counted: cython.bint
        asked: cython.bint = len(followed) > 0
        self.words = words
        while at < len(self.words) and not self.named.is_full() and not self.others.is_full():
            about = self.words[at + layout.FLOW_FLAGS]
            low = self.words[at + layout.FLOW_PORTS] >> 16
            high = self.words[at + layout.FLOW_PORTS] & 0xFFFF
            status = self.words[at + layout.FLOW_GENERATION] >> 8
            is_followed = about & layout.FLAG_REPORT_END != 0
            is_counted = self.counting and (self.division is None or self.is_counted(at))
            if not is_followed and self.is_merely_named(at, low, high, status):
                if is_counted:
                    self.count_client(self.named, at, self.client_side(at), 0, False)
            elif is_followed or not (low == 53 or high == 53):
                if asked and not is_followed:
                    is_followed = (
                        self.words[at] | (self.words[at + layout.FLOW_GENERATION] & 255)
                    ) in followed
                if is_followed or self.report_all or self.was_resolved(at, status):
                    reported.append(at)
                if is_counted:
                    self.count(at, status)
            # Otherwise it is DNS over TCP, which does not count as a flow, like DNS over UDP.
            at += _WORDS
        return at

    def is_counted(self, at: cython.Py_ssize_t) -> bool:
        """Whether this worker, if there are several, counts the flow in the slot at `at`."""
        size: cython.Py_ssize_t = 4 if self.words[at + layout.FLOW_FLAGS] & layout.FLAG_IPV6 else 1
        ends: list[bytes] = []
        at += layout.FLOW_ADDRESSES
        for _ in range(2):
            words = [self.words[at + i] for i in range(size)]
            ends.append(b"".join([word.to_bytes(4, "big") for word in words]))
            at += 4
        assert self.division is not None
        return self.division.is_counted(self.worker, ends[0], ends[1])

    def is_merely_named(
        self,
        at: cython.Py_ssize_t,
        low: cython.longlong,
        high: cython.longlong,
        status: cython.longlong,
    ) -> cython.bint:
        """Whether all that matters of a flow is that its name was read. `low` and `high` are its
        ports."""
        return (
            status == _NAMED
            and (
                self.words[at + layout.FLOW_BYTES] != 0
                or self.words[at + layout.FLOW_BYTES + 1] != 0
            )
            and not (low == 53 or low == 853 or high == 53 or high == 853)
        )

    def client_side(self, at: cython.Py_ssize_t) -> cython.int:
        """The client's side: the end that opened the flow, otherwise the one with the greater
        port."""
        about: cython.longlong = self.words[at + layout.FLOW_FLAGS]
        ports: cython.longlong = self.words[at + layout.FLOW_PORTS]
        if about & layout.FLAG_CLIENT_KNOWN:
            return 1 if about & layout.FLAG_CLIENT_1 else 0
        return 1 if ports >> 16 < ports & 0xFFFF else 0

    def was_resolved(self, at: cython.Py_ssize_t, status: cython.longlong) -> cython.bint:
        """Whether the client of a flow without a name may have resolved the server's address for
        an app."""
        side: cython.int
        if not self.resolved.used or status == _NAMED or status >= _BYPASS:
            return False
        side = self.client_side(at)
        return self.resolved.may_have(
            self.mix(self.mix(self.resolved.salt, at, side), at, 1 - side)
        )

    def mix(
        self, hash_: cython.ulonglong, at: cython.Py_ssize_t, side: cython.int
    ) -> cython.ulonglong:
        """The hash with the address of a side added to it."""
        at += layout.FLOW_ADDRESSES + 4 * side
        return mixed(
            hash_, self.words[at], self.words[at + 1], self.words[at + 2], self.words[at + 3]
        )

    def count(self, at: cython.Py_ssize_t, status: cython.longlong) -> cython.void:
        """Count a flow in `others`."""
        about: cython.longlong = self.words[at + layout.FLOW_FLAGS]
        ports: cython.longlong = self.words[at + layout.FLOW_PORTS]
        state: cython.longlong = self.words[at + layout.FLOW_STATE]
        side: cython.int = self.client_side(at)
        client: cython.longlong = ports & 0xFFFF if side else ports >> 16
        server: cython.longlong = ports >> 16 if side else ports & 0xFFFF
        is_tcp: cython.bint = about & 255 == 6
        is_reversed: cython.bint = self.visibility.is_reversed(is_tcp, client, server, status)
        bytes_out: cython.longlong
        bytes_in: cython.longlong
        found: cython.int
        if is_reversed:
            side = 1 - side
            server = client
        bytes_out = self.words[at + layout.FLOW_BYTES + side]
        bytes_in = self.words[at + layout.FLOW_BYTES + 1 - side]
        found = self.visibility.by_name_and_port(is_tcp, server, bytes_out | bytes_in, status)
        if found < 0:
            found = self.visibility.by_address(self.category(at, 1 - side), server)
        if found < 0:
            found = self.visibility.by_content(
                bytes_out,
                bytes_in,
                status,
                state & 7 == layout.STATE_EXPECTING or (state >> 8) & 7 == layout.STATE_EXPECTING,
                about & layout.FLAG_START_SEEN != 0,
            )
        self.count_client(self.others, at, side, found, is_reversed)

    def category(self, at: cython.Py_ssize_t, side: cython.int) -> cython.longlong:
        """The category of the app with a server at the address of a side, otherwise 0."""
        is_ipv6: cython.bint = self.words[at + layout.FLOW_FLAGS] & layout.FLAG_IPV6 != 0
        at += layout.FLOW_ADDRESSES + 4 * side
        return self.categories.category(
            is_ipv6, self.words[at], self.words[at + 1], self.words[at + 2], self.words[at + 3]
        )

    def count_client(
        self,
        counts: FlowCounts,
        at: cython.Py_ssize_t,
        side: cython.int,
        visibility: cython.longlong,
        is_reversed: cython.bint,
    ) -> cython.void:
        """Count a flow for the client on `side`; the frames of one that `is_reversed` do not show
        its client's MAC."""
        about: cython.longlong = self.words[at + layout.FLOW_FLAGS]
        is_ipv6: cython.bint = about & layout.FLAG_IPV6 != 0
        ends: cython.Py_ssize_t = at + layout.FLOW_ADDRESSES + 4 * side
        time: cython.longlong = -1
        about = (about >> 16 << 16) | visibility
        if self.ranges.are_outside(
            is_ipv6, self.words[ends], self.words[ends + 1], (about >> 16) - 1
        ):
            counts.add(about | layout.CELL_OUTSIDE, 0, 0, 0, 0, 0, -1)
            return
        if self.by_device and (counts is self.named or self.may_change(at, side)):
            time = self.words[at + layout.FLOW_FIRST]
        counts.add(
            about | (layout.FLAG_IPV6 if is_ipv6 else 0),
            0 if is_reversed or not self.by_device else self.words[at + layout.FLOW_MACS + side],
            self.words[ends],
            self.words[ends + 1],
            self.words[ends + 2],
            self.words[ends + 3],
            time,
        )

    def may_change(self, at: cython.Py_ssize_t, side: cython.int) -> cython.bint:
        """Whether the device at the address of a side may depend on the time."""
        return (
            self.learned.used and self.learned.may_have(self.mix(self.learned.salt, at, side))
        ) or (self.changing.used and self.changing.may_have(self.mix(self.changing.salt, at, side)))
