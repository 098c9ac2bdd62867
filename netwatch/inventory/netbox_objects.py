"""What NetBox's REST API reports about devices, their interfaces and addresses, as a register.

A list of the API is JSON with `count` and `results`. Fields are those documented since NetBox 3.0:
the role of a device is ``device_role`` before version 3.6, and an interface has several MACs from
4.2 on.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import describe
from netwatch.inventory.registered import ClassRule, Registered, class_by, registered

DEFAULT_OWNER = "tenant"
"""The field of a device with its owner."""

MAX_INTERFACES = 4_000_000
"""Interfaces of the devices of a NetBox, at most."""

_STATUSES = frozenset({"active", "slaac"})
"""The states of an address that its device always has; a lease (``dhcp``) moves."""

_HOST_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", re.ASCII)

_SHARED_ROLES = frozenset({"anycast", "vip", "vrrp", "hsrp", "glbp", "carp"})


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list: how many objects the whole list has, and some of them."""

    count: int
    objects: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class NetboxKind:
    """A kind of object that has interfaces: the paths of its list and of its interfaces' list, the
    field of an interface that refers to it, by which lists are filtered, and the type by which an
    address refers to such an interface."""

    path: str
    interfaces: str
    field: str
    assigned: str


KINDS: Mapping[str, NetboxKind] = {
    "devices": NetboxKind("dcim/devices", "dcim/interfaces", "device", "dcim.interface"),
    "virtual_machines": NetboxKind(
        "virtualization/virtual-machines",
        "virtualization/interfaces",
        "virtual_machine",
        "virtualization.vminterface",
    ),
}
"""The kinds of objects that are devices for us."""


def read_page(body: bytes) -> Page:
    """A part of a list; raises `NetwatchError`."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise NetwatchError("expected JSON, as the API of NetBox answers; found other") from None
    count = value.get("count") if isinstance(value, dict) else None
    objects = value.get("results") if isinstance(value, dict) else None
    is_list = isinstance(objects, list) and all(isinstance(each, dict) for each in objects)
    if type(count) is not int or count < 0 or not is_list:
        raise NetwatchError("expected a list of the API of NetBox, with 'count' and 'results'")
    return Page(count, objects or ())


def id_of(value: Mapping[str, Any]) -> int:
    """The number of an object; raises `NetwatchError`."""
    number = value.get("id")
    if type(number) is not int or not 0 < number < 1 << 63:
        raise NetwatchError(f"expected an object with an 'id', found {describe(number)}")
    return number


@dataclass(frozen=True, slots=True)
class NetboxDevice:
    """A device: its number, name, the DNS name of its first address, its owner, and the attributes
    for class rules."""

    number: int
    name: str
    dns_name: str
    owner: str
    attributes: Mapping[str, Sequence[str]]


Interface = tuple[int, int, tuple[bytes, ...]]
"""The number of an interface, its device's number (0: none), and its MACs."""

Assigned = tuple[int, bytes]
"""The number of an interface (0: none that counts), and its address."""


class NetboxRegister:
    """Collects the objects of one kind. `rules` give the classes, and `owner` is the field with the
    owner: one of the device, or ``custom_fields.NAME``. Methods raise `NetwatchError`."""

    def __init__(self, kind: NetboxKind, rules: Sequence[ClassRule], owner: str) -> None:
        self._kind = kind
        self._rules = rules
        self._owner = owner
        self._devices: dict[int, NetboxDevice] = {}
        self._macs: dict[int, set[bytes]] = {}
        self._ips: dict[int, set[bytes]] = {}
        self._device_of: dict[int, int] = {}

    @property
    def numbers(self) -> list[int]:
        """The numbers of the devices."""
        return sorted(self._devices)

    def device(self, value: Mapping[str, Any]) -> NetboxDevice:
        """A device of the list of devices."""
        name = _text(value.get("name"))
        tags = value.get("tags")
        attributes = {
            "name": [name],
            "role": _slugs(value.get("role") or value.get("device_role")),
            "tag": [
                slug for tag in (tags if isinstance(tags, list) else ()) for slug in _slugs(tag)
            ],
            "status": [_word(value.get("status"))],
            "type": _slugs(value.get("device_type")),
            **{each: _slugs(value.get(each)) for each in ("tenant", "site", "platform")},
        }
        dns_name = _text(_get(value.get("primary_ip"), "dns_name"))
        return NetboxDevice(id_of(value), name, dns_name, _owner(value, self._owner), attributes)

    def interface(self, value: Mapping[str, Any]) -> Interface:
        """An interface of a list of interfaces."""
        of = value.get(self._kind.field)
        listed = value.get("mac_addresses")
        listed = listed if isinstance(listed, list) else []
        texts = [value.get("mac_address"), *(_get(each, "mac_address") for each in listed)]
        found = (parse_mac(text) for text in texts if isinstance(text, str))
        number = id_of(of) if isinstance(of, dict) else 0
        return id_of(value), number, tuple(filter(None, found))

    def address(self, value: Mapping[str, Any]) -> Assigned:
        """An address in a list of addresses. Leased, disused, or shared addresses belong to no
        interface."""
        status, role = _word(value.get("status")), _word(value.get("role"))
        text = _text(value.get("address"))
        ip = parse_ip(text.partition("/")[0])
        if ip is None:
            raise NetwatchError(f"'address': expected an IP address, found {describe(text)}")
        counts = value.get("assigned_object_type") == self._kind.assigned
        counts = counts and status in _STATUSES and role not in _SHARED_ROLES
        number = value.get("assigned_object_id")
        return number if counts and type(number) is int else 0, ip

    def add_devices(self, found: Iterable[NetboxDevice]) -> None:
        """Add devices."""
        self._devices.update((device.number, device) for device in found)

    def add_interfaces(self, found: Iterable[Interface]) -> None:
        """Add interfaces; those of other devices are left out."""
        for number, device, macs in found:
            if device in self._devices:
                self._device_of[number] = device
                self._macs.setdefault(device, set()).update(macs)
        if len(self._device_of) > MAX_INTERFACES:
            raise NetwatchError(f"expected at most {MAX_INTERFACES:,} interfaces, found more")

    def add_addresses(self, found: Iterable[Assigned]) -> None:
        """Add addresses; those of other interfaces are left out."""
        for interface, ip in found:
            device = self._device_of.get(interface)
            if device is not None:
                self._ips.setdefault(device, set()).add(ip)

    def devices(self) -> list[Registered]:
        """The devices with everything that was added."""
        return [self._registered(device) for _, device in sorted(self._devices.items())]

    def _registered(self, device: NetboxDevice) -> Registered:
        number = device.number
        names = [each for each in (device.name, device.dns_name) if _HOST_NAME.fullmatch(each)]
        return registered(
            device.name or f"netbox-{number}",
            macs=self._macs.get(number, ()),
            ips=self._ips.get(number, ()),
            hostname=names[0] if names else "",
            owner=device.owner,
            device_class=class_by(self._rules, device.attributes),
            origin=f"{self._kind.field.replace('_', ' ')} {number}",
        )


def _get(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _word(value: object) -> str:
    """The value of a choice, which the API returns with its label."""
    return _text(_get(value, "value"))


def _slugs(value: object) -> list[str]:
    found = _get(value, "slug")
    return [found] if isinstance(found, str) else []


def _owner(value: Mapping[str, Any], field: str) -> str:
    """The text of a field; for an object, its name."""
    found: object = value
    for name in field.split("."):
        found = _get(found, name)
    if isinstance(found, dict):
        found = next((found[key] for key in ("name", "display", "label") if found.get(key)), None)
    return _text(found)
