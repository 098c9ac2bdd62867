"""The values that cross the stages, frozen.

Bytes become packets, packets become observations, observations are matched with apps
and judged by bans, and what the judge forbids becomes alerts. Addresses are packed
(4 or 16 bytes), times are integers of nanoseconds since the epoch, UTC, and names are
in the one spelling of `netwatch.names`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal, get_args

import cython

from netwatch.frame import Frame, Proof

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
Role = Literal["exclusive", "vendor", "embed", "cdn"]
DeviceClass = Literal["service", "personal", "guest", "infrastructure", "unknown"]
VerdictKind = Literal["violation", "advisory", "exempt"]
Confidence = Literal["confirmed", "probable", "possible"]
Severity = Literal["low", "medium", "high", "critical"]

CONFIDENCE_RANK: Mapping[str, int] = {"possible": 1, "probable": 2, "confirmed": 3}
"""Confidences in rising order."""

Records = Literal["observations", "alerts"]
"""What a run writes."""

LOOKUPS = frozenset({"dns-query", "dns-answer", "dns-cname"})
"""Evidence that a name was asked for, not that its host was reached."""

HANDSHAKES = frozenset({"tls-sni", "quic-sni", "dtls-sni", "http-host", "socks-host"})
"""Evidence that the device reached out to the host of that name."""


@cython.cclass
@dataclass(frozen=True)
class Packet:
    """A packet that can carry a name: who sent it to whom, when, and where it stands.

    `source` is the file or interface, `number` counts its packets from 1, `time` is in
    ns with `digits` meaningful digits of the second's fraction. `vlan` is the innermost
    VLAN id or None. MAC addresses are 6 bytes, or None where the link has none.
    `flow` names the conversation within one run and means nothing outside it. `frames` are
    those that its message came in, where they are kept.
    """

    source: str
    number: int
    time: int
    digits: int
    transport: Literal["tcp", "udp"]
    src: bytes
    sport: int
    dst: bytes
    dport: int
    src_mac: bytes | None
    dst_mac: bytes | None
    vlan: int | None
    flow: int
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)


@cython.cclass
@dataclass(frozen=True)
class Shown:
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
    next message of a stream starts there. `oddities` are names of what was not as the
    RFC has it but could be read all the same. `claims` tell who has which address.
    """

    shown: tuple[Shown, ...]
    size: int
    dns: DnsInfo | None = None
    tls: TlsInfo | None = None
    quic: QuicInfo | None = None
    oddities: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()


@cython.cclass
@dataclass(frozen=True)
class Observation:
    """One name that one device showed on the wire, with its evidence.

    `frames` are the packets that prove it, where they are kept: read alone, they show the
    same.
    """

    time: int
    digits: int
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
    flow: int = 0
    dns: DnsInfo | None = None
    tls: TlsInfo | None = None
    quic: QuicInfo | None = None
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)


Outcome = Literal[
    "none", "truncated", "no-sni", "named", "ech", "encrypted-dns", "vpn", "relay", "tor"
]
"""What a flow's messages told of its name, the last known of these in this order."""

GRACE = 300_000_000_000
"""How long after its TTL a DNS answer may still be in use, ns: caches keep a floor."""

OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""By number, as the flow table holds them: a later one stands over an earlier one."""

BYPASS: tuple[Outcome, ...] = ("encrypted-dns", "vpn", "relay", "tor")
"""Categories of apps that hide from the wire what a device asks for; a flow to one has the
outcome of that name."""


@dataclass(frozen=True, slots=True)
class Flow:
    """A conversation that is over, or as far as the capture went: a TCP connection, or
    what two UDP ports said to each other; lookups on DNS's own ports are none.

    `first` and `last` are the times of its packets in ns, bytes are transport payload out
    of and into the client. The client is who opened it; where the capture started in
    mid-flow (`opened` false) it is the end with the greater port. `waiting` says that
    it began a message that never became whole. `source` and `packet` are those of its
    first packet, `flow` is its name in observations, `frames` what the first packet came
    in, where it is kept.
    """

    first: int
    last: int
    transport: Literal["tcp", "udp"]
    client_ip: bytes
    client_port: int
    server_ip: bytes
    server_port: int
    vlan: int | None
    bytes_out: int
    bytes_in: int
    outcome: Outcome
    opened: bool
    waiting: bool
    source: str = ""
    packet: int = 0
    client_mac: bytes | None = None
    flow: int = field(default=0, compare=False)
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class App:
    """A product with backends that are known by name."""

    id: str
    name: str
    vendor: str
    category: str


@dataclass(frozen=True, slots=True)
class Match:
    """The rule that takes a name: `rule` as in the signature file, `suffix tiktok.com`."""

    app: App
    rule: str
    role: Role


@dataclass(frozen=True, slots=True)
class Network:
    """Address ranges and VLANs under one class and authority."""

    name: str
    device_class: DeviceClass
    authority: str = ""


@dataclass(frozen=True, slots=True)
class Tenant:
    """Who has an address at some time, as learned from the wire. `id` is None where the
    address itself has to do for it. `shared` is None, or says what two devices have at
    that time, so that nobody can tell them apart; ``frame`` is a packet in a frame of
    another device that is no router as far as is known. `frames` are the packets that say
    so, where proof is wanted."""

    id: str | None
    mac: bytes | None
    hostname: str | None
    shared: Literal["address", "mac", "frame"] | None = None
    frames: tuple[Frame, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Device:
    """Who the client is. `id` is that of the inventory, else the MAC where it was learned
    that the address is that device's, else the address."""

    id: str
    ip: str
    mac: str | None
    hostname: str | None
    owner: str | None
    device_class: DeviceClass


@dataclass(frozen=True, slots=True)
class Ban:
    """A rule by an authority. `start` and `end` are the first and last day in force in
    `timezone`; None is open. `apps` holds app ids, resolved; `bypass` those that it covers
    besides because they hide what a device asks for. `networks` limits it to networks of
    these names; empty is all."""

    id: str
    authority: str
    apps: frozenset[str]
    forbids: frozenset[str]
    advises: frozenset[str]
    start: date | None
    end: date | None
    review: date | None
    timezone: str
    legal_basis: str
    min_confidence: Confidence
    severity: Severity
    networks: frozenset[str] = frozenset()
    bypass: frozenset[str] = frozenset()

    def covers(self, app: str) -> bool:
        """Whether the ban speaks of the app of this id."""
        return app in self.apps or app in self.bypass


@dataclass(frozen=True, slots=True)
class Exemption:
    """A registered leave from a ban for a device (and, where named, some apps) from
    `start` to `end`, whole days in the ban's time zone; None is open."""

    ban: str
    device: str
    start: date | None
    end: date | None
    reason: str
    approved_by: str
    apps: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a ban says of a contact; `kind` None where it says nothing, and `clause`
    which rule decided, in words."""

    kind: VerdictKind | None
    confidence: Confidence | None
    clause: str
    ban: Ban | None = None
    exemption: Exemption | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """An observation that an app's rule takes, with its client and one ban's verdict."""

    observation: Observation
    match: Match
    device: Device
    network: Network
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a device connected to; number, organisation and country come from the
    configured GeoIP databases."""

    ip: str
    port: int
    asn: int | None = None
    as_org: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class EvidenceItem:
    """The first sight of one name by one kind of evidence, and how often it came."""

    time: int
    digits: int
    type: Evidence
    name: str
    rule: str
    role: Role
    source: str
    packet: int
    count: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there was of an incident. `flows` are distinct conversations that showed
    a name in a handshake; bytes are transport payload of those, out of and into the
    device."""

    lookups: int = 0
    handshakes: int = 0
    flows: int = 0
    bytes_out: int = 0
    bytes_in: int = 0


@dataclass(frozen=True, slots=True)
class Sensor:
    """Who tells an alert: this host's name and netwatch's version, and by which rules:
    the versions of the signatures and of the configuration as a whole."""

    name: str
    version: str
    signatures: str = ""
    policy: str = ""


@dataclass(frozen=True, slots=True)
class Alert:
    """An incident told to someone, at one moment of its life. `proof` are its packets, the
    weightiest first, where they are kept."""

    id: str
    status: Literal["open", "update", "closed"]
    verdict: VerdictKind
    severity: Severity
    confidence: Confidence
    first_seen: int
    last_seen: int
    digits: int
    app: App
    ban: Ban
    exemption: Exemption | None
    device: Device
    network: Network
    vlan: int | None
    destinations: tuple[Destination, ...]
    names: tuple[str, ...]
    evidence: tuple[EvidenceItem, ...]
    counts: Counts
    community_ids: tuple[str, ...]
    sensor: Sensor
    extra: Mapping[str, Any] = field(default_factory=dict)
    proof: tuple[Proof, ...] = field(default=(), compare=False, repr=False)
