"""For which names clients had been told an address, and what follows for flow records.

A flow record shows an address and no name. Its candidates are the names for which the client had
been told this address, in answers that were in use when the flow began; if it had been told none,
the names for which other clients had been, by the logs that are read together with the flow
records. An answer is in use from `CLOCK_MARGIN` before its time, since exporters round the time at
which a flow began, to `netwatch.core.flow.DNS_TTL_GRACE` after its TTL.

What speaks against a set lasts longer than what speaks for it: a name of the app has to be in use,
but any other name counts if an answer for it was in use before and after. An address is the app's
alone only if nobody was told it for anything else, for as long as this is remembered.

Names of no app are remembered for each client and address. For all clients together only the
address is remembered, with the names from the time on that a name of an app led there. All tables
are bounded by number, and by age, in packet time; an eviction never makes a set smaller that is
used.

A record is a contact if all its candidates are of one app. It is as sure as a lookup of the weakest
of them if the client itself had been told the address, and nobody was told it for anything else;
otherwise it is ``possible``. Whether the server answered does not matter: an exporter may see one
direction, or send the other much later.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from netwatch.core.addresses import ip_text, parse_ip
from netwatch.core.flow import DNS_TTL_GRACE, Flow
from netwatch.core.message import Observation
from netwatch.core.verdict import CONFIDENCE_RANK, Candidates, Confidence, Contact, Match
from netwatch.engine.resolved_addresses import ResolvedAddresses, observed
from netwatch.incidents.alert_parts import address_limit
from netwatch.language.sentences import sentence
from netwatch.rules.policy import confidence

PAIR_LIMIT = 1 << 17
"""Names of clients with one address each; the addresses told least recently are evicted first."""

PLACE_LIMIT = 1 << 16
"""The same of addresses of apps, with the names for which any client was told them."""

ADDRESS_LIMIT = 1 << 18
"""Addresses that any client was told for names of no app."""

MAX_NAMES = 64
"""Names that are remembered of one client and address, or of one address of an app. If there are
more, it is not known how many names a flow there can be of."""

CLOCK_MARGIN = 2_000_000_000
"""How long before an answer a flow may seem to begin, ns: NetFlow v9 has the time of an exporter in
whole seconds."""

AGE = 3_600_000_000_000
"""How long after its end (ns) an answer still speaks against an address that is the app's alone,
and joins with the next one for the same name."""

_SECOND = 1_000_000_000
_LONGEST_TTL = 0x7FFFFFFF


class App(NamedTuple):
    """The id of an app that an answer is for, and the name of it that a rule matched."""

    id: str
    name: str


@dataclass(slots=True)
class Told:
    """Answers that gave one address for `name`: the last are in use from `since` to `until`, and
    others have been from `earlier` on (ns). `answer` is the first of the last ones if a rule
    matches (`app`)."""

    name: str
    app: App | None
    earlier: int
    since: int
    until: int
    client: tuple[bytes, bytes | None, int | None]
    answer: Observation | None

    def in_use(self, time: int) -> bool:
        """Whether an answer was in use at a time."""
        return self.since - CLOCK_MARGIN <= time <= self.until

    def may_count(self, time: int) -> bool:
        """Whether answers were in use before and after a time."""
        return self.earlier - CLOCK_MARGIN <= time <= self.until

    def renew(self, told: "Told") -> None:
        """Take the next answer for the same name."""
        if told.since > self.until + AGE:
            self.earlier = told.since
        if told.since > self.until:
            self.since, self.answer, self.app = told.since, told.answer, told.app
        self.until = max(self.until, told.until)
        self.client = told.client


@dataclass(frozen=True, slots=True)
class NameSet:
    """The names that a flow can be of. `told` are those of apps; of `count` names in all others are
    of none. They were told to the client itself, or to others (`is_own` is false). `is_alone` says
    that nobody had been told the address for anything but the app of all of them."""

    told: tuple[Told, ...]
    count: int
    is_own: bool
    is_alone: bool

    @property
    def apps(self) -> frozenset[str]:
        """The ids of the apps of the names."""
        return frozenset(each.app.id for each in self.told if each.app is not None)

    @property
    def is_of_one_app(self) -> bool:
        """Whether all names are of one app."""
        return len(self.told) == self.count and len(self.apps) == 1

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are of apps, in order."""
        return tuple(sorted(each.name for each in self.told))


Key = TypeVar("Key", bound=Hashable)


class NameTable(Generic[Key]):
    """At most `limit` names by key and name. A key that is evicted goes with all of its names."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # The first key of a plain dictionary is slow to find once others went before it.
        self._names: OrderedDict[Key, dict[str, Told]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: Key) -> bool:
        return key in self._names

    def add(self, key: Key, name: str, told: Told) -> Iterator[list[Told]]:
        """Add what was told for a name; the names of each key that is evicted. One too many for its
        key is left out: `is_crowded` says so."""
        names = self._names.setdefault(key, {})
        self._names.move_to_end(key)
        old = names.get(name)
        if old is not None:
            old.renew(told)
        else:
            if len(names) >= MAX_NAMES:
                kept = {each: of for each, of in names.items() if of.until + AGE >= told.since}
                self._count -= len(names) - len(kept)
                self._names[key] = names = kept
            if len(names) < MAX_NAMES:
                names[name] = told
                self._count += 1
        while self._count > self._limit and len(self._names) > 1:
            _, evicted = self._names.popitem(last=False)
            self._count -= len(evicted)
            yield list(evicted.values())

    def all_keys(self) -> Iterable[Key]:
        """The keys of all names."""
        return self._names.keys()

    def of(self, key: Key) -> dict[str, Told]:
        """The names of a key."""
        return self._names.get(key, {})

    def is_crowded(self, key: Key) -> bool:
        """Whether a key may have had more names."""
        return len(self._names.get(key, ())) >= MAX_NAMES


IsSameDevice = Callable[[tuple[bytes, bytes | None, int | None], int, int], bool]
"""Whether a client (address, MAC and VLAN) is one device at two times (ns)."""


class ToldNames:
    """What the clients of one log were told. `evicted` counts entries that did not fit. A flow to
    an address that is not in `addresses` can be of no app."""

    def __init__(self, limit: int = PAIR_LIMIT) -> None:
        self.limit = limit
        self._pairs: NameTable[tuple[bytes, bytes]] = NameTable(limit)
        self._places: NameTable[bytes] = NameTable(PLACE_LIMIT)
        self.addresses: set[bytes] = set()
        # When an address was told last for a name of no app, the end of that answer.
        self._addresses: OrderedDict[bytes, int] = OrderedDict()
        # Up to then it is not known of addresses whether they were told for other names.
        self._forgotten = -2 * AGE
        # Up to then it is not known of clients whether they were told more names.
        self._lost = -1
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._pairs)

    def add(self, answer: Observation, matched: tuple[str, str] | None) -> None:
        """Remember the addresses of an answer. `matched` is the id of the app that it is for and
        the name that a rule matched, None if none does."""
        dns = answer.dns
        if dns is None or not dns.answers or not answer.client_ip:
            return
        app = None if matched is None else App(*matched)
        if app is not None and answer.frames:
            answer = replace(answer, frames=())
        for text, ttl in dns.answers:
            address = parse_ip(text)
            if address is not None:
                lasts = ttl if ttl <= _LONGEST_TTL else 0
                until = answer.time + lasts * _SECOND + DNS_TTL_GRACE
                self._tell(address, _told(answer, app, until))

    def _tell(self, address: bytes, told: Told) -> None:
        if told.app is None:
            self._addresses[address] = max(told.until, self._addresses.get(address, told.until))
            self._addresses.move_to_end(address)
            if len(self._addresses) > ADDRESS_LIMIT:
                self._forget(self._addresses.popitem(last=False)[1])
        if told.app is not None:
            self.addresses.add(address)
            if len(self.addresses) > 2 * (self.limit + PLACE_LIMIT):
                pairs = {address for _, address in self._pairs.all_keys()}
                self.addresses = pairs | {address, *self._places.all_keys()}
        if told.app is not None or address in self._places:
            for names in self._places.add(address, told.name, replace(told)):
                self._forget(max(each.until for each in names))
        for names in self._pairs.add((told.client[0], address), told.name, told):
            self._lost = max(self._lost, *(each.until for each in names))
            self.evicted += 1

    def _forget(self, until: int) -> None:
        self._forgotten = max(self._forgotten, until)
        self.evicted += 1

    def names_of(self, flow: Flow, is_same: IsSameDevice) -> NameSet | None:
        """The names that a flow can be of; None if none of them is of an app."""
        client, address, time = flow.client_ip, flow.server_ip, flow.first
        key = client, address
        had = [
            told for told in self._pairs.of(key).values() if is_same(told.client, told.since, time)
        ]
        found = [told for told in had if told.may_count(time)]
        if any(told.in_use(time) for told in found):
            is_crowded = self._pairs.is_crowded(key) or time <= self._lost
            return self._set(address, time, found, is_own=True, is_crowded=is_crowded)
        found = [told for told in had if told.earlier <= time <= told.until + AGE]
        found += [told for told in self._places.of(address).values() if told.may_count(time)]
        is_crowded = self._places.is_crowded(address)
        return self._set(address, time, found, is_own=False, is_crowded=is_crowded)

    def _set(
        self, address: bytes, time: int, found: list[Told], *, is_own: bool, is_crowded: bool
    ) -> NameSet | None:
        """The set of these names, of which one of an app has to be in use."""
        if not any(told.app is not None and told.in_use(time) for told in found):
            return None
        by_name = {told.name: told for told in sorted(found, key=lambda each: each.in_use(time))}
        told = tuple(each for each in by_name.values() if each.app is not None)
        count = len(by_name)
        if is_crowded:
            count += 1
        elif not is_own and count == len(told) and self._told_for_none(address, time):
            # A name of no app, from before any of an app led to this address.
            count += 1
        apps = {each.app.id for each in told if each.app is not None}
        return NameSet(told, count, is_own, is_own and self._is_alone(address, time, apps))

    def _told_for_none(self, address: bytes, time: int) -> bool:
        """Whether any client was told an address for a name of no app, as far as is known."""
        until = self._addresses.get(address)
        return until is not None and time <= until + AGE

    def _is_alone(self, address: bytes, time: int, apps: set[str]) -> bool:
        """Whether nobody was told an address for anything but one app."""
        if len(apps) != 1 or time <= self._forgotten + AGE or self._told_for_none(address, time):
            return False
        if address not in self._places or self._places.is_crowded(address):
            return False
        return all(
            told.app is not None and (told.app.id in apps or time > told.until + AGE)
            for told in self._places.of(address).values()
        )


def _told(answer: Observation, app: App | None, until: int) -> Told:
    client = answer.client_ip, answer.client_mac, answer.vlan
    shown = answer if app is not None else None
    return Told(answer.name, app, answer.time, answer.time, until, client, shown)


SURE: Confidence = "probable"
"""The highest confidence of a flow record."""

POSSIBLE: Confidence = "possible"

Matches = Callable[[str], Match | None]
"""The rule that matches a name, None if there is none."""


def record_name(found: NameSet, contacted: Matches) -> Told | None:
    """Of names the one that says least of its app, to judge a flow as; None if no rule matches any
    of them."""
    ranked = [
        (CONFIDENCE_RANK[_by_lookup(match)], each.app.name, each.name, each)
        for each in found.told
        if each.app is not None and each.answer is not None
        if (match := contacted(each.app.name)) is not None
    ]
    return min(ranked, key=lambda each: each[:3])[3] if ranked else None


def record_observation(
    told: Told, found: NameSet, flow: Flow, resolved: ResolvedAddresses
) -> Observation:
    """A flow as an observation of a name. What another client was told is no evidence of this one,
    so its record is not shown."""
    answer, app = told.answer, told.app
    assert answer is not None
    assert app is not None
    if app.name != answer.name:
        answer = replace(answer, name=app.name, asked=answer.name, raw="")
    if found.is_own:
        client = flow.client_ip, flow.server_ip
        frames = resolved.frames_of(*client, app.id, flow.first)
        return observed(replace(answer, frames=frames), flow)
    shown = replace(answer, client_ip=flow.client_ip, client_mac=flow.client_mac, client_host="")
    return replace(observed(shown, flow), frames=flow.frames)


def record_contact(contact: Contact, found: NameSet, flow: Flow, matches: Matches) -> Contact:
    """The contact that a flow is, with the names that it can be of, and how sure it is."""
    candidates = Candidates(found.names, ip_text(flow.server_ip), not found.is_own)
    weakest = min(
        (
            _by_lookup(match)
            for each in found.told
            if each.app is not None and (match := matches(each.app.name)) is not None
        ),
        key=CONFIDENCE_RANK.__getitem__,
        default=POSSIBLE,
    )
    is_sure = found.is_own and found.is_alone and not flow.is_doubted
    sure = weakest if is_sure else POSSIBLE
    why = "others"
    if found.is_own:
        why = "alone" if found.is_alone else "shared"
    limits = [address_limit(why, len(found.names), sure)]
    if flow.is_doubted:
        limits.append(sentence("exporter-doubted", grade=sure))
    return replace(contact, confidence=sure, candidates=candidates, limits=tuple(limits))


def _by_lookup(match: Match) -> Confidence:
    """How sure a lookup of a name is, at most `SURE`."""
    found = confidence("dns-answer", match)
    return SURE if found == "confirmed" else found or POSSIBLE
