"""What all flows of one run share, and the account of the names they showed.

Payloads and DNS messages are built once and their checksums with them; clients and sites
are drawn from fixed sets. A name is entered into the `Ledger` with the packet that makes
its message whole, so what the ledger holds is what a reader of the capture can find, also
where the capture ends in between.
"""

import random
from collections import Counter

from population import Population, Site
from shared import handshakes, messages
from wire import Piece, Way, piece

MSS = 1460
GATEWAY_MAC = bytes.fromhex("02005e002001")
RESOLVER_FOUR = bytes([10, 20, 0, 53])
RESOLVER_SIX = bytes.fromhex("20010db8002000000000000000000053")


class Ledger:
    """Names that were written, counted by evidence, and the clients of banned ones."""

    def __init__(self) -> None:
        self.names: dict[str, Counter[str]] = {}
        self.banned: Counter[str] = Counter()
        self.banned_clients: set[bytes] = set()

    def shows(self, evidence: str, client: bytes, site: Site, name: str | None = None) -> None:
        """The site's own name, or `name` where an alias was shown."""
        self.names.setdefault(evidence, Counter())[name or site.name] += 1
        if site.banned and name is None:
            self.banned[evidence] += 1
            self.banned_clients.add(client)


class Stock:
    """What flows share: random source, clients, payloads and DNS messages built once."""

    def __init__(self, seed: int, vlan: int | None, names: int = 4000, clients: int = 2000) -> None:
        self.rng = rng = random.Random(seed)
        self.vlan = vlan
        self.population = Population(rng, names)
        self.ledger = Ledger()
        self.clients = [
            (10 << 24 | 20 << 16 | rng.randrange(256, 65536)).to_bytes(4, "big")
            for _ in range(clients)
        ]
        self.flights = [handshakes.server_flight(rng, rng.randrange(1200, 3600)) for _ in range(32)]
        self.groups = [self._group(rng.randint(1, 11)) for _ in range(160)]
        self.requests = [piece(handshakes.application_data(rng, n)) for n in range(60, 900, 7)]
        self.large = [piece(handshakes.quic_data(rng, rng.choice((1200, 1252)))) for _ in range(64)]
        self.small = [piece(handshakes.quic_data(rng, rng.randrange(28, 300))) for _ in range(64)]
        self.dns: dict[tuple[str, str], tuple[Piece, Piece, list[str]]] = {}

    def _group(self, segments: int) -> list[Piece]:
        """One TLS record over so many segments: most do not start like TLS."""
        last = self.rng.randrange(40, MSS)
        return cut(handshakes.application_data(self.rng, (segments - 1) * MSS + last - 5))

    def ends(self) -> tuple[bytes, bytes, bool]:
        """A client's address and MAC, and whether it speaks IPv6, as one in five does."""
        four = self.rng.choice(self.clients)
        mac = b"\x02\x00" + four
        if self.rng.random() < 0.2:
            return bytes.fromhex("20010db80020000000000000") + four, mac, True
        return four, mac, False

    def ways(
        self, protocol: int, client: bytes, mac: bytes, server: bytes, dport: int
    ) -> list[Way]:
        """Out of and back to the client, from an ephemeral port."""
        sport = self.rng.randrange(32768, 61000)
        seqs = (self.rng.getrandbits(32), self.rng.getrandbits(32)) if protocol == 6 else (0, 0)
        there, here = (GATEWAY_MAC + mac, (sport, dport)), (mac + GATEWAY_MAC, (dport, sport))
        return [
            Way(there[0], self.vlan, client, server, there[1], protocol, seqs[0]),
            Way(here[0], self.vlan, server, client, here[1], protocol, seqs[1]),
        ]

    def dns_messages(self, site: Site, kind: str) -> tuple[Piece, Piece, list[str]]:
        """Query and answer behind their id, and the aliases in the answer."""
        built = self.dns.get((site.name, kind))
        if built is None:
            owner, records = site.name, []
            for alias in site.aliases:
                records.append((owner, "CNAME", 300, alias))
                owner = alias
            if kind == "A":
                near = site.four[:3] + bytes([site.four[3] ^ 1])
                values = [".".join(map(str, packed)) for packed in (site.four, near)]
            elif kind == "AAAA":
                values = [":".join(site.six[at : at + 2].hex() for at in range(0, 16, 2))]
            else:
                values = ["1 ."]
            records += [(owner, kind, 60, value) for value in values]
            query = messages.query(0, site.name, kind)
            answer = messages.answer(0, site.name, kind, records)
            built = piece(query[2:]), piece(answer[2:]), list(site.aliases)
            self.dns[site.name, kind] = built
        return built


def cut(data: bytes) -> list[Piece]:
    """The bytes in segments of the MSS."""
    return [piece(data[at : at + MSS]) for at in range(0, len(data), MSS)]
