"""The effect of an export on observed traffic: what it would have blocked, of the apps and of
others; and the addresses of the apps' servers, for a packet filter.

The entries are read from the written file, as its program reads them. A program only sees names in
some kinds of evidence. A resolver sees lookups: a device that looked a name up and got no address
does not connect, so its handshakes with that name are blocked too, and a device without an observed
lookup connects anyway.

An address counts if a lookup of a name of the apps was answered with it, or a handshake with such a
name went to it. One that any other name had in the same traffic is shared, and is not used:
dropping its packets would block others.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeGuard

from netwatch.core import observation_columns as columns
from netwatch.core.addresses import ip_text
from netwatch.core.errors import NetwatchError
from netwatch.core.message import HANDSHAKES
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import EVIDENCE
from netwatch.exports.export_format import Blocklist, ExportFormat, ServerAddress
from netwatch.exports.selection import Selection
from netwatch.inventory.networks import Networks
from netwatch.rules.catalog import Catalog, Hit

MAX_PAIRS = 1_000_000
"""Pairs of a name and a client whose contacts a preview counts."""

MAX_CACHED_NAMES = 65_536
"""Names for which a preview caches whether they matter; a full cache is emptied."""

RESULTS = ("stopped", "innocent", "missed")
"""The results for a name: a contact with the apps that is blocked, another one that is blocked, or
one with the apps that passes."""

MAX_REMEMBERED = 65_536
"""Names for which it is cached whether they belong to the apps; a full cache is emptied."""

MAX_ADDRESSES = 1_000_000
"""Addresses of names, and of other names, to keep for an export."""


@dataclass(frozen=True, slots=True)
class NameReport:
    """What happens to the contacts with one name: how many lookups and handshakes, by how many
    clients. `rule` is the rule that matches the name, None for an innocent one without, `reason`
    why contacts pass, or whose name it is."""

    result: str
    name: str
    hit: Hit | None
    lookups: int
    handshakes: int
    devices: int
    reason: str


@dataclass(frozen=True, slots=True)
class PreviewReport:
    """All names, and the clients: those of the apps, those with something blocked, those with
    something passing, and innocent ones with something blocked. `observations` is how many there
    were, `outside` how many by clients in no network, `of_resolvers` how many by resolvers, which
    ask on behalf of others, `uncounted` how many beyond `MAX_PAIRS`."""

    names: tuple[NameReport, ...]
    app_devices: int
    stopped_devices: int
    missed_devices: int
    innocent_devices: int
    observations: int
    outside: int
    of_resolvers: int
    uncounted: int


@dataclass(frozen=True, slots=True)
class _Interest:
    """Whether the entries have a name, and the rule that matches it."""

    blocked: bool
    hit: Hit | None
    of_apps: bool


@dataclass(frozen=True, slots=True)
class _Part:
    """The contacts of one client with one name that have the same result."""

    result: str
    lookups: int
    handshakes: int
    reason: str


def rows_of(batch: ObservationBatch) -> Iterator[int]:
    """The rows of a batch that are observations, in the order of packets."""
    for start, stop in batch.spans:
        yield from range(start, stop)


class Preview:
    """Counts contacts, and tells what happens to them. `strip` removes a search suffix from a name
    before it is compared with the rules."""

    def __init__(
        self,
        form: ExportFormat,
        entries: Blocklist,
        selection: Selection,
        catalog: Catalog,
        networks: Networks,
        strip: Callable[[str], str] = str,
    ) -> None:
        self._form, self._entries, self._selection = form, entries, selection
        self._catalog, self._networks, self._strip = catalog, networks, strip
        self._apps = {app.id for app in selection.apps}
        self._cache: dict[str, _Interest] = {}
        # A name and a client -> how many observations of each kind; those that went to an address
        # of the entries have "+" after the kind.
        self._pairs: dict[tuple[str, bytes], Counter[str]] = {}
        self._counts: Counter[str] = Counter()

    def add(self, batch: ObservationBatch) -> None:
        """Count the observations of a batch."""
        word, found = batch.word, Counter[tuple[int, int, int, int, int]]()
        for row in rows_of(batch):
            found[
                word(row, columns.WORD_EVIDENCE),
                word(row, columns.WORD_NAME),
                word(row, columns.WORD_CLIENT_IP),
                word(row, columns.WORD_VLAN),
                word(row, columns.WORD_SERVER_IP),
            ] += 1
        self._counts["observations"] += found.total()
        for (number, name, client, vlan, server), count in found.items():
            evidence = EVIDENCE[number]
            if evidence in HANDSHAKES or evidence in ("dns-query", "dns-answer"):
                kind = str(evidence)
                if self._entries.spans and evidence in HANDSHAKES:
                    kind += "+" * self._entries.has_address(batch.packed(server))
                self._count(batch.text(name), batch.packed(client), vlan, kind, count)

    def _count(self, name: str, client: bytes, vlan: int, kind: str, count: int) -> None:
        interest = self._interest(name)
        if not interest.blocked and not interest.of_apps and not kind.endswith("+"):
            return
        # A store has a word instead of a client's address that it has forgotten.
        is_known = len(client) in (4, 16)
        network = self._networks.find(client, None if vlan < 0 else vlan) if is_known else None
        if network is None or network.device_class == "infrastructure":
            self._counts["outside" if network is None else "of_resolvers"] += count
            return
        pair = self._pairs.get((name, client))
        if pair is None:
            if len(self._pairs) >= MAX_PAIRS:
                self._counts["uncounted"] += count
                return
            pair = self._pairs[name, client] = Counter()
        pair[kind] += count

    def _interest(self, name: str) -> _Interest:
        known = self._cache.get(name)
        if known is None:
            hit = next(self._catalog.hits(self._strip(name)), None)
            of_apps = hit is not None and hit.rule.app.id in self._apps
            known = _Interest(self._entries.has(name), hit, of_apps)
            if len(self._cache) >= MAX_CACHED_NAMES:
                self._cache.clear()
            self._cache[name] = known
        return known

    def report(self) -> PreviewReport:
        """What happens to all contacts. Names are in the order of results, then of devices."""
        sums: dict[tuple[str, str, str], list[int]] = {}
        devices: dict[str, set[bytes]] = {result: set() for result in RESULTS}
        for (name, client), pair in self._pairs.items():
            for part in self._parts(name, pair):
                total = sums.setdefault((part.result, name, part.reason), [0, 0, 0])
                total[0] += part.lookups
                total[1] += part.handshakes
                total[2] += 1
                devices[part.result].add(client)
        names = [
            NameReport(result, name, self._interest(name).hit, lookups, handshakes, clients, reason)
            for (result, name, reason), (lookups, handshakes, clients) in sums.items()
        ]
        names.sort(key=lambda report: (RESULTS.index(report.result), -report.devices, report.name))
        return PreviewReport(
            tuple(names),
            len(devices["stopped"] | devices["missed"]),
            len(devices["stopped"]),
            len(devices["missed"]),
            len(devices["innocent"]),
            self._counts["observations"],
            self._counts["outside"],
            self._counts["of_resolvers"],
            self._counts["uncounted"],
        )

    def _parts(self, name: str, pair: Counter[str]) -> Iterator[_Part]:
        """The contacts of one client with one name, by result."""
        interest = self._interest(name)
        hit = interest.hit
        chosen = interest.of_apps and hit is not None and self._selection.takes(hit.rule)
        # A lookup is seen as a query and as its answer, or only as one of them.
        lookups = max(pair["dns-query"], pair["dns-answer"])
        reached = {kind: count for kind, count in pair.items() if kind.rstrip("+") in HANDSHAKES}
        stopped = {kind for kind in reached if self._is_stopped(interest, kind, lookups)}
        by_lookup = interest.blocked and "dns-query" in self._form.sees and lookups > 0
        handshakes = sum(reached[kind] for kind in stopped)
        if by_lookup or handshakes:
            result = "stopped" if chosen else "innocent"
            reason = "" if chosen else self._whose(hit)
            yield _Part(result, lookups if by_lookup else 0, handshakes, reason)
        if not interest.of_apps:
            return
        passed = sum(reached.values()) - handshakes
        unseen = 0 if by_lookup else lookups
        if passed or (unseen and not handshakes):
            kinds = {kind.rstrip("+") for kind in reached if kind not in stopped}
            yield _Part("missed", unseen, passed, self._why_missed(name, interest, kinds))

    def _is_stopped(self, interest: _Interest, kind: str, lookups: int) -> bool:
        if kind.endswith("+"):
            return True
        if not interest.blocked:
            return False
        if self._form.is_resolver:
            return lookups > 0
        return kind in self._form.sees

    def _whose(self, hit: Hit | None) -> str:
        if hit is None:
            return "no rule has it"
        rule = hit.rule
        return f"{rule.text} belongs to {rule.app.id}, role {rule.role}"

    def _why_missed(self, name: str, interest: _Interest, kinds: set[str]) -> str:
        form = self._form
        if form.needs_addresses:
            return "none of its addresses is in the file"
        if interest.blocked:
            if form.is_resolver:
                return "no lookup by the device was seen"
            return f"not seen by {', '.join(sorted(kinds)) or 'dns-query'}"
        assert interest.hit is not None
        rule = interest.hit.rule
        if rule.role not in self._selection.roles:
            return f"role {rule.role} is not exported"
        if interest.hit.tail:
            return f"a CDN's alias under {interest.hit.tail}"
        # The name is followed by a search suffix, which no rule has.
        fit = "exact" if self._strip(name) != name else form.fit(rule)
        if fit == "none":
            return f"the format cannot express {rule.text}"
        if fit == "narrower":
            return "only known names are in the file"
        return "not in the file as the device asks for it"


class ServerAddresses:
    """Collects addresses. `strip` removes a search suffix from a name; `is_ours` tells whether an
    address belongs to the own network or to a filter, which is nobody's server."""

    def __init__(
        self,
        selection: Selection,
        catalog: Catalog,
        strip: Callable[[str], str],
        is_ours: Callable[[bytes], bool],
    ) -> None:
        self._selection, self._catalog = selection, catalog
        self._strip, self._is_ours = strip, is_ours
        self._names: dict[bytes, str] = {}
        self._others: set[bytes] = set()
        self._cache: dict[str, bool] = {}
        self.uncounted = 0

    def add(self, batch: ObservationBatch) -> None:
        """Take the addresses of a batch."""
        for row in rows_of(batch):
            evidence = EVIDENCE[batch.word(row, columns.WORD_EVIDENCE)]
            if evidence in HANDSHAKES:
                found = [batch.packed(batch.word(row, columns.WORD_SERVER_IP))]
            elif evidence == "dns-answer" and batch.word(row, columns.WORD_DNS_ANSWERS):
                answers = batch.answers(batch.word(row, columns.WORD_DNS_ANSWERS))
                found = [ip_address(text).packed for text, _ in answers]
            else:
                continue
            self._take(batch.text(batch.word(row, columns.WORD_NAME)), found)

    def _take(self, name: str, found: Iterable[bytes]) -> None:
        is_chosen = self._is_chosen(name)
        for packed in found:
            if packed in self._names or packed in self._others:
                known = True
            else:
                known = len(self._names) + len(self._others) < MAX_ADDRESSES
                self.uncounted += not known
            if known and is_chosen:
                self._names.setdefault(packed, name)
            elif known:
                self._others.add(packed)

    def _is_chosen(self, name: str) -> bool:
        known = self._cache.get(name)
        if known is None:
            hit = next(self._catalog.hits(self._strip(name)), None)
            known = hit is not None and self._selection.takes(hit.rule)
            if len(self._cache) >= MAX_REMEMBERED:
                self._cache.clear()
            self._cache[name] = known
        return known

    def found(self) -> tuple[list[ServerAddress], int]:
        """The addresses that only names of the apps had, sorted, and how many were shared."""
        usable = {
            packed: name for packed, name in self._names.items() if not self._is_nobodys(packed)
        }
        own = sorted((len(packed), packed) for packed in usable if packed not in self._others)
        addresses = [ServerAddress(ip_text(each), f"seen of {usable[each]}") for _, each in own]
        return addresses, len(usable) - len(own)

    def _is_nobodys(self, packed: bytes) -> bool:
        address = ip_address(packed)
        return (
            address.is_unspecified
            or address.is_loopback
            or address.is_link_local
            or address.is_multicast
            or self._is_ours(packed)
        )


def networks_of(database: Path, systems: Mapping[int, str]) -> Iterator[ServerAddress]:
    """The networks of autonomous systems, by number with the name of the holder, according to a
    database in MaxMind's format. Raises `NetwatchError` if it is damaged."""
    import maxminddb

    try:
        with maxminddb.open_database(str(database)) as reader:
            for network, record in reader:
                number = record["autonomous_system_number"] if _is_record(record) else None
                if isinstance(number, int) and number in systems:
                    yield ServerAddress(str(network), f"AS{number} {systems[number]}")
    except Exception as error:  # The decoder raises many types for damaged bytes.
        raise NetwatchError(f"{database}: cannot be read as a whole: {error}") from None


def _is_record(record: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(record, dict) and "autonomous_system_number" in record
