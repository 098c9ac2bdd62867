"""Values of fields that several formats write alike: addresses, ports, URLs, rows and objects.

Cloud services and firewalls say in different words which device asked. `Sides` puts them in order:
the address of the device itself, else its host name, else the address after translation.
"""

import csv
import re
from typing import NamedTuple

import orjson

from netwatch.core.addresses import parse_ip
from netwatch.core.names import normalise_name
from netwatch.logs.reading import RecordError
from netwatch.logs.records import NOWHERE, Endpoint, Lack

MAX_ANSWERS = 256
"""Addresses and aliases that are read of one lookup."""

_MAPPED = bytes(10) + b"\xff\xff"

_HOST_OF_URL = re.compile(
    r"\s*(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]*)(?::(\d{1,5}))?", re.IGNORECASE
)


class Sides(NamedTuple):
    """Which device asked: its side of the contact, its host name where the log has no address of
    it, and what the log does not say of it."""

    client: Endpoint
    host: str = ""
    lacks: tuple[Lack, ...] = ()


def address(text: object) -> bytes | None:
    """The packed address in a field, None if it has none. Addresses of IPv4 in the form
    ``::ffff:192.0.2.1`` are addresses of IPv4 (RFC 4291 section 2.5.5.2)."""
    packed = parse_ip(text.strip("[] ")) if isinstance(text, str) else None
    if packed is not None and packed.startswith(_MAPPED):
        return packed[12:]
    return packed if packed is not None and any(packed) else None


def number(value: object) -> int:
    """The number in a field, 0 if it has none (``NA``, ``-``, nothing) or a negative one."""
    if isinstance(value, int):
        return max(value, 0)
    text = value.strip() if isinstance(value, str) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def port(value: object) -> int:
    """The port in a field, 0 if it has none."""
    found = number(value)
    return found if found < 65536 else 0


def text(value: object) -> str:
    """A field as text, empty if it has none."""
    return value.strip() if isinstance(value, str) else ""


def texts(value: object) -> list[str]:
    """The texts in a field that is a list, none if it is not."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def json_object(record: bytes) -> dict[str, object]:
    """The JSON object that a record is. Raises `RecordError`."""
    try:
        value = orjson.loads(record)
    except orjson.JSONDecodeError:
        raise RecordError("json-invalid") from None
    if not isinstance(value, dict):
        raise RecordError("json-not-object")
    return value


def is_cut_object(record: bytes) -> bool:
    """Whether a record looks like the rest of a JSON object of which the beginning was cut off."""
    return record.endswith(b"}") and b'":' in record and not record.startswith(b"{")


def csv_row(record: bytes) -> list[str]:
    """The fields of a line of CSV (RFC 4180). Raises `RecordError`."""
    line = record.decode("utf-8", "surrogateescape")
    try:
        rows = list(csv.reader([line], skipinitialspace=True))
    except csv.Error:
        raise RecordError("csv-invalid") from None
    return rows[0] if rows else []


def octets(name: str) -> bytes:
    """A name of a log as bytes. Most logs of lookups
    end names with the dot of the root, which packets do not show, and which is left out."""
    return name.removesuffix(".").encode("utf-8", "surrogateescape")


def host_name(name: str) -> str:
    """The normal spelling of a name that is not the name asked for, as that of an alias."""
    return normalise_name(octets(name))


def host_of_url(url: str) -> tuple[str, int]:
    """The host of a URL with or without a scheme, and its port, 0 if it names none."""
    found = _HOST_OF_URL.match(url)
    return (found[1].strip(), port(found[2] or "")) if found else ("", 0)


def sides(inner: bytes | None, outer: bytes | None, host: str = "", client_port: int = 0) -> Sides:
    """Which device asked, by its own address `inner`, its name, and the address `outer` that the
    service saw. An address of a private network (RFC 1918, RFC 4193) is one of a device wherever
    it stands, and so is a global one of IPv6, which is not translated."""
    if inner is None and outer is not None and (len(outer) == 16 or _is_private(outer)):
        inner = outer
    if inner is not None and (inner != outer or len(inner) == 16 or _is_private(inner)):
        return Sides(Endpoint(inner, client_port))
    if host:
        return Sides(NOWHERE, host)
    if outer is not None:
        return Sides(Endpoint(outer, client_port), "", ("device-behind-nat",))
    return Sides(NOWHERE, "", ("client",))


def _is_private(packed: bytes) -> bool:
    if len(packed) != 4:
        return packed[0] & 0xFE == 0xFC
    return (
        packed[0] == 10
        or packed[:2] == b"\xc0\xa8"
        or (packed[0] == 172 and packed[1] & 0xF0 == 16)
        or (packed[0] == 100 and packed[1] & 0xC0 == 64)
    )


def columns(names: str) -> list[str]:
    """The columns of a row, by their names in order with blanks between them."""
    return names.split()


def renamed(pairs: str) -> dict[str, str]:
    """Names of fields and others that stand for the same, ``name=other``, with blanks between."""
    return dict(pair.split("=") for pair in pairs.split())
