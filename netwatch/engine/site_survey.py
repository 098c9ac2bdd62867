"""What a capture shows about a site: which ranges its clients are in, and which hosts resolve
names.

It helps to write a first configuration. It proposes and decides nothing: a network that showed no
name is not found, and packets do not tell which ranges belong to service devices.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import (
    EVIDENCE_DNS_ANSWER,
    EVIDENCE_DNS_QUERY,
    WORD_CLIENT_IP,
    WORD_EVIDENCE,
    WORD_SERVER_IP,
    WORD_SERVER_PORT,
)

MAX_ADDRESSES = 65_536
"""Maximum number of clients, and of DNS servers, that a survey counts."""

DNS_PORT = 53

PRIVATE_RANGES = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""The ranges that are only used inside of sites (RFC 1918, RFC 4193)."""

_PRIVATE = tuple(map(ip_network, PRIVATE_RANGES))

_PREFIXES = {4: (24, 16, 4), 6: (64, 48, 2)}
"""By IP version: the range of one subnet, the range of a site, and how many subnets make a site."""


@dataclass(frozen=True, slots=True)
class FoundRange:
    """A range of addresses with so many clients that showed names."""

    network: IPv4Network | IPv6Network
    clients: int


class SiteSurvey:
    """Counts the clients and the resolvers of a site. `ignored` are addresses beyond the limit."""

    def __init__(self) -> None:
        self._clients: Counter[bytes] = Counter()
        self._asked: dict[bytes, set[bytes]] = {}
        self.ignored = 0

    def add(self, batch: ObservationBatch) -> None:
        """Count the observations of a batch."""
        for start, stop in batch.spans:
            for row in range(start, stop):
                client = batch.packed(batch.word(row, WORD_CLIENT_IP))
                if client in self._clients or len(self._clients) < MAX_ADDRESSES:
                    self._clients[client] += 1
                else:
                    self.ignored += 1
                evidence = batch.word(row, WORD_EVIDENCE)
                if (
                    evidence in (EVIDENCE_DNS_QUERY, EVIDENCE_DNS_ANSWER)
                    and batch.word(row, WORD_SERVER_PORT) == DNS_PORT
                ):
                    self._note_server(batch.packed(batch.word(row, WORD_SERVER_IP)), client)

    @property
    def clients(self) -> int:
        """How many clients there are."""
        return len(self._clients)

    def ranges(self) -> list[FoundRange]:
        """The ranges that clients are in, those with most clients first: subnets, or a site if
        there are several of its subnets. For each IP version only private ranges, if a client is in
        one: the others may call a server of the site."""
        found: list[IPv4Address | IPv6Address] = []
        for version in (4, 6):
            clients = [
                address
                for address in map(ip_address, self._clients)
                if address.version == version and _is_unicast(address)
            ]
            found += [client for client in clients if _is_private(client)] or clients
        return _ranges(found)

    def resolvers(self) -> list[str]:
        """The addresses inside the ranges that clients query by DNS, those with the most clients
        first."""
        networks = [found.network for found in self.ranges()]
        wide = [each.supernet(new_prefix=_PREFIXES[each.version][1]) for each in networks]
        return [
            str(address)
            for address, _ in sorted(
                ((ip_address(server), len(asked)) for server, asked in self._asked.items()),
                key=lambda each: (-each[1], each[0].version, int(each[0])),
            )
            if any(address in network for network in wide if network.version == address.version)
        ]

    def _note_server(self, server: bytes, client: bytes) -> None:
        asked = self._asked.get(server)
        if asked is None:
            if len(self._asked) >= MAX_ADDRESSES:
                self.ignored += 1
                return
            asked = self._asked[server] = set()
        asked.add(client)


def _ranges(clients: Iterable[IPv4Address | IPv6Address]) -> list[FoundRange]:
    subnets = Counter(
        ip_network((client, _PREFIXES[client.version][0]), strict=False) for client in clients
    )
    sites: dict[IPv4Network | IPv6Network, list[IPv4Network | IPv6Network]] = {}
    for subnet in subnets:
        prefix = _PREFIXES[subnet.version][1]
        sites.setdefault(subnet.supernet(new_prefix=prefix), []).append(subnet)
    found = []
    for site, its in sites.items():
        if len(its) >= _PREFIXES[site.version][2]:
            found.append(FoundRange(site, sum(subnets[each] for each in its)))
        else:
            found += [FoundRange(each, subnets[each]) for each in its]
    return sorted(
        found, key=lambda each: (-each.clients, each.network.version, int(each.network[0]))
    )


def _is_private(address: IPv4Address | IPv6Address) -> bool:
    return any(address in each for each in _PRIVATE if each.version == address.version)


def _is_unicast(address: IPv4Address | IPv6Address) -> bool:
    return not (
        address.is_loopback
        or address.is_link_local
        or address.is_multicast
        or address.is_unspecified
    )
