"""Addresses between their packed and their text form, one spelling for all of netwatch."""

import re
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

_MAC = re.compile(r"[0-9a-f]{2}(([:-])[0-9a-f]{2}(\2[0-9a-f]{2}){4})|[0-9a-f]{4}(\.[0-9a-f]{4}){2}")
_BARE_MAC = re.compile(r"[0-9a-f]{12}")


@lru_cache(16384)
def ip_text(packed: bytes) -> str:
    """A packed address (4 or 16 bytes) in its canonical text form (RFC 5952 for IPv6)."""
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)


def mac_text(packed: bytes) -> str:
    """Six bytes as ``02:00:00:00:00:01``."""
    return packed.hex(":")


def parse_ip(text: str) -> bytes | None:
    """An address in text form, packed, or None where it is not one."""
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):  # ValueError of what no address holds, as a zero byte
        return None


def parse_mac(text: str) -> bytes | None:
    """A MAC with ``:``, ``-`` or Cisco's ``.`` (or nothing) between its digits, packed,
    or None where it is not one."""
    low = text.lower()
    if _MAC.fullmatch(low) or _BARE_MAC.fullmatch(low):
        return bytes.fromhex(re.sub("[^0-9a-f]", "", low))
    return None
