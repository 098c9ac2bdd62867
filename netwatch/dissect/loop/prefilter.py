# cython: language_level=3, boundscheck=True, wraparound=False
"""The prefilter: which payloads are worth a parser, by their first bytes and by their names.

It owns the protocol masks and the prefilters of DNS messages, ClientHellos and HTTP requests, which
share one set of domains and one count of names. Each of them reads its own window of bytes.
"""

from array import array
from collections.abc import Iterable

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.domain_filter import DomainFilter, DomainSet
    from cython.cimports.netwatch.dissect.loop.preface_masks import PrefaceMasks
    from cython.cimports.netwatch.dissect.loop.prefilter_dns import DnsPrefilter
    from cython.cimports.netwatch.dissect.loop.prefilter_http import RequestPrefilter
    from cython.cimports.netwatch.dissect.loop.prefilter_tls import HelloPrefilter
    from cython.cimports.netwatch.dissect.loop.protocol_masks import ProtocolMasks
else:
    from netwatch.dissect.loop.domain_filter import DomainFilter, DomainSet
    from netwatch.dissect.loop.preface_masks import PrefaceMasks
    from netwatch.dissect.loop.prefilter_dns import DnsPrefilter
    from netwatch.dissect.loop.prefilter_http import RequestPrefilter
    from netwatch.dissect.loop.prefilter_tls import HelloPrefilter
    from netwatch.dissect.loop.protocol_masks import ProtocolMasks

from netwatch.core.buffers import Octets

EVIDENCE = ("dns-query", "dns-answer", "dns-cname", "tls-sni", "quic-sni", "http-host")
"""Evidence whose names are counted here, in the order of `layout.NAMES_DNS_QUERY` and the next."""


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
