# cython: language_level=3, boundscheck=True, wraparound=False
"""What a server sends first: an answer, a denial, or something before any answer.

A denial is a fatal alert instead of a ServerHello, or an HTTP response that means that the request
was not let through (`netwatch.core.flow.DENIALS`). A denial holds until another response follows: a
proxy that asks for a password may open the tunnel after all. Not yet answers are QUIC packets after
which the client must try again (RFC 9000 section 17.2.1 and 17.2.5) or that are too short for a
ServerHello (section 14.1), and DTLS HelloVerifyRequest (RFC 6347 section 4.2.1).
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.table import FlowTable
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
else:
    from netwatch.dissect.flows.table import FlowTable
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor

ONE = cython.declare(cython.longlong, 1)
ALERT = cython.declare(cython.int, 21)
HANDSHAKE = cython.declare(cython.int, 22)
FATAL = cython.declare(cython.int, 2)
HELLO_VERIFY_REQUEST = cython.declare(cython.int, 3)
DTLS_HEADER = cython.declare(cython.Py_ssize_t, 13)
"""Bytes of a DTLS record header (RFC 6347 section 4.1)."""

STATUS_LINE = cython.declare(cython.Py_ssize_t, 12)
"""Bytes of a status line up to and including its code."""

QUIC_V2 = cython.declare(cython.longlong, 0x6B3343CF)
QUIC_DRAFTS = cython.declare(cython.longlong, 0xFF0000)
MIN_INITIAL = cython.declare(cython.longlong, 1200)
"""Minimum size of a server's datagram with an Initial that the client must acknowledge."""


@cython.final
@cython.cclass
class Answers:
    """Notes in the flow table what the payload at the cursor is, unless it is an ordinary
    answer."""

    def __init__(self, cursor: Cursor, flows: FlowTable) -> None:
        self.cursor = cursor
        self.flows = flows

    def segment(
        self, slot: cython.Py_ssize_t, side: cython.int, at: cython.Py_ssize_t
    ) -> cython.void:
        """Read the payload at `at`, which is the first of `side`, or follows a denial."""
        first: cython.bint = self.flows.table[slot + layout.FLOW_BYTES + side] == 0
        denial: cython.longlong
        state: cython.longlong = self.flows.table[slot + layout.FLOW_STATE]
        if not first and (state >> layout.DENIED_BY) & 1 != side:
            # The other side has denied something, and nothing that this side sends changes that.
            return
        if self.is_response(at):
            denial = self.denied_by_response(at)
            if denial >= 0:
                self.set_denial(slot, side, denial)
        elif first and self.is_fatal_alert(at):
            self.set_denial(slot, side, 1 + self.cursor.data[at + 6])

    def datagram(
        self, slot: cython.Py_ssize_t, side: cython.int, at: cython.Py_ssize_t
    ) -> cython.void:
        """Read the datagram at `at`, which is the first of `side`, or follows datagrams without an
        answer."""
        bit: cython.longlong = ONE << (layout.UNANSWERED + side)
        data: cython.Py_ssize_t = at + DTLS_HEADER
        self.flows.table[slot + layout.FLOW_STATE] &= ~bit
        if self.cursor.end - at > DTLS_HEADER + 1 and self.cursor.data[at + 1] == 254:
            if self.cursor.data[at] == ALERT and self.cursor.data[data] == FATAL:
                self.set_denial(slot, side, 1 + self.cursor.data[data + 1])
            elif (
                self.cursor.data[at] == HANDSHAKE and self.cursor.data[data] == HELLO_VERIFY_REQUEST
            ):
                self.flows.table[slot + layout.FLOW_STATE] |= bit
        elif self.is_before_answer(at):
            self.flows.table[slot + layout.FLOW_STATE] |= bit

    def set_denial(
        self, slot: cython.Py_ssize_t, side: cython.int, denial: cython.longlong
    ) -> cython.void:
        """Note how `side` has denied the other side's request, a place in `DENIALS`; 0 if it let it
        through."""
        state: cython.longlong = self.flows.table[slot + layout.FLOW_STATE]
        keep: cython.longlong = (ONE << layout.DENIAL) - 1
        state = state & keep & ~(ONE << layout.DENIED_BY)
        if side and denial:
            state |= ONE << layout.DENIED_BY
        self.flows.table[slot + layout.FLOW_STATE] = state | (denial << layout.DENIAL)

    def is_fatal_alert(self, at: cython.Py_ssize_t) -> cython.bint:
        """Whether a record at `at` is a fatal alert in clear text (RFC 5246 section 7.2)."""
        return (
            self.cursor.end - at >= 7
            and self.cursor.data[at] == ALERT
            and self.cursor.data[at + 1] == 3
            and self.cursor.u16(at + 3) == 2
            and self.cursor.data[at + 5] == FATAL
        )

    def is_response(self, at: cython.Py_ssize_t) -> cython.bint:
        """Whether a status line is at `at` (RFC 9112 section 4)."""
        return (
            self.cursor.end - at >= STATUS_LINE
            and self.cursor.u32(at) == 0x48545450  # HTTP
            and self.cursor.u16(at + 4) == 0x2F31  # /1
            and self.cursor.data[at + 8] == 32
        )

    def denied_by_response(self, at: cython.Py_ssize_t) -> cython.longlong:
        """How the response at `at` denies the request, a place in `DENIALS`; 0 if it lets it
        through, and -1 if another response follows (100 to 199)."""
        status: cython.int = (
            (self.cursor.data[at + 9] - 48) * 100
            + (self.cursor.data[at + 10] - 48) * 10
            + self.cursor.data[at + 11]
            - 48
        )
        if 100 <= status < 200:
            return -1
        if status == 403:
            return layout.DENIAL_403
        if status == 407:
            return layout.DENIAL_407
        if status == 451:
            return layout.DENIAL_451
        return layout.DENIAL_511 if status == 511 else 0

    def is_before_answer(self, at: cython.Py_ssize_t) -> cython.bint:
        """Whether the datagram at `at` is QUIC without a ServerHello: version negotiation, a Retry,
        or an Initial that is too short."""
        version: cython.longlong
        kind: cython.int
        retry: cython.int = 3
        initial: cython.int = 0
        if self.cursor.end - at < 5 or self.cursor.data[at] & 0x80 == 0:
            return False
        version = self.cursor.u32(at + 1)
        kind = (self.cursor.data[at] >> 4) & 3
        if version == QUIC_V2:
            retry = 0
            initial = 1
        elif version > 1 and version >> 8 != QUIC_DRAFTS:
            return False
        return (
            version == 0
            or kind == retry
            or (kind == initial and self.cursor.wire_end - at < MIN_INITIAL)
        )
