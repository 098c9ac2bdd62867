"""IP and MAC addresses, converted between their packed and their text form.

Every module converts through these functions, so an address has the same spelling everywhere.
"""

# `socket` makes enumerations of all its constants, which takes longer than all of this module.
from _socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from functools import lru_cache
from ipaddress import IPv6Address, ip_address


@lru_cache(16384)
def ip_text(packed: bytes) -> str:
    """A packed address (4 or 16 bytes) in its canonical text form (RFC 5952 for IPv6). Other sizes
    are pseudonyms, which a store has instead of addresses, and are decoded as text."""
    if len(packed) not in (4, 16):
        return packed.decode("ascii")
    return inet_ntop(AF_INET if len(packed) == 4 else AF_INET6, packed)


def mac_text(packed: bytes) -> str:
    """Six bytes as ``02:00:00:00:00:01``."""
    return packed.hex(":")


def is_randomised(mac: bytes) -> bool:
    """Whether a MAC address of a single device is locally administered (IEEE 802 section 8.4.4):
    the device has chosen it, and may choose another."""
    return mac[0] & 3 == 2


def is_loopback(host: str) -> bool:
    """Whether a name or an address can only mean this host (RFC 6761 section 6.3, RFC 6890): what
    is sent there crosses no network."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def parse_ip(text: str) -> bytes | None:
    """The packed form of an IPv4 or IPv6 address, or None if the text is not an address."""
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):  # ValueError: the text contains a NUL character
        return None


def parse_mac(text: str) -> bytes | None:
    """The packed form of a MAC address, or None if the text is not one.

    The digits may be separated by ``:``, ``-`` or Cisco's ``.``, or not at all.
    """
    lower = text.lower()
    try:
        packed = bytes.fromhex(lower.replace(":", "").replace("-", "").replace(".", ""))
    except ValueError:
        return None
    spellings = (packed.hex(":"), packed.hex("-"), packed.hex(".", 2), packed.hex())
    return packed if len(packed) == 6 and lower in spellings else None
