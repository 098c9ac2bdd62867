"""Values of fields that several formats write alike: addresses, ports, URLs, rows and objects, and
what proxies and sensors say of web traffic: targets of CONNECT, Host fields, versions of TLS by the
names of tools, and host names in certificates.

Cloud services and firewalls name the client in different ways. `Sides` ranks them: the address of
the device itself, otherwise its host name, otherwise the address after translation.

The values of JSON objects are untrusted: each has the expected type, or counts as missing. Packed
addresses recur, so they are cached.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.errors import RecordError
from netwatch.core.message import TlsInfo
from netwatch.core.names import normalise_name, raw_name
from netwatch.logs.records import NOWHERE, Endpoint, Lack
from netwatch.protocols.http import MAX_NAME, host_of

Object = Mapping[str, object]
"""A JSON object."""

NO_OBJECT: Object = {}
"""Replaces a missing object."""

MAX_ANSWERS = 256
"""Addresses and aliases to read from one lookup."""


_HOST_OF_URL = re.compile(
    r"\s*(?:[a-z][a-z0-9+.-]*://)?(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]*)(?::(\d{1,5}))?", re.IGNORECASE
)

_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+\-.]*)://([^/?#\\]*)")
_PORT = re.compile(rb":([0-9]{1,5})$")
_PORTS = {b"http": 80, b"https": 443, b"ws": 80, b"wss": 443, b"ftp": 21}
HOST_NAME = re.compile(
    rb"(?i)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.){1,63}[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?\.?"
)
"""A host name of at least two labels, whose last one begins with a letter: not an address."""

VERSIONS = {
    "TLS 1.3": "1.3",
    "TLS 1.2": "1.2",
    "TLS 1.1": "1.1",
    "TLSv1": "1.0",
    "SSLv3": "ssl3",
    "TLSv13": "1.3",
    "TLSv12": "1.2",
    "TLSv11": "1.1",
    "TLSv10": "1.0",
    "SSLv30": "ssl3",
    "DTLSv13": "dtls1.3",
    "DTLSv12": "dtls1.2",
    "DTLSv10": "dtls1.0",
}
"""Version names of Suricata and Zeek, and ours."""

MAX_NAMES = 256
"""Maximum number of names to read from one certificate, as in packets."""

_COMMON_NAME = re.compile(r"(?:^|,\s*|/)CN\s*=\s*([^,/\\]+)")
_JA4 = re.compile(r"[tqd][0-9a-z]{9}_[0-9a-f]{12}_[0-9a-f]{12}")
_HOST = re.compile(
    r"(\*\.)?([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]", 0
)

MAX_NUMBER = 1 << 62
"""Greater numbers count as missing: no byte count is greater, and no column holds them."""

MAX_REMEMBERED = 16384
"""Maximum number of addresses of each kind to cache."""

_MAPPED = bytes(10) + b"\xff\xff"


class Sides(NamedTuple):
    """The client: its side of the contact, its host name if the log does not have its address, and
    what the log lacks about it."""

    client: Endpoint
    host: str = ""
    lacks: tuple[Lack, ...] = ()


def address(text: object) -> bytes | None:
    """The packed address in a field, None if it has none. IPv4 addresses in the form
    ``::ffff:192.0.2.1`` become IPv4 (RFC 4291 section 2.5.5.2)."""
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


def json_object(record: bytes, other: str = "json-invalid") -> dict[str, Any]:
    """The JSON object in a record. Raises `RecordError`, with `other` as the reason for JSON that
    is not an object."""
    try:
        value = orjson.loads(record)
    except orjson.JSONDecodeError:
        raise RecordError("json-invalid") from None
    if not isinstance(value, dict):
        raise RecordError(other)
    return value


def maybe_object(record: bytes) -> dict[str, Any] | None:
    """The same, None if it is not one."""
    try:
        return json_object(record)
    except RecordError:
        return None


def is_cut_object(record: bytes) -> bool:
    """Whether a record looks like the rest of a JSON object whose beginning was cut off."""
    return record.endswith(b"}") and b'":' in record and not record.startswith(b"{")


def csv_row(record: bytes, delimiter: str = ",") -> list[str]:
    """The fields of a line of CSV (RFC 4180), or of values with another `delimiter`. Raises
    `RecordError`."""
    line = record.decode("utf-8", "surrogateescape")
    try:
        rows = list(csv.reader([line], skipinitialspace=True, delimiter=delimiter))
    except csv.Error:
        raise RecordError("csv-invalid") from None
    return rows[0] if rows else []


def octets(name: str) -> bytes:
    """A name in a log as bytes. Most query logs end names with the dot of the root, which packets
    do not show, and which is left out."""
    return name.removesuffix(".").encode("utf-8", "surrogateescape")


def host_name(name: str) -> str:
    """The normal spelling of a name other than the name asked for, such as an alias."""
    return normalise_name(octets(name))


def host_of_url(url: str) -> tuple[str, int]:
    """The host of a URL with or without a scheme, and its port, 0 if it names none."""
    found = _HOST_OF_URL.match(url)
    return (found[1].strip(), port(found[2] or "")) if found else ("", 0)


def sides(inner: bytes | None, outer: bytes | None, host: str = "", client_port: int = 0) -> Sides:
    """The client, by its own address `inner`, its name, and the address `outer` that the service
    saw. An address of a private network (RFC 1918, RFC 4193) belongs to a device in whichever field
    it is, and so does a global IPv6 address, which is not translated."""
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
    """The columns of a row, by their names in order, separated by blanks."""
    return names.split()


def renamed(pairs: str) -> dict[str, str]:
    """Names of fields and their synonyms, ``name=other``, separated by blanks."""
    return dict(pair.split("=") for pair in pairs.split())


class Target(NamedTuple):
    """What a request asks for: the host in normal spelling, the host as written, empty if that is
    the same, and the port, 0 if it is not known."""

    name: str
    raw: str
    port: int


def target(method: bytes, url: bytes) -> Target | None:
    """The host of a request by its method and URL: the authority of an absolute URL, or the target
    of CONNECT; None if the URL has no host (a path only), or an invalid one."""
    if method.upper() == b"CONNECT":
        # Some proxies write the target of CONNECT as a URL.
        absolute = _ABSOLUTE.match(url)
        return authority(absolute[2] if absolute else url.partition(b"/")[0], 443)
    absolute = _ABSOLUTE.match(url)
    if absolute is None:
        return None
    return authority(absolute[2], _PORTS.get(absolute[1].lower(), 0))


def authority(written: bytes, default_port: int = 0) -> Target | None:
    """The host and the port of an authority (RFC 3986 section 3.2); None if it has no host."""
    raw = host_of(written)
    if not raw or len(raw) > MAX_NAME:
        return None
    name = normalise_name(raw)
    if not name:
        return None
    found = _PORT.search(written)
    port = int(found[1]) if found and len(raw) < len(written) else default_port
    return Target(name, raw_name(raw, name), port if port < 65536 else default_port)


def tls_info(version: str, alpn: Iterable[str], ja4: str) -> TlsInfo | None:
    """What a log reports about a handshake besides the name, None if nothing. The version is the
    negotiated one, because logs do not have the client's offer."""
    known = VERSIONS.get(version, "")
    protocols = tuple(alpn)
    fingerprint = ja4 if ja4 and _JA4.fullmatch(ja4) else ""
    if not known and not protocols and not fingerprint:
        return None
    # The text's own method returns it, and can be sent to another process.
    return TlsInfo(known, protocols, None, fingerprint.__str__ if fingerprint else None)


def certificate_names(subject: str, alternative: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The host names of a certificate, by its subject as text and its dNSNames, each once in normal
    spelling with the name as it is written (empty if that is the same)."""
    names: dict[str, str] = {}
    for found in _COMMON_NAME.finditer(subject[:4096]):
        raw = found[1].strip().encode()
        name = normalise_name(raw)
        if _HOST.fullmatch(name):
            names[name] = raw_name(raw, name)
    for written in alternative:
        raw = written.encode()
        name = normalise_name(raw)
        if 0 < len(name) <= 255 and len(names) < MAX_NAMES:
            names.setdefault(name, raw_name(raw, name))
    yield from names.items()


def text_of(found: Object, key: str) -> str:
    """The text under `key`, empty if there is none."""
    value = found.get(key)
    return value if isinstance(value, str) else ""


def object_of(found: Object, key: str) -> Object:
    """The object under `key`, an empty one if there is none."""
    value = found.get(key)
    return value if isinstance(value, dict) else NO_OBJECT


def objects_of(found: Object, key: str, limit: int) -> list[Object]:
    """The objects in the list under `key`, of its first `limit` values."""
    value = found.get(key)
    if not isinstance(value, list):
        return []
    return [each for each in value[:limit] if isinstance(each, dict)]


def texts_of(found: Object, key: str, limit: int) -> list[str]:
    """The texts in the list under `key`, of its first `limit` values; a single text is a list of
    one."""
    value = found.get(key)
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return []
    return [each for each in value[:limit] if isinstance(each, str)]


def number_of(found: Object, key: str) -> int:
    """The number under `key`, also if it is text; 0 if there is none, or it is negative."""
    value = found.get(key)
    if isinstance(value, str):
        return int(value) if len(value) < 19 and value.isascii() and value.isdecimal() else 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < MAX_NUMBER else 0


def port_of(found: Object, key: str) -> int:
    """The port under `key`, 0 if there is none."""
    value = number_of(found, key)
    return value if value < 65536 else 0


@lru_cache(MAX_REMEMBERED)
def packed_ip(written: str) -> bytes | None:
    """The packed form of an IP address, None if the text is none. The zone of a link-local one (RFC
    4007) is left out, and IPv4 in IPv6 (``::ffff:192.0.2.1``) is the IPv4 address: servers that
    listen for both write it so."""
    packed = parse_ip(written.partition("%")[0])
    return packed[12:] if packed is not None and packed.startswith(_MAPPED) else packed


@lru_cache(MAX_REMEMBERED)
def packed_mac(written: str) -> bytes | None:
    """The packed form of a MAC address, None if the text is none."""
    return parse_mac(written)
