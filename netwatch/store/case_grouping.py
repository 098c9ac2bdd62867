"""Which incidents are one case.

Two incidents under the same ban, of the same app, belong together if they have one name of the
device in common (`Member.words`), their spans are no further apart than the quiet gap, and either

- they share a Community ID: the same flow, seen twice. That proves it, whatever the sensors call
  the device and however they judged it; or
- they have the same verdict and the same device. An id of the inventory is the same device
  everywhere. Without one the network has to have the same name, and the id, the address, the host
  name, or the MAC by which one of them knows the device has to be the same. Time alone speaks for
  it then. The built-in network is no such name: sensors of all sites have it that name none.

What a sensor says of a network or a device that is not its own belongs to nothing that others say,
nor to what it may say itself. A sensor that may speak of some networks, or of some devices of an
inventory alone, has no part in a case of another one, whatever flow or device it claims to have
seen.

What belongs to the same incident belongs together. But two devices of one sensor, which tells them
apart, are only brought together by a proof: when an address passes from one device to another
within the gap, a sensor that sees addresses alone must not make one case of them.

The result is a function of the set of incidents: what sensors say that may speak of more networks,
and of all devices, is taken first, of these proofs, and then what is nearest. So a sensor cannot
keep others apart.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from netwatch.inventory.networks import BUILT_IN
from netwatch.store.case_members import Key, Member, device_of_inventory, is_among

_ALL = 1 << 31

ALL = (_ALL, True)
"""The reach of a sensor that may speak of everything."""


@dataclass(frozen=True, slots=True)
class Link:
    """Two incidents that belong together, and whether a flow proves it. `distance` is the time
    between them (ns), 0 where they overlap, `reach` the number of networks of which the sensor may
    speak that may speak of less, and whether both may speak of all devices."""

    one: Key
    other: Key
    is_proof: bool
    distance: int
    reach: tuple[int, bool] = ALL


def distance(one: Member, other: Member) -> int:
    """The time between two incidents in ns, 0 where they overlap."""
    return max(one.first - other.last, other.first - one.last, 0)


def link(one: Member, other: Member, gap: int) -> Link | None:
    """How two incidents belong together; None where they do not. `gap` is the quiet gap in ns."""
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
    """Whether two sensors, or one, speak of the same device, as far as names tell."""
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
    # Behind a router every frame has the router's MAC, so a MAC counts where it is who a device is.
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
    """The cases that incidents are, each in the order in which its incidents began."""
    sets = _Sets(members)
    for each in links(members, gap):
        sets.join(each)
    groups: defaultdict[Key, list[Member]] = defaultdict(list)
    for member in sorted(members, key=began):
        groups[sets.root(member.key)].append(member)
    return list(groups.values())


def began(member: Member) -> tuple[int, Key]:
    """The order of the incidents of a case. That of their own clocks decides, because the offset of
    a clock is measured, and the id of a case must not depend on that."""
    return member.first_seen, member.key


class _Sets:
    """Disjoint sets of incidents, each with what its sensors call the device, the networks of its
    incidents, the devices that an inventory names, and those of which each of its sensors may
    speak."""

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
            # What is outside meets nothing but what its sensor says of others as well.
            is_outside = member.is_outside
            limit = None if is_outside else member.networks
            self._limits[member.key] = set() if limit is None else {limit}
            patterns = None if is_outside else member.devices
            self._patterns[member.key] = set() if patterns is None else {patterns}
            device = device_of_inventory(member.record)
            self._named[member.key] = set() if device is None else {device}

    def root(self, key: Key) -> Key:
        """The incident that stands for the set of another."""
        while self._parents[key] != key:
            self._parents[key] = self._parents[self._parents[key]]
            key = self._parents[key]
        return key

    def join(self, joined: Link) -> None:
        """Make one set of two, unless a sensor tells their devices apart and nothing proves it, or
        one has a sensor that may not speak of a network or a device of the other."""
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
        if not all(is_among(device, each) for device in named for each in patterns):
            return
        self._parents[other] = one
        self._networks[one], self._limits[one] = networks, limits
        self._named[one], self._patterns[one] = named, patterns
        for name, devices in self._devices.pop(other).items():
            known.setdefault(name, set()).update(devices)
