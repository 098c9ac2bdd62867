"""Addresses in logs, packed. A log has few of them again and again, so that they are remembered."""

from functools import lru_cache

from netwatch.core.addresses import parse_ip, parse_mac

MAX_REMEMBERED = 16384
"""Maximum number of addresses of each kind that are remembered."""


_MAPPED = bytes(10) + b"\xff\xff"


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
