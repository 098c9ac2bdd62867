# cython: language_level=3, boundscheck=True, wraparound=False
"""The prefilter: which payloads are worth a parser, by their first bytes and by their names.

It owns the protocol masks and the prefilters of DNS messages, ClientHellos and HTTP requests, which
share one set of domains and one count of names. Each of them reads its own window of bytes. Only
the usual layout is read, as with DNS messages (`netwatch.dissect.loop.prefilter_dns`); of HTTP
that is one head that fills its segment, with a path as target and one Host field. Anything else
goes to its parser.
"""

from array import array
from collections.abc import Iterable

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.domain_filter import DomainFilter, DomainSet
    from cython.cimports.netwatch.dissect.loop.hello_layout import HelloLayout
    from cython.cimports.netwatch.dissect.loop.octets import Window
    from cython.cimports.netwatch.dissect.loop.preface_masks import PrefaceMasks
    from cython.cimports.netwatch.dissect.loop.prefilter_dns import DnsPrefilter
    from cython.cimports.netwatch.dissect.loop.protocol_masks import ProtocolMasks
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.domain_filter import DomainFilter, DomainSet
    from netwatch.dissect.loop.hello_layout import HelloLayout
    from netwatch.dissect.loop.octets import Window
    from netwatch.dissect.loop.preface_masks import PrefaceMasks
    from netwatch.dissect.loop.prefilter_dns import DnsPrefilter
    from netwatch.dissect.loop.protocol_masks import ProtocolMasks

from netwatch.core.buffers import Buffer, Octets, Words

LF = cython.declare(cython.int, 10)
CR = cython.declare(cython.int, 13)
COLON = cython.declare(cython.int, 58)

EVIDENCE = ("dns-query", "dns-answer", "dns-cname", "tls-sni", "quic-sni", "http-host")
"""Evidence whose names are counted here, in the order of `layout.NAMES_DNS_QUERY` and the next."""


@cython.final
@cython.cclass
class RequestPrefilter(Window):
    """Compares the host of a request with `domains`, which reads the same bytes; `counts` as in
    `DnsPrefilter`."""

    def __init__(self, domains: DomainFilter, counts: Words) -> None:
        Window.__init__(self)
        self.domains = domains
        self.counts = counts

    def uninteresting(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether the bytes are one request head, valid in all that its parser looks at (RFC 9112
        sections 3 and 5), for a host of no interest. If so the name is counted."""
        pos: cython.Py_ssize_t
        colon: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        hosts: cython.int = 0
        if not self.domains.domains.active:
            return False
        pos = self.request_line(at, end)
        if pos < 0:
            return False
        while pos + 2 < end:
            colon = self.field_name(pos, end)
            if colon < 0:
                return False
            stop = self.line_end(colon, end)
            if stop < 0:
                return False
            # "host", in upper or lower case
            if colon - pos == 4 and self.u32(pos) | 0x20202020 == 0x686F7374:
                hosts += 1
                if hosts > 1 or not self.host_uninteresting(colon + 1, stop):
                    return False
            pos = stop + 2
        if hosts != 1 or pos + 2 != end or self.u16(pos) != 0x0D0A:
            return False
        self.counts[layout.NAMES_HTTP_HOST] += 1
        return True

    def request_line(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the line behind the request line starts; -1 where the request line is not a
        method of capital letters other than CONNECT, a path, and a version of HTTP/1."""
        pos: cython.Py_ssize_t = at
        stop: cython.Py_ssize_t
        while pos < end and pos - at < 24 and 65 <= self.data[pos] <= 90:
            pos += 1
        if pos - at < 3 or pos + 13 > end or self.u32(at) == 0x434F4E4E:
            return -1
        if self.u16(pos) != 0x202F:
            return -1
        pos += 2
        while pos < end and self.data[pos] > 32:
            pos += 1
        stop = pos + 9
        if stop + 2 > end or self.data[pos] != 32 or self.u32(pos + 1) != 0x48545450:
            return -1
        if self.u16(pos + 5) != 0x2F31 or self.data[pos + 7] != 46:
            return -1
        if not 48 <= self.data[pos + 8] <= 57 or self.u16(stop) != 0x0D0A:
            return -1
        return stop + 2

    def field_name(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the colon behind a field name is; -1 where the name is empty or has other bytes
        than printable ASCII."""
        pos: cython.Py_ssize_t = at
        while pos < end and 32 < self.data[pos] < 127 and self.data[pos] != COLON:
            pos += 1
        return pos if at < pos < end and self.data[pos] == COLON else -1

    def line_end(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the CRLF is that ends a line; -1 where the line ends otherwise, or not at all."""
        while at + 1 < end and self.data[at] != LF and self.data[at] != CR:
            at += 1
        return at if at + 1 < end and self.u16(at) == 0x0D0A else -1

    def host_uninteresting(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a Host field is a name of no interest, with or without a port. Unlike
        addresses, names do not end in a digit (RFC 3696 section 2)."""
        while at < end and (self.data[at] == 32 or self.data[at] == 9):
            at += 1
        while end > at and 48 <= self.data[end - 1] <= 57:
            end -= 1
        if end <= at + 1:
            return False
        if self.data[end - 1] == COLON:
            end -= 1
        elif 48 <= self.data[end] <= 57:
            return False
        if end <= at or self.data[end - 1] == 46 or 48 <= self.data[end - 1] <= 57:
            return False
        return self.domains.hash_name(at, end) and self.domains.not_matched()


@cython.final
@cython.cclass
class HelloPrefilter(Window):
    """Compares the name in a ClientHello with a set of domains; `counts` as in `DnsPrefilter`.
    `hello` has the parts of the hello that was read last; `given` is its table."""

    def __init__(self, domains: DomainFilter, counts: Words, given: Buffer) -> None:
        Window.__init__(self)
        self.domains = domains
        self.counts = counts
        self.hello = HelloLayout(given)

    def set_data(self, data: Octets) -> None:
        """Read these bytes from now on."""
        self.data = data
        self.hello.set_data(data)
        self.domains.set_data(data)

    def uninteresting(self, kind: cython.int, message: bytes) -> bool:
        """Whether a message that was put together by its reader shows nothing but a name of no
        interest: of `layout.KIND_TLS` a ClientHello in a TLS record, of `layout.KIND_QUIC` one
        from its handshake header on. If so the name is counted."""
        if not self.domains.domains.active:
            return False
        self.set_data(message)
        if kind == layout.KIND_TLS and self.read_record(0, len(message)):
            counted = layout.NAMES_TLS_SNI
        elif kind == layout.KIND_QUIC and self.hello.read(0, len(message)):
            counted = layout.NAMES_QUIC_SNI
        else:
            return False
        if not self.name_uninteresting():
            return False
        self.counts[counted] += 1
        return True

    def read_record(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a ClientHello that is whole in the one TLS record at `at` is laid out as usual;
        `hello` has its parts then."""
        if end - at < 52 or self.data[at] != 22 or self.data[at + 1] != 3:
            return False
        if self.u16(at + 3) != 4 + self.u32(at + 5) % 16777216 or self.u16(at + 3) > 16384 + 2048:
            return False
        return self.hello.read(at + 5, end)

    def name_uninteresting(self) -> cython.bint:
        """Whether the hello that was read last shows a name of no interest, and that name is the
        one that the client connects to: it has no encrypted_client_hello, or may be GREASE, with
        another config_id than a client was given."""
        end: cython.Py_ssize_t = self.hello.name + self.hello.name_size
        if (
            not self.domains.domains.active
            or self.hello.name_size == 0
            or self.data[end - 1] == 46
            or self.hello.may_be_known()
            or (
                self.hello.ech_size and self.hello.is_boringssl() and not self.hello.is_ech_grease()
            )
        ):
            return False
        return self.domains.hash_name(self.hello.name, end) and self.domains.not_matched()


@cython.final
@cython.cclass
class Prefilter:
    """The masks and prefilters of a packet loop.

    `masks`, `prefaces`, `dns`, `hellos` and `requests` read the packets of a block, `messages`
    reads messages that parsers have put together, one at a time. `given` has a byte for each
    config_id of ECH: hellos with it are candidates once it is not 0.
    """

    def __init__(self, domains: Iterable[bytes] | None = None) -> None:
        self.domains = DomainSet(domains)
        self.counts = array("q", bytes(8 * len(EVIDENCE)))
        self.given = array("B", bytes(256))
        filter_ = DomainFilter(self.domains)
        self.masks = ProtocolMasks()
        self.prefaces = PrefaceMasks()
        self.dns = DnsPrefilter(filter_, self.counts)
        self.hellos = HelloPrefilter(filter_, self.counts, self.given)
        self.requests = RequestPrefilter(filter_, self.counts)
        self.messages = self.hello_prefilter()

    def hello_prefilter(self) -> HelloPrefilter:
        """Another prefilter of hellos with a window of its own, on the same domains and counts."""
        return HelloPrefilter(DomainFilter(self.domains), self.counts, self.given)

    def uncounted_messages(self) -> HelloPrefilter:
        """One like `messages` whose names are not counted here."""
        counts = array("q", bytes(8 * len(EVIDENCE)))
        return HelloPrefilter(DomainFilter(self.domains), counts, self.given)

    def set_data(self, data: Octets) -> None:
        """Read the packets of another block from now on."""
        self.masks.set_data(data)
        self.prefaces.set_data(data)
        self.dns.set_data(data)
        self.hellos.set_data(data)
        self.requests.set_data(data)

    def names(self) -> dict[str, int]:
        """How many names were counted without a parser, by evidence."""
        return {name: self.counts[i] for i, name in enumerate(EVIDENCE) if self.counts[i]}
