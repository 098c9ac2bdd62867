"""Incidents of sensors as members of cases, and which of them are one case.

Times within cases are by the centre's clock: the sensor's time minus the offset of its clock. Of
several states of one incident the newest counts, in any order of arrival: a closed one before an
open one, then the one that was seen later. The incident spans the times of all its states.

Two incidents under the same ban, of the same app, belong together if they have one name of the
device in common (`Member.words`), their spans are no further apart than the quiet gap, and either

- they share a Community ID: the same flow, seen twice. That proves it, whatever the sensors call
  the device and however they judged it; or
- they have the same verdict and the same device. An inventory id is the same device everywhere.
  Without one, the network must have the same name, and the id, the address, the host name, or the
  MAC by which one of them knows the device must be the same. Then only the time supports it. The
  built-in network does not count as a name: all sensors without configured networks have it.

Reports of a sensor about a network or device that is not its own are never joined with others, nor
with its own legitimate ones. A sensor that may only report on some networks, or on some devices of
an inventory, has no part in a case about others, whatever flow or device it claims to have seen.

The relation is transitive. But two devices that one sensor tells apart are only joined by a proof:
when an address passes from one device to another within the gap, a sensor that only sees addresses
must not join them into one case.

The result is a function of the set of incidents: reports of sensors that may report on more
networks, and on all devices, come first, among these proofs, and then the nearest ones. So a sensor
cannot keep others apart.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import ip_address
from json.encoder import encode_basestring_ascii
from typing import Any

from netwatch.core.alert import UNHEARD, AlertRecord
from netwatch.core.verdict import CONFIDENCE_RANK
from netwatch.formats.values import epoch_ns
from netwatch.inventory.networks import BUILT_IN
from netwatch.privacy import key_id_of

INVENTORY = "inventory"
"""The binding source of a device named by an inventory."""

# Hashed texts are JSON lists with a space after each comma; this is what json.dumps does to texts.
_quoted = encode_basestring_ascii

OUTSIDE_NETWORK, OUTSIDE_DEVICE = "sensor-network", "sensor-device"
"""The contradictions of an alert whose sensor may not report on its network, or on its device."""

NETWORKS, DEVICES = "networks", "devices"
"""The keys of `sensor` in a record with the networks, and with patterns of inventory device ids,
that the sensor may report on, as noted by its centre; all if absent."""

_OUTSIDE = frozenset((OUTSIDE_NETWORK, OUTSIDE_DEVICE))

# The id of a device that no inventory names: its address, or its MAC with a host name.
_UNKNOWN = "unknown:"
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?:/.*)?", re.DOTALL)

STATUS_RANK = {"open": 0, "update": 1, "closed": 2}
"""How far along an incident is in a state."""

_SKETCH = 8

Key = tuple[str, str]
"""A sensor, and the id of an incident."""


Rank = tuple[bool, int, int]
"""What the states of an incident are compared by."""

_ALL = 1 << 31

ALL = (_ALL, True)
"""The reach of a sensor that may report on everything."""


def rank_of(status: str, last_seen: int, unheard: Mapping[str, Any] | None = None) -> Rank:
    """The rank of a state that was last seen at a time (ns). One that was closed because its sensor
    fell silent ranks just below the last reported state, so that the sensor can report that
    again."""
    if unheard is not None:
        return False, last_seen, 2 * STATUS_RANK[unheard["status"]] - 1
    return status == "closed", last_seen, 2 * STATUS_RANK[status]


@dataclass(frozen=True, slots=True)
class Member:
    """An incident of a sensor: its `key`, its newest record with its JSON line, the times (ns) that
    all its states span by the sensor's clock, how far that was ahead (ns), the Community IDs of its
    flows, at most `COMMUNITY_LIMIT`, and hashes for finding others of the same device, app and ban.
    `run` and `case` are where it is stored, None and empty if it is not stored yet."""

    key: Key
    record: AlertRecord
    line: str
    first_seen: int
    last_seen: int
    clock_offset: int
    community_ids: frozenset[str]
    words: frozenset[str]
    run: int | None = None
    case: str = ""

    @classmethod
    def of(
        cls,
        sensor: str,
        record: AlertRecord,
        line: str,
        clock_offset: int,
        span: tuple[int, int] | None = None,
        *,
        run: int | None = None,
        case: str = "",
    ) -> "Member":
        """The member for a record; `span` are the times (ns) that all its states span, by default
        the record's."""
        first, last = span or (epoch_ns(record["first_seen"]), epoch_ns(record["last_seen"]))
        flows = frozenset(record["community_ids"])
        words = frozenset(_words(record, flows))
        key = sensor, record["id"]
        return cls(key, record, line, first, last, clock_offset, flows, words, run, case)

    @property
    def sensor(self) -> str:
        """The sensor that reported it."""
        return self.key[0]

    @property
    def begins(self) -> str:
        """The id of a case that begins with this incident: 32 hex digits, the same however often
        the incident is replayed."""
        return case_id(*self.key)

    @property
    def first(self) -> int:
        """When it began, by the clock of the centre (ns)."""
        return self.first_seen - self.clock_offset

    @property
    def last(self) -> int:
        """When its last contact was, by the clock of the centre (ns)."""
        return self.last_seen - self.clock_offset

    @property
    def is_listed(self) -> bool:
        """Whether an inventory names its device."""
        return (self.record.get("binding") or {}).get("source") == INVENTORY

    @property
    def is_outside(self) -> bool:
        """Whether its sensor may not report on its network, or on its device."""
        return any(each["type"] in _OUTSIDE for each in self.record.get("contradictions") or ())

    @property
    def networks(self) -> frozenset[str | None] | None:
        """The networks that its sensor may report on; None for all."""
        found = (self.record.get("sensor") or {}).get(NETWORKS)
        return None if found is None else frozenset(found)

    @property
    def devices(self) -> tuple[str, ...] | None:
        """Patterns of the inventory devices that its sensor may report on; None for all."""
        found = (self.record.get("sensor") or {}).get(DEVICES)
        return None if found is None else tuple(found)

    @property
    def rank(self) -> Rank:
        """How new the state is: one with a greater rank is newer, whatever its content."""
        record = self.record
        return rank_of(record["status"], epoch_ns(record["last_seen"]), record.get(UNHEARD))

    def placed(self, run: int | None, case: str) -> "Member":
        """The same incident, with the place where it is stored."""
        if run == self.run and case == self.case:
            return self
        return Member(self.key, self.record, self.line, self.first_seen, self.last_seen,
                      self.clock_offset, self.community_ids, self.words, run, case)  # fmt: skip

    def merged(self, other: "Member") -> "Member":
        """The union of two states of the same incident."""
        newer = max(self, other, key=_state)
        return replace(
            newer,
            first_seen=min(self.first_seen, other.first_seen),
            last_seen=max(self.last_seen, other.last_seen),
            run=newer.run,
            case=self.case or other.case,
        )


def device_of_inventory(record: Mapping[str, Any]) -> str | None:
    """The inventory id of the device in a record; None if there is none, or a pseudonym. A sensor
    may omit that the device is in an inventory, so any id counts as one unless it is a default name
    of a device."""
    device = record["device"]
    identity: str = device["id"] or ""
    # Only an inventory knows whose a device is.
    if not device["owner"]:
        is_listed = (record.get("binding") or {}).get("source") == INVENTORY
        if key_id_of(identity) or (not is_listed and _is_not_of_inventory(identity)):
            return None
    return identity


def _is_not_of_inventory(identity: str) -> bool:
    if not identity or _MAC.fullmatch(identity):
        return True
    try:
        # A zone after an address could be any text.
        return "%" not in identity and bool(ip_address(identity.removeprefix(_UNKNOWN)))
    except ValueError:
        return False


def is_among(device: str, patterns: Iterable[str]) -> bool:
    """Whether the id of a device matches one of the patterns."""
    return any(fnmatchcase(device, pattern) for pattern in patterns)


@lru_cache(8192)
def case_id(sensor: str, incident: str) -> str:
    """The id of the case whose first incident is this one."""
    text = f'["netwatch.case/1", {_quoted(sensor)}, {_quoted(incident)}]'
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _words(record: AlertRecord, flows: frozenset[str]) -> Iterator[str]:
    """Hashes of the names of a device with app and ban. A device whose address is not shown is also
    found by its flows, and never by a sensor that shows it."""
    device = record["device"]
    names = [("id", device["id"]), ("ip", device["ip"]), ("mac", device["mac"]),
             ("hostname", (device["hostname"] or "").lower())]  # fmt: skip
    if not device["ip"]:
        names += [("flow", flow) for flow in sorted(flows)[:_SKETCH]]
    said = _said(record["app"]["id"], record["ban"]["id"])
    for kind, name in names:
        if name:
            word = said.copy()
            word.update(f'"{kind}", {_quoted(name)}]'.encode())
            yield word.hexdigest()


@lru_cache(256)
def _said(app: str, ban: str) -> "hashlib.blake2b":
    """The hash of the common prefix of the words of an app and a ban."""
    text = f"[{_quoted(app)}, {_quoted(ban)}, "
    return hashlib.blake2b(text.encode(), digest_size=16)


def _state(member: Member) -> tuple[bool, int, int, int, int, str]:
    """A sort key: the newer of two states of an incident has the greater one."""
    record = member.record
    counts = record["counts"]
    return (
        *member.rank,
        CONFIDENCE_RANK[record["confidence"]],
        counts["lookups"] + counts["handshakes"] + counts["bytes_out"] + counts["bytes_in"],
        member.line,
    )


@dataclass(frozen=True, slots=True)
class Link:
    """Two incidents that belong together, and whether a flow proves it. `distance` is the time
    between them (ns), 0 if they overlap, `reach` the number of networks of the more restricted
    sensor, and whether both may report on all devices."""

    one: Key
    other: Key
    is_proof: bool
    distance: int
    reach: tuple[int, bool] = ALL


def distance(one: Member, other: Member) -> int:
    """The time between two incidents in ns, 0 if they overlap."""
    return max(one.first - other.last, other.first - one.last, 0)


def link(one: Member, other: Member, gap: int) -> Link | None:
    """How two incidents belong together; None if they do not. `gap` is the quiet gap in ns."""
    is_outside = one.is_outside, other.is_outside
    if any(is_outside) and not (all(is_outside) and one.sensor == other.sensor):
        return None
    between = distance(one, other)
    if between > gap or one.words.isdisjoint(other.words):
        return None
    is_proof = not one.community_ids.isdisjoint(other.community_ids)
    is_same = one.record["verdict"] == other.record["verdict"] and _is_same_device(one, other)
    if not is_proof and not is_same:
        return None
    low, high = sorted((one.key, other.key))
    networks = min(_ALL if each.networks is None else len(each.networks) for each in (one, other))
    sees_all = one.devices is None and other.devices is None
    return Link(low, high, is_proof, between, (networks, sees_all))


def _is_same_device(one: Member, other: Member) -> bool:
    """Whether two sensors, or one, mean the same device, as far as names tell."""
    first, second = one.record["device"], other.record["device"]
    networks = [each.record["network"]["name"] for each in (one, other)]
    is_same_network = networks[0] == networks[1] and (
        networks[0] != BUILT_IN or one.sensor == other.sensor
    )
    if first["id"] and first["id"] == second["id"]:
        return is_same_network or (one.is_listed and other.is_listed)
    if one.sensor == other.sensor or not is_same_network:
        return False
    known_by_mac = [each["mac"] for each in (first, second) if each["mac"] == each["id"]]
    if len(known_by_mac) == 2 and all(known_by_mac):
        return False
    # Behind a router every frame has the router's MAC, so a MAC only counts if it identifies the
    # device.
    if first["mac"] and first["mac"] == second["mac"] and any(known_by_mac):
        return True
    names = [(each["hostname"] or "").lower() for each in (first, second)]
    if names[0] and names[0] == names[1]:
        return True
    return bool(first["ip"]) and first["ip"] == second["ip"]


def links(members: Iterable[Member], gap: int) -> list[Link]:
    """All pairs that belong together, in the order in which they count."""
    found = []
    active: list[Member] = []
    for member in sorted(members, key=lambda each: (each.first, each.key)):
        active = [each for each in active if each.last + gap >= member.first]
        for each in active:
            joined = link(each, member, gap)
            if joined is not None:
                found.append(joined)
        active.append(member)
    found.sort(
        key=lambda each: (
            -each.reach[0],
            not each.reach[1],
            not each.is_proof,
            each.distance,
            each.one,
            each.other,
        )
    )
    return found


def group(members: Sequence[Member], gap: int) -> list[list[Member]]:
    """The cases of incidents, each in the order in which its incidents began."""
    sets = _Sets(members)
    for each in links(members, gap):
        sets.join(each)
    groups: defaultdict[Key, list[Member]] = defaultdict(list)
    for member in sorted(members, key=began):
        groups[sets.root(member.key)].append(member)
    return list(groups.values())


def began(member: Member) -> tuple[int, Key]:
    """The order of the incidents of a case. Their own clocks decide, because the offset of a clock
    is a measurement, and the id of a case must not depend on that."""
    return member.first_seen, member.key


class _Sets:
    """Disjoint sets of incidents, each with the names that its sensors give the device, the
    networks of its incidents, the devices that an inventory names, and the devices that each of its
    sensors may report on."""

    def __init__(self, members: Iterable[Member]) -> None:
        self._parents: dict[Key, Key] = {}
        self._devices: dict[Key, dict[str, set[str]]] = {}
        self._networks: dict[Key, set[str | None]] = {}
        self._limits: dict[Key, set[frozenset[str | None]]] = {}
        self._named: dict[Key, set[str]] = {}
        self._patterns: dict[Key, set[tuple[str, ...]]] = {}
        for member in members:
            self._parents[member.key] = member.key
            self._devices[member.key] = {member.sensor: {member.record["device"]["id"] or ""}}
            self._networks[member.key] = {member.record["network"]["name"]}
            # Reports outside a sensor's reach are only joined with its own other such reports.
            is_outside = member.is_outside
            limit = None if is_outside else member.networks
            self._limits[member.key] = set() if limit is None else {limit}
            patterns = None if is_outside else member.devices
            self._patterns[member.key] = set() if patterns is None else {patterns}
            device = device_of_inventory(member.record)
            self._named[member.key] = set() if device is None else {device}

    def root(self, key: Key) -> Key:
        """The incident that represents the set of another."""
        while self._parents[key] != key:
            self._parents[key] = self._parents[self._parents[key]]
            key = self._parents[key]
        return key

    def join(self, joined: Link) -> None:
        """Join two sets, unless a sensor tells their devices apart without a proof, or one has a
        sensor that may not report on a network or a device of the other."""
        one, other = self.root(joined.one), self.root(joined.other)
        if one == other:
            return
        known, new = self._devices[one], self._devices[other]
        if not joined.is_proof and any(known[name] != new[name] for name in known.keys() & new):
            return
        networks = self._networks[one] | self._networks[other]
        limits = self._limits[one] | self._limits[other]
        if not all(networks <= limit for limit in limits):
            return
        named = self._named[one] | self._named[other]
        patterns = self._patterns[one] | self._patterns[other]
        if not all(is_among(device, pattern) for device in named for pattern in patterns):
            return
        self._parents[other] = one
        self._networks[one], self._limits[one] = networks, limits
        self._named[one], self._patterns[one] = named, patterns
        for name, devices in self._devices.pop(other).items():
            known.setdefault(name, set()).update(devices)
