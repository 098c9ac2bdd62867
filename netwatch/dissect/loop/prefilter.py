# cython: language_level=3, boundscheck=True, wraparound=False
"""The prefilter: which payloads are worth a parser, by their first bytes and by their names.

It owns the protocol masks and the prefilters of DNS messages and ClientHellos, which share one set
of domains and one count of names with the reader of HTTP requests
(`netwatch.dissect.loop.http_requests`). Each of them reads its own window of bytes. Only the usual
layout is read, as with DNS messages (`netwatch.dissect.loop.prefilter_dns`). Everything not in that
layout goes to its parser.
"""

from array import array
from collections.abc import Iterable

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.client_hello import ClientHello
    from cython.cimports.netwatch.dissect.loop.domain_filter import DomainFilter, DomainSet
    from cython.cimports.netwatch.dissect.loop.octets import Window
    from cython.cimports.netwatch.dissect.loop.preface_masks import PrefaceMasks
    from cython.cimports.netwatch.dissect.loop.prefilter_dns import DnsPrefilter
    from cython.cimports.netwatch.dissect.loop.protocol_masks import ProtocolMasks
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.client_hello import ClientHello
    from netwatch.dissect.loop.domain_filter import DomainFilter, DomainSet
    from netwatch.dissect.loop.octets import Window
    from netwatch.dissect.loop.preface_masks import PrefaceMasks
    from netwatch.dissect.loop.prefilter_dns import DnsPrefilter
    from netwatch.dissect.loop.protocol_masks import ProtocolMasks

from netwatch.core.buffers import Buffer, Octets, Words

EVIDENCE = ("dns-query", "dns-answer", "dns-cname", "tls-sni", "quic-sni", "http-host")
"""Evidence whose names are counted here, from `layout.NAMES_DNS_QUERY` on."""


ECH_OUTER = cython.declare(cython.int, 1)
"""A result of `ClientHello.ech_class`."""


@cython.final
@cython.cclass
class HelloPrefilter(Window):
    """Compares the name in a ClientHello with a set of domains; `counts` as in `DnsPrefilter`.
    `hello` has the parts of the last hello; `given` is its table."""

    def __init__(self, domains: DomainFilter, counts: Words, given: Buffer) -> None:
        Window.__init__(self)
        self.domains = domains
        self.counts = counts
        self.hello = ClientHello(given)

    def set_data(self, data: Octets) -> None:
        """Read these bytes from now on."""
        self.data = data
        self.hello.set_data(data)
        self.domains.set_data(data)

    def uninteresting(self, kind: cython.int, message: bytes) -> bool:
        """Whether a message that its reader has reassembled shows nothing but a name of no
        interest: for `layout.KIND_TLS` a ClientHello in a TLS record, for `layout.KIND_QUIC` a
        hello from its handshake header on. If so the name is counted."""
        if not self.domains.domains.active:
            return False
        self.set_data(message)
        if kind == layout.KIND_TLS and self.read_record(0, len(message)):
            counted = layout.NAMES_TLS_SNI
        elif kind == layout.KIND_QUIC and self.hello.is_plain(0, len(message)):
            counted = layout.NAMES_QUIC_SNI
        else:
            return False
        if not self.name_uninteresting():
            return False
        self.counts[counted] += 1
        return True

    def read_record(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a complete ClientHello in the one TLS record at `at` has no deviations; `hello`
        then has its parts."""
        if end - at < 9 or self.data[at] != 22 or self.data[at + 1] != 3:
            return False
        if self.u16(at + 3) != 4 + self.u32(at + 5) % 16777216 or self.u16(at + 3) > 16384 + 2048:
            return False
        return self.hello.is_plain(at + 5, end)

    def name_uninteresting(self) -> cython.bint:
        """Whether the last hello shows a name of no interest, and that name is the one that the
        client connects to: it has no encrypted_client_hello, or it may be GREASE, with a config_id
        that no client received."""
        end: cython.Py_ssize_t = self.hello.name + self.hello.name_size
        if (
            not self.domains.domains.active
            or self.hello.name_size == 0
            or self.data[end - 1] == 46
            or self.hello.may_be_known()
            or (self.hello.ech and self.hello.ech_class(False, True) == ECH_OUTER)
        ):
            return False
        return self.domains.hash_name(self.hello.name, end) and self.domains.not_matched()


@cython.final
@cython.cclass
class Prefilter:
    """The masks and prefilters of a packet loop.

    `masks`, `prefaces`, `dns` and `hellos` read the packets of a block, `messages` reads messages
    that parsers have reassembled, one at a time. `given` has a byte for each ECH config_id: hellos
    with it are candidates once it is not 0.
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
        self.messages = self.hello_prefilter()

    def hello_prefilter(self) -> HelloPrefilter:
        """Another prefilter of hellos with a window of its own, on the same domains and counts."""
        return HelloPrefilter(DomainFilter(self.domains), self.counts, self.given)

    def uncounted_messages(self) -> HelloPrefilter:
        """One like `messages`, but without counting names here."""
        counts = array("q", bytes(8 * len(EVIDENCE)))
        return HelloPrefilter(DomainFilter(self.domains), counts, self.given)

    def set_data(self, data: Octets) -> None:
        """Read the packets of another block from now on."""
        self.masks.set_data(data)
        self.prefaces.set_data(data)
        self.dns.set_data(data)
        self.hellos.set_data(data)

    def names(self) -> dict[str, int]:
        """How many names were counted without a parser, by evidence."""
        return {name: self.counts[i] for i, name in enumerate(EVIDENCE) if self.counts[i]}
