# cython: language_level=3
"""What is read from packets and logs: the packet that can carry a name, what a parser read in its
message, and the observations made from that."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.flow import Frame, LogInfo

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
    "ech-from-dns",
]

LOOKUPS = frozenset({"dns-query", "dns-answer", "dns-cname"})
"""Evidence that a device looked up the name, not that it contacted the host."""

HANDSHAKES = frozenset(
    {"tls-sni", "quic-sni", "dtls-sni", "http-host", "socks-host", "ech-from-dns"}
)
"""Evidence that a device contacted the host of that name; with ``ech-from-dns``, the host of one of
several names."""


@cython.cclass
@dataclass(frozen=True)
class ShownName:
    """A name that a message shows.

    `client_is_destination` is true if the message was sent to the client, as DNS responses and
    certificates are. `raw` is the name as it is in the packet (`netwatch.core.names.raw_name`),
    empty where that is the same. `asked` is the name that was looked up, if this one is an alias of
    it.
    """

    evidence: Evidence
    name: str
    client_is_destination: bool = False
    raw: str = ""
    asked: str = ""


@cython.cclass
@dataclass(frozen=True)
class DnsInfo:
    """What a DNS message contains besides the name.

    `type` is the type queried, `rcode` the response code (None in a query), `answers` the addresses
    with their TTL in seconds, and `chain` the aliases from the queried name to the last target.
    `ech_public_names` are the public names of the ECH configurations in the answer, which appear in
    outer ClientHellos instead of the real name; `ech_configs` are the configurations of the queried
    name, as `EchConfig` writes them. `service_targets` are the targets of SVCB and HTTPS records in
    service mode (RFC 9460 section 2.4.3): hosts that provide the service under the queried name, or
    the resolvers that an answer for ``_dns.resolver.arpa`` designates (RFC 9462).
    """

    type: str
    rcode: str | None = None
    answers: tuple[tuple[str, int], ...] = ()
    chain: tuple[str, ...] = ()
    ech_public_names: tuple[str, ...] = ()
    service_targets: tuple[str, ...] = ()
    ech_configs: tuple[str, ...] = ()


@cython.cclass
@dataclass(frozen=True)
class TlsInfo:
    """What a ClientHello contains besides the name.

    `ech` is None without the extension, ``outer`` or ``grease`` if these can be distinguished,
    otherwise ``present``. `ech_config_id` is the config_id in it, which is random in GREASE.
    `compute_ja4` computes the JA4 fingerprint, which only the few reported hellos need; it is None
    if the hello is truncated.
    """

    version: str
    alpn: tuple[str, ...] = ()
    ech: str | None = None
    compute_ja4: Callable[[], str] | None = field(default=None, compare=False, repr=False)
    ech_config_id: int | None = None

    @property
    def ja4(self) -> str | None:
        """The JA4 fingerprint of the client, or None if the hello is truncated."""
        return self.compute_ja4() if self.compute_ja4 else None


@cython.cclass
@dataclass(frozen=True)
class QuicInfo:
    """What a QUIC Initial packet contains besides its ClientHello."""

    version: str


AddressClaimKind = Literal["request", "lease", "nak", "release", "announcement"]
"""``request``: a client asks for an address or wants to keep it (DHCPDISCOVER, DHCPREQUEST).
``lease``: a server assigns it (DHCPACK, a DHCPv6 Reply). ``nak``: a server refuses it. ``release``:
a client gives it up or declines it. ``announcement``: a host announces that it uses the address
(ARP, neighbor discovery, mDNS)."""

LEARNING_SOURCES = ("dhcp", "mdns", "arp")
"""The protocols that devices can be learned from, in the order of the bits of `learning`."""


@dataclass(frozen=True, slots=True)
class AddressClaim:
    """A statement in a message about who uses which IP addresses.

    `addresses` are packed; an empty tuple stands for the source address of the packet. `mac` is the
    hardware address in the message, or None. `on_link` is true if the device itself sent or
    receives the frame, so that the frame has the MAC of the device and not of a relay. `hostname`
    is empty and `lifetime` (in seconds) None if the message lacks it. `transaction_id` connects a
    request with its answer; `client_id` and `server_id` identify DHCP clients and servers.
    `renewal` is true if the client already had the address, by its own account. `is_router` is true
    if the sender forwards other hosts' packets.
    """

    kind: AddressClaimKind
    addresses: tuple[bytes, ...] = ()
    mac: bytes | None = None
    on_link: bool = False
    hostname: str = ""
    lifetime: int | None = None
    transaction_id: bytes = b""
    client_id: bytes = b""
    server_id: bytes = b""
    renewal: bool = False
    is_router: bool = False


@cython.cclass
@dataclass(frozen=True)
class Message:
    """What a parser read in one message of its protocol.

    `names` are the names shown, `size` the length of the message in bytes, where the next message
    of a stream starts. `anomalies` are the names of deviations from the RFC that did not prevent
    parsing. `claims` are the message's statements about who uses which address.
    """

    names: tuple[ShownName, ...]
    size: int
    dns: DnsInfo | None = None
    tls: TlsInfo | None = None
    quic: QuicInfo | None = None
    anomalies: tuple[str, ...] = ()
    claims: tuple[AddressClaim, ...] = ()


@cython.cclass
@dataclass(frozen=True)
class Packet:
    """A packet that can carry a name: its position, time and endpoints.

    `source` is the file or interface, and `number` counts its packets from 1. `time` is in ns with
    `time_digits` significant digits after the second. Addresses are packed (4 or 16 bytes), MAC
    addresses are 6 bytes, or None if the link type has none. `vlan` is the innermost VLAN id, or
    None. `flow_id` identifies the flow within one run and has no meaning outside of it. `frames`
    are the frames that contain the message, if frames are stored. `mark` says how the packet was
    seen (`netwatch.core.flow`).
    """

    source: str
    number: int
    time: int
    time_digits: int
    transport: Literal["tcp", "udp"]
    src: bytes
    sport: int
    dst: bytes
    dport: int
    src_mac: bytes | None
    dst_mac: bytes | None
    vlan: int | None
    flow_id: int
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)
    mark: int = 0


@cython.cclass
@dataclass(frozen=True)
class Observation:
    """One name that one device showed on the network, with its evidence.

    `time` is in ns with `time_digits` significant digits after the second. `source` is the file or
    interface and `packet` the number of the packet in it, from 1; with `log`, it is the number of
    the record or line in that log. A log may lack the server (empty), a port (0), and the client's
    address (empty); then `client_host` may be its host name. `flow_id` identifies the flow within
    one run. `raw` is the name as it is in the packet, empty if that is `name`; `asked` is the name
    that was looked up, if `name` is an alias of it. `frames` are the frames that prove the
    observation, if frames are stored: read without any other packet, they show the same name.
    `mark` says how the packet was seen (`netwatch.core.flow`), 0 in a log.
    """

    time: int
    time_digits: int
    evidence: Evidence
    name: str
    client_ip: bytes
    client_port: int
    client_mac: bytes | None
    server_ip: bytes
    server_port: int
    transport: Literal["tcp", "udp"]
    vlan: int | None
    source: str
    packet: int
    flow_id: int = 0
    dns: DnsInfo | None = None
    tls: TlsInfo | None = None
    quic: QuicInfo | None = None
    raw: str = ""
    asked: str = ""
    client_host: str = ""
    log: LogInfo | None = None
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)
    mark: int = 0
