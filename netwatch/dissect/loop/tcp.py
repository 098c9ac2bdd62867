# cython: language_level=3, boundscheck=True, wraparound=False
"""TCP segments: which worker's are they, and is their payload worth a parser?

The masks tell what a payload looks like, the state of its flow whether more bytes are expected.
What remains becomes a row.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.flows.tcp_state import TcpState
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.answers import Answers
    from cython.cimports.netwatch.dissect.loop.candidates import Candidates
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.flow_lookup import FlowLookup
    from cython.cimports.netwatch.dissect.loop.hello_reassembly import HelloReassembly
    from cython.cimports.netwatch.dissect.loop.hellos import TlsHellos
    from cython.cimports.netwatch.dissect.loop.http_requests import HttpRequests
    from cython.cimports.netwatch.dissect.loop.prefilter import Prefilter
else:
    from netwatch.dissect.flows.tcp_state import TcpState
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.answers import Answers
    from netwatch.dissect.loop.candidates import Candidates
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.flow_lookup import FlowLookup
    from netwatch.dissect.loop.hello_reassembly import HelloReassembly
    from netwatch.dissect.loop.hellos import TlsHellos
    from netwatch.dissect.loop.http_requests import HttpRequests
    from netwatch.dissect.loop.prefilter import Prefilter

SYN = cython.declare(cython.int, 2)
RST = cython.declare(cython.int, 4)
SYN_OR_RST = cython.declare(cython.int, 6)
ACK = cython.declare(cython.int, 16)
SYN_OR_ACK = cython.declare(cython.int, 18)
SEQ = cython.declare(cython.longlong, 0xFFFFFFFF)

# Results of `KeptMessages.compare`.
NOTHING = cython.declare(cython.int, 0)
SAME = cython.declare(cython.int, 1)
OTHER = cython.declare(cython.int, 2)

NO_QUIC = cython.declare(cython.Py_ssize_t, -1)

HTTP2_LIMIT = cython.declare(cython.longlong, 1048576)
"""How much of an HTTP/2 connection in clear text is read, bytes of the client's side."""

HELLO_LIMIT = cython.declare(cython.longlong, 65536)
"""The expected size of a hello at the place of another message, bytes."""

SERVER_HELLO_LIMIT = cython.declare(cython.longlong, 16384)
"""How many bytes after the start of a ServerHello are read for the certificate."""


@cython.final
@cython.cclass
class TcpSegments:
    """Reads the TCP header at the cursor and emits a row if the payload may show a name.

    Of the segment, `sequence` is the number of the first byte of its payload, `dns_port` tells
    whether one of its ports is DNS, and `stray` whether no server accepts it: it has neither SYN
    nor ACK (RFC 9293 section 3.10.7.4).
    """

    def __init__(
        self,
        cursor: Cursor,
        prefilter: Prefilter,
        *,
        lookup: FlowLookup,
        candidates: Candidates,
        hellos: HelloReassembly,
        state: TcpState,
        tls_hellos: TlsHellos,
        requests: HttpRequests,
        answers: Answers,
    ) -> None:
        self.cursor = cursor
        self.prefilter = prefilter
        self.flows = lookup.flows
        self.lookup = lookup
        self.candidates = candidates
        self.hellos = hellos
        self.state = state
        self.tls_hellos = tls_hellos
        self.requests = requests
        self.answers = answers
        self.sequence = 0
        self.dns_port = False
        self.stray = False

    def segment(self) -> cython.void:
        """Read the header (RFC 9293 section 3.1) and find the flow."""
        header: cython.Py_ssize_t
        size: cython.longlong
        flags: cython.int
        slot: cython.Py_ssize_t
        if not self.cursor.has(20):
            self.cursor.fail(layout.ANOMALY_TRANSPORT_HEADER_CUT)
            return
        header = (self.cursor.data[self.cursor.at + 12] >> 4) * 4
        size = self.cursor.wire_end - self.cursor.at - header
        if header < 20 or size < 0:
            self.cursor.fail(layout.ANOMALY_TCP_HEADER_BAD)
            return
        flags = self.cursor.data[self.cursor.at + 13]
        if flags & SYN_OR_RST == 0 and size == 0:
            return
        if flags & RST:
            self.reset()
            if size == 0:
                return
        self.sequence = self.cursor.u32(self.cursor.at + 4)
        self.stray = flags & SYN_OR_ACK == 0
        slot = self.flows.find(self.lookup.key(), self.cursor.time)
        if self.flows.is_new:
            self.lookup.describe(slot)
        self.dns_port = (
            self.cursor.u16(self.cursor.at) == 53 or self.cursor.u16(self.cursor.at + 2) == 53
        )
        if flags & SYN:
            self.opening(slot, flags)
        if size > 0:
            self.data(slot, flags, self.cursor.at + header, size)

    def data(
        self,
        slot: cython.Py_ssize_t,
        flags: cython.int,
        at: cython.Py_ssize_t,
        size: cython.longlong,
    ) -> cython.void:
        """A segment with payload at `at`: what it reveals about the other side, then what it shows.
        Most segments are in the middle of a transfer and reveal nothing, so that is checked
        first."""
        side: cython.int = self.candidates.side
        state: cython.longlong = self.flows.table[slot + layout.FLOW_STATE]
        first: cython.bint = self.flows.table[slot + layout.FLOW_BYTES + side] == 0
        if (
            (first or state & ((layout.NAMED_0 << (1 - side)) | (layout.VERIFY_0 << side)))
            and self.state.acknowledge(slot, side, flags & ACK != 0)
            and self.lookup.openings
        ):
            self.candidates.emit_answer(self.flows.name(slot))
        if first or state >> layout.DENIAL:
            self.answers.segment(slot, side, at)
        self.flows.add_bytes(slot, side, size)
        self.payload(slot, at)
        if self.cursor.checksum:
            self.state.note_checksum(slot, side)

    def reset(self) -> cython.void:
        """A segment with RST: the end of a connection, or its refusal (RFC 9293 section 3.5.3)."""
        slot: cython.Py_ssize_t = self.flows.seek(self.lookup.key())
        if slot >= 0:
            self.state.refuse(slot, self.candidates.side)
            if self.lookup.openings:
                self.candidates.emit_answer(self.flows.name(slot))

    def opening(self, slot: cython.Py_ssize_t, flags: cython.int) -> cython.void:
        """A segment with SYN: its payload starts one number later."""
        side: cython.int = self.candidates.side
        self.sequence = (self.sequence + 1) & SEQ
        if flags & ACK == 0:
            self.hellos.release_flow(slot)
            if self.state.syn(slot, side, self.sequence):
                self.lookup.describe(slot)
            self.flows.set_client(slot, side, True)
            self.state.verify(slot, side)
            return
        self.flows.set_client(slot, 1 - side, True)
        self.state.accept(slot, side)
        if self.lookup.openings:
            self.candidates.emit_answer(self.flows.name(slot))
        if self.dns_port:
            self.state.syn_ack(slot, side, self.sequence)
        else:
            self.state.ignore(slot, side)

    def payload(self, slot: cython.Py_ssize_t, at: cython.Py_ssize_t) -> cython.void:
        """Decide what to do with the payload at `at`."""
        behind: cython.Py_ssize_t
        possible: cython.bint
        kind: cython.longlong
        again: cython.int
        expected: cython.longlong
        whole: cython.bint
        if at >= self.cursor.end:
            self.cursor.fail(layout.ANOMALY_PAYLOAD_CUT)
            self.flows.raise_name_status(slot, layout.NAME_TRUNCATED)
            return
        possible = self.prefilter.prefaces.possible(at)
        if possible:
            behind = self.prefilter.prefaces.proxy(at, self.cursor.end)
            if behind > at:
                self.sequence = (self.sequence + behind - at) & SEQ
                at = behind
                if at >= self.cursor.end:
                    return
        if self.stray or self.state.is_outside(slot, self.candidates.side, self.sequence):
            if possible:
                self.stray_message(slot, at)
            return
        if possible:
            self.state.reopen(slot, self.candidates.side, self.sequence)
        again = self.compared(slot, at)
        kind = self.kind_of(slot, at, possible)
        if kind == 0 and again != OTHER:
            return
        self.state.expect_answer(slot, self.candidates.side)
        if self.candidates.is_due():
            self.hellos.catch_up(self.flows.name(slot))
        if again == OTHER:
            self.contradicts(slot, kind, at)
            return
        if again == SAME and kind != layout.KIND_MORE:
            self.cursor.fail(layout.ANOMALY_TCP_RETRANSMISSION)
            return
        if self.hellos.rows.active and self.is_known(slot, kind):
            self.cursor.fail(layout.ANOMALY_TCP_RETRANSMISSION)
            return
        expected = self.expected(kind, at)
        whole = expected == 0 and (kind == layout.KIND_TLS or kind == layout.KIND_HTTP)
        if whole and self.is_reported(slot, kind, at):
            return
        if expected:
            self.state.expect(slot, self.candidates.side, self.sequence, expected)
        self.emit(slot, kind, at, expected == 0)

    def compared(self, slot: cython.Py_ssize_t, at: cython.Py_ssize_t) -> cython.int:
        """Whether the payload at `at` has the bytes of a message that was read at its place (see
        `KeptMessages.compare`)."""
        size: cython.longlong = self.cursor.end - at
        if not self.state.is_again(slot, self.candidates.side, self.sequence, size):
            return NOTHING
        return self.hellos.compare(slot, self.sequence, at, size)

    def contradicts(
        self, slot: cython.Py_ssize_t, kind: cython.longlong, at: cython.Py_ssize_t
    ) -> cython.void:
        """A segment has other bytes than a message that was read at its place: only one of them
        reaches the server. The parser reassembles what else may have been sent."""
        side: cython.int = self.candidates.side
        self.flows.contest(slot, side, self.sequence)
        self.hellos.hand_to_parser(slot, self.flows.name(slot))
        self.flows.table[slot + layout.FLOW_FLAGS] &= ~layout.FLAG_HELLO_REPORTED
        self.state.expect(slot, side, self.sequence_of_message(slot), HELLO_LIMIT)
        self.candidates.side = side | layout.SIDE_OTHER_BYTES
        self.candidates.emit(
            kind if kind else layout.KIND_MORE, at, self.sequence, self.flows.name(slot)
        )
        self.candidates.side = side

    def sequence_of_message(self, slot: cython.Py_ssize_t) -> cython.longlong:
        """The number of the first byte that is expected again: the start of the last message of
        this side, or of the segment if it starts before it."""
        start: cython.longlong = (
            self.flows.table[slot + layout.FLOW_EXPECTED + self.candidates.side] & SEQ
        )
        return self.sequence if (self.sequence - start) & SEQ > SEQ >> 1 else start

    def stray_message(self, slot: cython.Py_ssize_t, at: cython.Py_ssize_t) -> cython.void:
        """A segment that no server accepts. What it shows is reported, without changing the state
        of its flow."""
        side: cython.int = self.candidates.side
        kind: cython.longlong = layout.KIND_TLS
        if not self.prefilter.masks.tls(at, self.cursor.end):
            kind = self.prefilter.masks.http(at, self.cursor.end)
        if kind == 0:
            return
        self.cursor.fail(layout.ANOMALY_TCP_STRAY)
        self.candidates.side = side | layout.SIDE_STRAY
        self.candidates.emit(kind, at, self.sequence, self.flows.name(slot))
        self.candidates.side = side

    def is_known(self, slot: cython.Py_ssize_t, kind: cython.longlong) -> cython.bint:
        """Whether a segment is part of a hello that was read here. Everything that a flow sends
        goes to the parsers from the first segment on that looks like a hello without being the
        first one of its side, or from which something else may be incomplete."""
        side: cython.int = self.candidates.side
        if kind == layout.KIND_MORE:
            return False
        if self.flows.repeats_hello(slot, side, self.sequence):
            return True
        if (
            kind == layout.KIND_SOCKS
            or kind == layout.KIND_DNS_TCP
            or (
                kind == layout.KIND_TLS
                and not (
                    self.flows.table[slot + layout.FLOW_FLAGS] & layout.FLAG_HELLO_REPORTED == 0
                    and self.state.begins(slot, side, self.sequence)
                )
            )
        ):
            self.hellos.hand_to_parser(slot, self.flows.name(slot))
        return False

    def kind_of(
        self, slot: cython.Py_ssize_t, at: cython.Py_ssize_t, possible: cython.bint
    ) -> cython.longlong:
        """The kind of the payload at `at`, 0 if it is of no interest. With `possible` it may match
        the masks of streams."""
        side: cython.int = self.candidates.side
        size: cython.longlong = self.cursor.wire_end - at
        kind: cython.longlong = 0
        conversation: cython.int = self.state.in_conversation(slot, side, self.sequence)
        if conversation == 2:
            self.cursor.fail(layout.ANOMALY_HTTP2_LONG)
        if self.dns_port:
            if self.state.is_first(slot, side, self.sequence) or self.prefilter.masks.dns(
                at + 2, self.cursor.end, self.cursor.wire_end
            ):
                return layout.KIND_DNS_TCP
            return layout.KIND_MORE
        if conversation == 1:
            return layout.KIND_MORE
        if possible:
            kind = self.beginning(slot, at)
        if kind:
            return kind
        if (
            size > 20
            and self.cursor.u16(at) == size - 2
            and self.prefilter.masks.dns(at + 2, self.cursor.end, self.cursor.wire_end)
        ):
            return layout.KIND_DNS_TCP
        if self.state.is_expected(slot, side, self.sequence, size):
            return layout.KIND_MORE
        return 0

    def beginning(self, slot: cython.Py_ssize_t, at: cython.Py_ssize_t) -> cython.longlong:
        """The kind of the message that a segment looks like the start of, 0 if none."""
        side: cython.int = self.candidates.side
        end: cython.Py_ssize_t = self.cursor.end
        start: cython.Py_ssize_t = self.prefilter.masks.behind_skipped(at, end)
        if (self.prefilter.masks.tls(start, end) or (start == end and start > at)) and (
            end - start > 5 or self.state.may_be_first(slot, side, self.sequence)
        ):
            # Shorter ones than the record header and the message type may be any byte of data.
            return layout.KIND_TLS
        if self.prefilter.masks.http(at, end) or (
            self.state.is_first(slot, side, self.sequence)
            and self.prefilter.masks.http_beginning(at, end)
        ):
            return layout.KIND_HTTP
        if self.prefilter.prefaces.http2(at, end):
            return layout.KIND_HTTP2
        if self.prefilter.prefaces.server_hello(at, end):
            return layout.KIND_TLS_SERVER
        return self.prefilter.prefaces.socks(at, end)

    def expected(self, kind: cython.longlong, at: cython.Py_ssize_t) -> cython.longlong:
        """How many bytes from `at` on may belong to a message of this kind; 0 if the segment
        contains all of it."""
        if kind == layout.KIND_TLS:
            return self.prefilter.masks.tls_expected(at, self.cursor.end)
        if kind == layout.KIND_HTTP:
            return self.prefilter.masks.http_expected(at, self.cursor.end)
        if kind == layout.KIND_HTTP2:
            return HTTP2_LIMIT
        if kind == layout.KIND_TLS_SERVER:
            return SERVER_HELLO_LIMIT
        return 0

    def is_reported(
        self, slot: cython.Py_ssize_t, kind: cython.longlong, at: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether the hello or request at `at`, which its segment contains completely, needs no
        parser: it shows a name of no interest, which was counted, or there is a row for it."""
        side: cython.int = self.candidates.side
        told: cython.int = 0
        first: cython.bint = self.state.begins(slot, side, self.sequence)
        separate: cython.bint = kind == layout.KIND_TLS or self.state.is_separate(
            slot, side, self.sequence
        )
        if kind != layout.KIND_TLS:
            self.state.ignore(slot, side)
        elif self.flows.kept(slot) and self.shows_another_name(slot, at):
            self.flows.contest(slot, side, self.sequence)
        if self.state.complete(slot, side, self.sequence, self.cursor.end - at):
            self.hellos.keep(slot, self.sequence, self.cursor.data, at, self.cursor.end - at)
        if not separate or not self.hellos.is_untouched(slot):
            return False
        if kind == layout.KIND_TLS:
            self.candidates.prefiltered = self.prefilter.domains.active
            told = self.told_by_hello(slot, at)
        elif self.reads_request(slot, at, first):
            told = layout.NAME_NAMED
        if told == 0:
            return False
        self.flows.set_client(slot, side, False)
        self.flows.raise_name_status(slot, told)
        return True

    def shows_another_name(self, slot: cython.Py_ssize_t, at: cython.Py_ssize_t) -> cython.bint:
        """Whether the hello at `at` shows a name that is not in an earlier hello of this side,
        which it is after a HelloRetryRequest (RFC 8446 section 4.1.2)."""
        return (
            self.prefilter.hellos.read_record(at, self.cursor.end)
            and self.prefilter.hellos.hello.name_size > 0
            and self.hellos.is_another_name(
                slot,
                self.prefilter.hellos.hello.name,
                self.prefilter.hellos.hello.name_size,
            )
        )

    def told_by_hello(self, slot: cython.Py_ssize_t, at: cython.Py_ssize_t) -> cython.int:
        """What the hello at `at` reveals about its flow (``NAME_``) if it needs no parser,
        otherwise 0. The name that it shows is then counted."""
        told: cython.int = layout.NAME_NAMED
        if not (self.prefilter.domains.active or self.hellos.rows.active):
            return 0
        if not self.prefilter.hellos.read_record(at, self.cursor.end):
            return 0
        if not self.prefilter.hellos.name_uninteresting():
            if (
                not self.hellos.buffering
                or self.prefilter.hellos.hello.stop != self.cursor.wire_end
            ):
                return 0
            told = self.hellos.rows.add(self.prefilter.hellos.hello, NO_QUIC, self.flows.name(slot))
            if told == 0:
                return 0
            self.candidates.total += 1
            self.flows.report_stream_hello(
                slot,
                self.candidates.side,
                self.sequence,
                self.prefilter.hellos.hello.stop - at,
            )
        if self.prefilter.hellos.hello.name_size:
            self.prefilter.hellos.counts[layout.NAMES_TLS_SNI] += 1
        return told

    def reads_request(
        self, slot: cython.Py_ssize_t, at: cython.Py_ssize_t, first: cython.bint
    ) -> cython.bint:
        """Whether the request at `at` needs no parser. There is a row only for a request that is
        the `first` thing of its side, so that it is recognised when it comes again."""
        if self.cursor.end < self.cursor.wire_end:
            return False
        if not self.requests.read(at, self.cursor.end):
            return False
        if self.requests.uninteresting():
            return True
        if (
            not first
            or not self.hellos.buffering
            or self.flows.table[slot + layout.FLOW_FLAGS] & layout.FLAG_HELLO_REPORTED
            or not self.requests.add_rows(self.flows.name(slot))
        ):
            return False
        self.flows.report_stream_hello(
            slot, self.candidates.side, self.sequence, self.cursor.end - at
        )
        self.candidates.total += 1
        return True

    def emit(
        self,
        slot: cython.Py_ssize_t,
        kind: cython.longlong,
        at: cython.Py_ssize_t,
        whole: cython.bint,
    ) -> cython.void:
        """Emit a row for the payload at `at`, unless it is part of a ClientHello that can be
        buffered. With `whole` the segment contains the complete message."""
        side: cython.int = self.candidates.side
        if (
            kind == layout.KIND_TLS
            or kind == layout.KIND_HTTP
            or kind == layout.KIND_SOCKS
            or kind == layout.KIND_HTTP2
        ):
            self.flows.set_client(slot, side, False)
        elif kind == layout.KIND_TLS_SERVER:
            self.flows.set_client(slot, 1 - side, False)
        if (kind == layout.KIND_TLS and not whole) or (
            kind == layout.KIND_MORE and not self.dns_port
        ):
            if self.tls_hellos.segment(slot, kind, at, self.sequence):
                return
        else:
            self.hellos.release_flow(slot)
        self.candidates.emit(kind, at, self.sequence, self.flows.name(slot))
