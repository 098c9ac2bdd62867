"""What all generated flows share, and the record of the names that they contain.

Payloads and DNS messages are built once, with their checksums; clients and sites are drawn from
fixed sets. A name is added to the `Ledger` with the packet that completes its message, so the
ledger contains exactly what a reader can find, even if the capture ends within a message.
"""

import random
from collections import Counter

from population import Population, Site
from shared import handshakes, messages
from wire import Direction, Payload, payload_of

MSS = 1460
GATEWAY_MAC = bytes.fromhex("02005e002001")
RESOLVER_IPV4 = bytes([10, 20, 0, 53])
RESOLVER_IPV6 = bytes.fromhex("20010db8002000000000000000000053")


class Ledger:
    """Counts the written names by evidence, and records the clients of banned names."""

    def __init__(self) -> None:
        self.names: dict[str, Counter[str]] = {}
        self.banned: Counter[str] = Counter()
        self.banned_clients: set[bytes] = set()

    def add(self, evidence: str, client: bytes, site: Site, name: str | None = None) -> None:
        """Count the name of a site, or `name` where the message contains an alias."""
        self.names.setdefault(evidence, Counter())[name or site.name] += 1
        if site.banned and name is None:
            self.banned[evidence] += 1
            self.banned_clients.add(client)


class Stock:
    """What flows share: random source, clients, and payloads that are built once."""

    def __init__(
        self,
        seed: int,
        vlan: int | None,
        names: int = 4000,
        clients: int = 2000,
        banned: float = 0.005,
    ) -> None:
        self.rng = rng = random.Random(seed)
        self.vlan = vlan
        self.population = Population(rng, names, banned)
        self.ledger = Ledger()
        self.clients = [
            (10 << 24 | 20 << 16 | rng.randrange(256, 65536)).to_bytes(4, "big")
            for _ in range(clients)
        ]
        self.server_flights = [
            handshakes.server_flight(rng, rng.randrange(1200, 3600)) for _ in range(32)
        ]
        self.records = [self._record(rng.randint(1, 11)) for _ in range(160)]
        self.requests = [payload_of(handshakes.application_data(rng, n)) for n in range(60, 900, 7)]
        self.large = [
            payload_of(handshakes.quic_data(rng, rng.choice((1200, 1252)))) for _ in range(64)
        ]
        self.small = [
            payload_of(handshakes.quic_data(rng, rng.randrange(28, 300))) for _ in range(64)
        ]
        self.dns: dict[tuple[str, str], tuple[Payload, Payload, list[str]]] = {}

    def _record(self, segments: int) -> list[Payload]:
        """A TLS record over some segments, of which only the first starts like TLS."""
        last = self.rng.randrange(40, MSS)
        return segments_of(handshakes.application_data(self.rng, (segments - 1) * MSS + last - 5))

    def pick_client(self) -> tuple[bytes, bytes, bool]:
        """Address and MAC of a random client, and whether it uses IPv6, as one in five does."""
        ipv4 = self.rng.choice(self.clients)
        mac = b"\x02\x00" + ipv4
        if self.rng.random() < 0.2:
            return bytes.fromhex("20010db80020000000000000") + ipv4, mac, True
        return ipv4, mac, False

    def directions(
        self, protocol: int, client: bytes, mac: bytes, server: bytes, dport: int
    ) -> list[Direction]:
        """From the client's ephemeral port to the server, and back."""
        sport = self.rng.randrange(32768, 61000)
        seqs = (self.rng.getrandbits(32), self.rng.getrandbits(32)) if protocol == 6 else (0, 0)
        outbound, inbound = (GATEWAY_MAC + mac, (sport, dport)), (mac + GATEWAY_MAC, (dport, sport))
        return [
            Direction(outbound[0], self.vlan, client, server, outbound[1], protocol, seqs[0]),
            Direction(inbound[0], self.vlan, server, client, inbound[1], protocol, seqs[1]),
        ]

    def dns_messages(self, site: Site, kind: str) -> tuple[Payload, Payload, list[str]]:
        """Query and answer without their id, and the aliases in the answer."""
        built = self.dns.get((site.name, kind))
        if built is None:
            owner, answer_records = site.name, []
            for alias in site.aliases:
                answer_records.append((owner, "CNAME", 300, alias))
                owner = alias
            if kind == "A":
                near = site.ipv4[:3] + bytes([site.ipv4[3] ^ 1])
                values = [".".join(map(str, packed)) for packed in (site.ipv4, near)]
            elif kind == "AAAA":
                values = [":".join(site.ipv6[at : at + 2].hex() for at in range(0, 16, 2))]
            else:
                values = ["1 ."]
            answer_records += [(owner, kind, 60, value) for value in values]
            query = messages.query(0, site.name, kind)
            answer = messages.answer(0, site.name, kind, answer_records)
            built = payload_of(query[2:]), payload_of(answer[2:]), list(site.aliases)
            self.dns[site.name, kind] = built
        return built


def segments_of(data: bytes) -> list[Payload]:
    """The bytes as payloads of at most one MSS."""
    return [payload_of(data[at : at + MSS]) for at in range(0, len(data), MSS)]
