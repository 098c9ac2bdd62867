"""Sinkholes: the addresses that a filter answers with in place of those of a blocked name."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network

NULL_ADDRESSES = frozenset({bytes(4), bytes(16)})
"""``0.0.0.0`` and ``::``, with which most filters answer; no host has them."""


class Sinkholes:
    """The configured ranges, and `NULL_ADDRESSES`. Packed addresses are looked up by prefix."""

    def __init__(self, ranges: Iterable[IPv4Network | IPv6Network] = ()) -> None:
        self._prefixes: dict[tuple[int, int], set[int]] = {}
        for each in ranges:
            size = each.max_prefixlen // 8
            shift = each.max_prefixlen - each.prefixlen
            prefix = int(each.network_address) >> shift
            self._prefixes.setdefault((size, shift), set()).add(prefix)

    @property
    def spans(self) -> list[list[int]]:
        """The configured ranges: the bytes of an address, the bits behind the prefix, and it."""
        return sorted(
            [size, shift, prefix]
            for (size, shift), prefixes in self._prefixes.items()
            for prefix in prefixes
        )

    def __contains__(self, packed: bytes) -> bool:
        if packed in NULL_ADDRESSES:
            return True
        return any(
            len(packed) == size and int.from_bytes(packed) >> shift in prefixes
            for (size, shift), prefixes in self._prefixes.items()
        )
