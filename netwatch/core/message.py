# cython: language_level=3
"""What a parser reads in one message of its protocol."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

Evidence = Literal[
    "dns-query",
    "dns-answer",
    "dns-cname",
    "tls-sni",
    "quic-sni",
    "dtls-sni",
    "http-host",
    "socks-host",
    "tls-cert",
    "ip-from-dns",
    "ip-asn",
]

LOOKUPS = frozenset({"dns-query", "dns-answer", "dns-cname"})
"""Evidence that a name was asked for, not that its host was reached."""

HANDSHAKES = frozenset({"tls-sni", "quic-sni", "dtls-sni", "http-host", "socks-host"})
"""Evidence that the device reached out to the host of that name."""


@cython.cclass
@dataclass(frozen=True)
class ShownName:
    """One name that a message shows, as its parser tells it.

    `by_destination` is true where the client is the one the packet goes to: an answer,
    a certificate.
    """

    evidence: Evidence
    name: str
    by_destination: bool = False


@cython.cclass
@dataclass(frozen=True)
class DnsInfo:
    """What a DNS message tells beside the name: the type asked, the response code
    (None in a query), the addresses answered with their TTL in seconds, the chain of
    aliases from the name asked to the last target, and `ech`, the public names of the ECH
    configurations answered: those of outer hellos, which stand for others."""

    type: str
    rcode: str | None = None
    answers: tuple[tuple[str, int], ...] = ()
    chain: tuple[str, ...] = ()
    ech: tuple[str, ...] = ()


@cython.cclass
@dataclass(frozen=True)
class TlsInfo:
    """What a ClientHello tells beside the name. `ech` is None, ``outer`` or ``grease``
    where they can be told apart, else ``present``. `fingerprint` computes the JA4, which
    only the few that are told of need; None where the hello is cut."""

    version: str
    alpn: tuple[str, ...] = ()
    ech: str | None = None
    fingerprint: Callable[[], str] | None = field(default=None, compare=False, repr=False)

    @property
    def ja4(self) -> str | None:
        """The JA4 of the client, None where there is none."""
        return self.fingerprint() if self.fingerprint else None


@cython.cclass
@dataclass(frozen=True)
class QuicInfo:
    """What a QUIC Initial tells beside its ClientHello."""

    version: str


ClaimKind = Literal["asks", "leased", "refused", "released", "held"]
"""``asks``: a client wants or keeps an address, and says its name. ``leased``: a server
gives it; ``refused``: it does not. ``released``: the client gives it up, or does without.
``held``: somebody says that it has it, asked or not (ARP, neighbour discovery, mDNS)."""

LEARNABLE = ("dhcp", "mdns", "arp")
"""What device names can be learned from, in the order of the bits of `learning`."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a message says of who has which addresses (packed; none: the one that its
    packet comes from).

    `mac` is the hardware address that the message itself tells, None where it tells
    none. `direct`: the device itself is the near end of the packet, so that its frame has
    its MAC. `name` is the host name, ``""`` where none is told. `lifetime` is in seconds,
    None where it is not told. `transaction` joins a request with its answer, `client` and
    `server` tell DHCP clients and servers apart. `kept`: the client says that it has had
    the address before. `router`: whoever sends it forwards packets of others.
    """

    kind: ClaimKind
    ips: tuple[bytes, ...] = ()
    mac: bytes | None = None
    direct: bool = False
    name: str = ""
    lifetime: int | None = None
    transaction: bytes = b""
    client: bytes = b""
    server: bytes = b""
    kept: bool = False
    router: bool = False


@cython.cclass
@dataclass(frozen=True)
class Message:
    """What a parser read in one message of its protocol.

    `size` is how many bytes it took from the start of what it was given, so that the
    next message of a stream starts there. `anomalies` are names of what was not as the
    RFC has it but could be read all the same. `claims` tell who has which address.
    """

    names: tuple[ShownName, ...]
    size: int
    dns: DnsInfo | None = None
    tls: TlsInfo | None = None
    quic: QuicInfo | None = None
    anomalies: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()
