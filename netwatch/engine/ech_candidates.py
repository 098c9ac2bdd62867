"""Which names a hello with ECH can have: what its client had been told.

A client that encrypts the name shows the public name and the config_id of a configuration that it
was given in a DNS answer for the real name, and goes to an address of that name. So the real name
is one of those for which it was given such a configuration, and that have the address of the
server. Of names that a rule matches all addresses are known; of others, that the client had any,
and which addresses it had for any of them: a name counts as one that fits then, so that there are
rather too many than too few. Tables are bounded by number and age, in packet time.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from netwatch.core.addresses import ip_text
from netwatch.core.flow import DNS_TTL_GRACE
from netwatch.core.message import DnsInfo, Message
from netwatch.core.observation import Observation
from netwatch.core.protocol_numbers import ECH_PUBLIC_NAMES, EchConfig
from netwatch.engine.resolved_addresses import ResolvedAddresses

LIMIT = 65536
"""Configurations of clients, and names of clients with their addresses, that are remembered; the
least recent is evicted first."""

MAX_NAMES = 64
"""Names that are remembered of one client and configuration. Where there are more, none is a
candidate."""

MAX_ANSWERS = 16
"""Answers whose addresses are remembered of one client and name, the latest."""

_SECOND = 1_000_000_000

_Addresses = tuple[int, tuple[tuple[str, int], ...]]


@dataclass(frozen=True, slots=True)
class GivenName:
    """A name with the answer that gave a configuration for it. `until` is when this is no longer in
    use, in ns since the epoch. It may lead to the addresses of `hosts`, and of `others`, which no
    rule matches."""

    answer: Observation
    until: int
    hosts: frozenset[str]
    others: frozenset[str]


@dataclass(slots=True)
class _Given:
    """The names that a client was given a configuration for. Up to the time `full_until` (ns) there
    were more."""

    names: dict[str, GivenName]
    full_until: int = -1


class EchCandidates:
    """The configurations and addresses that the clients of one capture were given.

    `resolved` knows the names that no rule matches. `evicted` counts entries that did not fit into
    the tables, `crowded` hellos of which there were too many names.
    """

    def __init__(self, resolved: ResolvedAddresses, limit: int = LIMIT) -> None:
        self._resolved = resolved
        self._limit = limit
        self._given: OrderedDict[tuple[bytes, str, int], _Given] = OrderedDict()
        # The times of answers (ns), and their addresses as texts with their TTL (s).
        self._addresses: OrderedDict[tuple[bytes, str], list[_Addresses]] = OrderedDict()
        self.evicted = 0
        self.crowded = 0

    def __len__(self) -> int:
        return len(self._given)

    @staticmethod
    def is_concerned(message: Message) -> bool:
        """Whether a message gives configurations, or is a hello with ECH."""
        if message.dns is not None:
            return bool(message.dns.ech_configs)
        return message.tls is not None and message.tls.ech_config_id is not None

    def add(
        self, answer: Observation, is_matched: bool, is_of_interest: Callable[[str], bool]
    ) -> None:
        """Remember what a DNS answer gave to its client. `is_of_interest` says of a name whether
        a rule matches it, `is_matched` whether one does the name asked for or an alias of it."""
        dns = answer.dns
        if dns is not None and dns.answers and (is_matched or dns.ech_configs):
            self._add_addresses((answer.client_ip, answer.name), (answer.time, dns.answers))
        if dns is not None and dns.ech_configs:
            self._add_configs(answer, dns, is_of_interest)

    def _add_configs(
        self, answer: Observation, dns: DnsInfo, is_of_interest: Callable[[str], bool]
    ) -> None:
        names = (answer.name, *dns.chain)
        # A name leads to its addresses by its aliases and the hosts of its service.
        hosts = frozenset((*names, *dns.service_targets))
        others = frozenset(host for host in hosts if not is_of_interest(host))
        for config in map(EchConfig.of, dns.ech_configs):
            until = answer.time + config.ttl * _SECOND + DNS_TTL_GRACE
            key = answer.client_ip, config.public_name, config.config_id
            given = self._given.setdefault(key, _Given({}))
            self._given.move_to_end(key)
            given.names = {
                name: each for name, each in given.names.items() if each.until >= answer.time
            }
            old = given.names.get(answer.name)
            if old is not None:
                given.names[answer.name] = GivenName(
                    old.answer, max(until, old.until), old.hosts | hosts, old.others | others
                )
            elif len(given.names) >= MAX_NAMES:
                given.full_until = max(given.full_until, until)
            else:
                given.names[answer.name] = GivenName(answer, until, hosts, others)
        while len(self._given) > self._limit:
            self._given.popitem(last=False)
            self.evicted += 1

    def names_of(
        self, hello: Observation, is_same_device: Callable[[Observation, int], bool]
    ) -> dict[str, Observation | None]:
        """The names that an outer hello can have, in order, each with the answer that led to it;
        none where nothing is known of its key. The name that it shows is among them, without an
        answer, where the client may have visited it: the hello is GREASE then.
        `is_same_device` says whether the client of an answer still has its address at a time."""
        tls, time = hello.tls, hello.time
        if tls is None or tls.ech != "outer" or tls.ech_config_id is None:
            return {}
        given = self._given.get((hello.client_ip, hello.name, tls.ech_config_id))
        if given is None:
            return {}
        found: dict[str, Observation | None] = {
            name: each.answer
            for name, each in given.names.items()
            if each.answer.time <= time <= each.until
            and is_same_device(each.answer, time)
            and self._fits(each, hello)
        }
        if not found:
            return {}
        if time <= given.full_until:
            self.crowded += 1
            return {}
        if hello.name not in ECH_PUBLIC_NAMES and self._is_visited(hello):
            found.setdefault(hello.name, None)
        return dict(sorted(found.items()))

    def _fits(self, given: GivenName, hello: Observation) -> bool:
        """Whether the server of a hello has an address that its client was given for a name."""
        client, time = hello.client_ip, hello.time
        if any(self._has(hello, each) for each in given.hosts):
            return True
        return self._resolved.had_other(client, hello.server_ip, time) and any(
            self._resolved.had_name(client, each, time) for each in given.others
        )

    def _is_visited(self, hello: Observation) -> bool:
        """Whether the client has looked up the very name that a hello shows."""
        client, time = hello.client_ip, hello.time
        return self._has(hello, hello.name) or self._resolved.had_name(client, hello.name, time)

    def _has(self, hello: Observation, name: str) -> bool:
        server = ip_text(hello.server_ip)
        return any(
            text == server and hello.time <= time + ttl * _SECOND + DNS_TTL_GRACE
            for time, answers in self._addresses.get((hello.client_ip, name), ())
            for text, ttl in answers
        )

    def _add_addresses(self, key: tuple[bytes, str], addresses: _Addresses) -> None:
        known = self._addresses.pop(key, [])
        self._addresses[key] = [*known[1 - MAX_ANSWERS :], addresses]
        if len(self._addresses) > self._limit:
            self._addresses.popitem(last=False)
            self.evicted += 1
