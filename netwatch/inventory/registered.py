"""Devices as a register lists them, made fit for an inventory.

A register (NetBox, a directory, a spreadsheet) is kept for other purposes: it has addresses that
several devices share, names twice, entries that say nothing by which a device is recognised on the
wire. `settle` makes of all that devices which can be told apart: what two devices have at once
identifies neither, so both lose it, and the result says so.

The class of a device follows from its role, tag or folder in the register. A register knows nothing
of classes. The configuration maps what it does know: a list of rules, of which the first that fits
gives the class. A rule fits if each of its attributes has one of the values that it lists. Values
are compared without case, and may have ``*`` and ``?``.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from ipaddress import ip_address

from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.text import UNSAFE
from netwatch.core.verdict import DeviceClass

MAX_CELL = 255
"""Characters of an id, a host name or an owner; the rest of a longer one is left out."""

MAX_REGISTERED = 1_000_000
"""Devices of all sources of an inventory together."""

_NO_MACS = frozenset({bytes(6), b"\xff" * 6})


@dataclass(frozen=True, slots=True)
class Registered:
    """A device of a register. MACs (6 bytes) and addresses (4 or 16 bytes) are packed. `origin` is
    what the register calls it where its `id` is not unique, for people."""

    id: str
    macs: tuple[bytes, ...]
    ips: tuple[bytes, ...]
    hostname: str
    owner: str
    device_class: DeviceClass | None
    origin: str


def registered(
    identity: str,
    *,
    macs: Iterable[bytes] = (),
    ips: Iterable[bytes] = (),
    hostname: str = "",
    owner: str = "",
    device_class: DeviceClass | None = None,
    origin: str = "",
) -> Registered:
    """A device of which every text fits a cell of an inventory, and whose MACs and addresses are
    those that a single device can have, each once and in order."""
    return Registered(
        cell(identity),
        tuple(sorted({mac for mac in macs if not mac[0] & 1 and mac not in _NO_MACS})),
        tuple(sorted(set(filter(_is_of_one_device, ips)), key=lambda ip: (len(ip), ip))),
        cell(hostname).rstrip(".").lower(),
        cell(owner),
        device_class,
        cell(origin),
    )


def cell(text: str) -> str:
    """A text without line breaks and other control characters, and not too long for a cell."""
    return " ".join(UNSAFE.sub(" ", text[: 2 * MAX_CELL]).split())[:MAX_CELL].strip()


def _is_of_one_device(ip: bytes) -> bool:
    address = ip_address(ip)
    return not (
        address.is_unspecified
        or address.is_loopback
        or address.is_link_local
        or address.is_multicast
    )


@dataclass(frozen=True, slots=True)
class Settled:
    """The devices that can be told apart, in order of their ids, and sentences on what was left
    out."""

    devices: tuple[Registered, ...]
    left_out: tuple[str, ...]


def settle(registers: Sequence[Sequence[Registered]]) -> Settled:
    """The devices of several registers together.

    A device of a later register with the id of one of an earlier register is the same: it adds
    MACs and addresses, and the texts that the earlier one does not have. Two devices of one
    register with the same id get ids that say which is which.
    """
    joined: dict[str, Registered] = {}
    for register in registers:
        own = [*_distinguished(register)]
        for device in own:
            key = device.id.casefold()
            joined[key] = _joined(joined[key], device) if key in joined else device
    devices = sorted(joined.values(), key=lambda device: device.id)
    left_out: list[str] = []
    devices = _without_shared(devices, lambda device: device.macs, mac_text, "macs", left_out)
    devices = _without_shared(devices, lambda device: device.ips, ip_text, "ips", left_out)
    found = []
    for device in devices:
        if device.id and (device.macs or device.ips or device.hostname):
            found.append(device)
        else:
            name = device.id or device.origin
            left_out.append(f"{name} has no MAC, address or host name of its own")
    return Settled(tuple(found), tuple(left_out))


def _distinguished(register: Sequence[Registered]) -> Iterable[Registered]:
    """The devices of a register, with different ids."""
    counts = Counter(device.id.casefold() for device in register)
    used: set[str] = set()
    for device in register:
        identity = device.id
        if counts[identity.casefold()] > 1:
            identity = cell(f"{identity[: MAX_CELL // 2]} ({device.origin})")
        number = 1
        unique = identity
        while unique.casefold() in used:
            number += 1
            unique = f"{identity[: MAX_CELL - 8]} {number}"
        used.add(unique.casefold())
        yield device if unique == device.id else replace(device, id=unique)


def _joined(first: Registered, second: Registered) -> Registered:
    return registered(
        first.id,
        macs=(*first.macs, *second.macs),
        ips=(*first.ips, *second.ips),
        hostname=first.hostname or second.hostname,
        owner=first.owner or second.owner,
        device_class=first.device_class or second.device_class,
        origin=first.origin,
    )


def _without_shared(
    devices: Sequence[Registered],
    values_of: Callable[[Registered], tuple[bytes, ...]],
    text_of: Callable[[bytes], str],
    field: str,
    left_out: list[str],
) -> list[Registered]:
    """The devices without the values that several of them have."""
    owners: defaultdict[bytes, list[str]] = defaultdict(list)
    for device in devices:
        for value in values_of(device):
            owners[value].append(device.id)
    shared = {value: names for value, names in owners.items() if len(names) > 1}
    for value, names in sorted(shared.items()):
        others = f" and {len(names) - 2:,} more" if len(names) > 2 else ""
        left_out.append(f"{text_of(value)} belongs to {names[0]} and to {names[1]}{others}")
    if not shared:
        return [*devices]
    return [
        replace(device, **{field: tuple(v for v in values_of(device) if v not in shared)})  # type: ignore[arg-type]
        for device in devices
    ]


MAX_DN = 8192
"""Characters of a distinguished name; a longer one is in no folder."""

MAX_FOLDERS = 64
"""Folders above an entry that rules are compared with, from the uppermost one down."""

MAX_VALUE = 1024
"""Characters of a value that rules are compared with."""

Attributes = Mapping[str, Sequence[str]]
"""What a register says of a device: the values of each attribute."""

ATTRIBUTES: Mapping[str, str] = {
    "name": "the name of the device in the register",
    "role": "NetBox: the slug of its role",
    "tag": "NetBox: the slug of one of its tags",
    "tenant": "NetBox: the slug of its tenant",
    "site": "NetBox: the slug of its site",
    "platform": "NetBox: the slug of its platform",
    "type": "NetBox: the slug of its device type",
    "status": "NetBox: its status, such as `active`",
    "os": "directory: `operatingSystem`",
    "under": "directory: the distinguished name of a folder (OU) that it is in, at any depth",
}
"""The attributes that a rule may ask for, each with a description."""


@dataclass(frozen=True, slots=True)
class ClassRule:
    """A class, and what a device must have for it: attributes with the patterns (in lower case) of
    which one has to fit. A rule without attributes fits every device."""

    device_class: DeviceClass
    wanted: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def fits(self, attributes: Attributes) -> bool:
        """Whether a device with these attributes has the class."""
        return all(
            any(
                fnmatchcase(value[:MAX_VALUE].lower(), pattern)
                for value in attributes.get(name, ())
                for pattern in patterns
            )
            for name, patterns in self.wanted
        )


def class_by(rules: Sequence[ClassRule], attributes: Attributes) -> DeviceClass | None:
    """The class by the first rule that fits; None if none does, for the class of its network."""
    return next((rule.device_class for rule in rules if rule.fits(attributes)), None)


def pattern_of(attribute: str, text: str) -> str:
    """A value of a rule as values are compared with it."""
    return folded_dn(text) if attribute == "under" else text.strip().lower()


def folders_of(dn: str) -> list[str]:
    """The distinguished names above a distinguished name, from the nearest one up."""
    parts = _split_dn(dn) if len(dn) <= MAX_DN else []
    first = max(1, len(parts) - MAX_FOLDERS)
    return [",".join(parts[at:]) for at in range(first, len(parts))]


def folded_dn(dn: str) -> str:
    """A distinguished name in lower case and without blanks around its parts."""
    return ",".join(_split_dn(dn))


def _split_dn(dn: str) -> list[str]:
    """The relative distinguished names of a name (RFC 4514 section 2.1): a comma separates them
    unless an odd number of backslashes is before it."""
    parts = dn.lower().split(",")
    found = parts[:1]
    for part in parts[1:]:
        before = found[-1]
        if (len(before) - len(before.rstrip("\\"))) % 2:
            found[-1] = f"{before},{part}"
        else:
            found.append(part)
    return [*map(str.strip, found)]
