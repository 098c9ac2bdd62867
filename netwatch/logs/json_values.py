"""Values in logs, which anybody may have written: of JSON objects, of the type that is expected or
the value for "not there", and packed addresses, which recur.
"""

from collections.abc import Mapping
from functools import lru_cache

from netwatch.core.addresses import parse_ip, parse_mac

Object = Mapping[str, object]
"""A JSON object."""

NO_OBJECT: Object = {}
"""What takes the place of an object that is not there."""

MAX_NUMBER = 1 << 62
"""Greater numbers are not there: no count of bytes is greater, and no column holds them."""

MAX_REMEMBERED = 16384
"""Maximum number of addresses of each kind that are remembered."""


_MAPPED = bytes(10) + b"\xff\xff"


def text(found: Object, key: str) -> str:
    """The text under `key`, empty where there is none."""
    value = found.get(key)
    return value if isinstance(value, str) else ""


def inner(found: Object, key: str) -> Object:
    """The object under `key`, an empty one where there is none."""
    value = found.get(key)
    return value if isinstance(value, dict) else NO_OBJECT


def objects(found: Object, key: str, limit: int) -> list[Object]:
    """The objects in the list under `key`, of its first `limit` values."""
    value = found.get(key)
    if not isinstance(value, list):
        return []
    return [each for each in value[:limit] if isinstance(each, dict)]


def texts(found: Object, key: str, limit: int) -> list[str]:
    """The texts in the list under `key`, of its first `limit` values; a text alone is a list of
    one."""
    value = found.get(key)
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return []
    return [each for each in value[:limit] if isinstance(each, str)]


def number(found: Object, key: str) -> int:
    """The number under `key`, also where it is text; 0 where there is none, or it is negative."""
    value = found.get(key)
    if isinstance(value, str):
        return int(value) if len(value) < 19 and value.isascii() and value.isdecimal() else 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value < MAX_NUMBER else 0


def port(found: Object, key: str) -> int:
    """The port under `key`, 0 where there is none."""
    value = number(found, key)
    return value if value < 65536 else 0


@lru_cache(MAX_REMEMBERED)
def packed_ip(written: str) -> bytes | None:
    """The packed form of an IP address, None where the text is none. The zone of a link-local one
    (RFC 4007) is left out, and IPv4 in IPv6 (``::ffff:192.0.2.1``) is the IPv4 address: servers
    that listen for both write it so."""
    packed = parse_ip(written.partition("%")[0])
    return packed[12:] if packed is not None and packed.startswith(_MAPPED) else packed


@lru_cache(MAX_REMEMBERED)
def packed_mac(written: str) -> bytes | None:
    """The packed form of a MAC address, None where the text is none."""
    return parse_mac(written)
