"""What a query asks for, in terms of the store: times, names, clients, and words of incidents."""

import fnmatch
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.core.names import normalise_name
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.statements import chunks

_WILDCARDS = frozenset("*?[")

Address = tuple[bytes | None, bytes | None]
"""A packed address, a packed MAC, or both."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What records have to be like; an empty field asks for nothing.

    `since` and `until` (ns) are a period that the record overlaps, without `until` itself. `apps`,
    `bans` and `networks` are ids and names, `names` are patterns (`name_matches`). `device` is
    the word for a device, and `addresses` are those that the inventory has for it; `clients` are
    its numbers in the catalogue, where they are known already. At most `limit` records are wanted.
    """

    since: int | None = None
    until: int | None = None
    apps: frozenset[str] = frozenset()
    bans: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    verdicts: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    device: str = ""
    addresses: tuple[Address, ...] = ()
    clients: tuple[int, ...] | None = None
    limit: int | None = None


def name_pattern(text: str) -> str:
    """A pattern for names as a user writes it, in the spelling of names: a domain, which stands for
    itself and all names below it, or a glob, whose ``*`` matches dots too."""
    is_glob = bool(_WILDCARDS & set(text))
    return text.lower().rstrip(".") if is_glob else normalise_name(text.encode())


def name_matches(pattern: str, name: str) -> bool:
    """Whether a name matches a pattern of `name_pattern`."""
    if _WILDCARDS & set(pattern):
        return fnmatch.fnmatchcase(name, pattern)
    return name == pattern or name.endswith(f".{pattern}")


def name_condition(column: str, pattern: str, parameters: list[Any]) -> str:
    """The same as a condition of SQL, whose values are appended to `parameters`."""
    if _WILDCARDS & set(pattern):
        parameters.append(pattern.replace("[!", "[^"))
        return f"{column} GLOB ?"
    parameters += [pattern, f".{pattern}"]
    return f"({column} = ? OR ends_with({column}, ?))"


def is_device(word: str, device: Mapping[str, Any]) -> bool:
    """Whether the device of an alert's record is the one that a word names: its id, address, MAC,
    host name or owner."""
    mac = parse_mac(word)
    if mac is not None and device["mac"] == mac_text(mac):
        return True
    lower = word.lower()
    return any(
        device[key] is not None and device[key].lower() == lower
        for key in ("id", "ip", "mac", "hostname", "owner")
    )


def device_clients(
    catalogue: Catalogue, wanted: Filter, records: Iterable[tuple[Mapping[str, Any], str]]
) -> list[int]:
    """The numbers of the clients that are a device: those with its address, MAC or pseudonym, with
    the addresses that the inventory has for it, and with those at which incidents found it
    (`records` are theirs, with the sensors that stored them). The latter only in the same network,
    as the same sensor saw them: sites have equal addresses."""
    word = wanted.device
    packed, mac = parse_ip(word), parse_mac(word)
    addresses: set[_Known] = {
        (ip_text(ip) if ip else None, mac_text(of) if of else None) for ip, of in wanted.addresses
    }
    if packed:
        addresses.add((ip_text(packed), None))
    if mac:
        addresses.add((None, mac_text(mac)))
    found: set[_Known] = {
        (device["ip"], device["mac"], record["network"]["name"], sensor)
        for record, sensor in records
        if is_device(word, device := record["device"]) and (device["ip"] or device["mac"])
    }
    return _clients(catalogue, word, (addresses - {(None, None)}) | found)


_Known = tuple[str | None, ...]
"""An address and a MAC, one of which may be None, anywhere or in a network that a sensor sees."""


def _clients(catalogue: Catalogue, word: str, known: Set[_Known]) -> list[int]:
    """The numbers of the clients with a pseudonym or one of these addresses. A store may have
    millions of clients, so that only those with the values are read."""
    client = tables.client.c
    ips = sorted({ip for ip, *_ in known if ip is not None})
    macs = sorted({mac for ip, mac, *_ in known if ip is None and mac is not None})
    statement = select(client.number, client.ip, client.mac, client.network, client.sensor)
    with catalogue.database.reading() as connection:
        found = set(
            connection.execute(select(client.number).where(client.pseudonym == word)).scalars()
        )
        for column, values in ((client.ip, ips), (client.mac, macs)):
            for part in chunks(values):
                rows = connection.execute(statement.where(column.in_(part)))
                found |= {
                    number
                    for number, ip, mac, *where in rows
                    for each in ((ip, mac), (ip, None), (None, mac))
                    if each in known or (*each, *where) in known
                }
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Place:
    """Where clients are: a network by its name, empty outside of all or where it is not known, and
    the sensor that saw them, empty where that may be several."""

    network: str
    sensor: str


def client_places(catalogue: Catalogue, numbers: Sequence[int]) -> dict[Place, list[int]]:
    """The numbers of clients by where they are, in the order of names."""
    client = tables.client.c
    found: defaultdict[Place, list[int]] = defaultdict(list)
    with catalogue.database.reading() as connection:
        for part in chunks(numbers):
            for number, network, sensor in connection.execute(
                select(client.number, client.network, client.sensor).where(client.number.in_(part))
            ):
                found[Place(network or "", sensor or "")].append(number)
    return dict(sorted(found.items(), key=lambda item: (item[0].network, item[0].sensor)))
