"""Which network a client stands in: address ranges and VLANs under a name and a class.

Of nested ranges the most specific wins. The whole order, first that matches:

1. a single address (/32, /128);
2. where a network is a VLAN and nothing else, that VLAN: in it the longest range that
   names the VLAN too, else the whole VLAN. A VLAN is where the device is plugged in,
   so it outweighs ranges that know nothing of VLANs;
3. the longest range.

At one prefix a range with VLANs goes before one without. A client that nothing takes
is outside, and what is outside cannot break a ban.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from netwatch.core.user_yaml import Fields, Problems
from netwatch.core.verdict import Network

CLASSES = ("service", "personal", "guest", "infrastructure")
"""The classes that may be written for a network or a device."""

CACHE_LIMIT = 65_536
"""Answers remembered; when that many are there, all are forgotten (and counted)."""

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""The ranges of the built-in network (RFC 1918, RFC 4193)."""

_VLAN_SPAN = re.compile(r"(\d+)\s*-\s*(\d+)")
_LAST_VLAN = 4094


@dataclass(frozen=True, slots=True)
class Scope:
    """A network with what it takes: `ranges`, `vlans`, or what matches both. Empty is
    no condition. `file` and `line` tell where it is written, for mistakes."""

    network: Network
    ranges: tuple[IPv4Network | IPv6Network, ...] = ()
    vlans: frozenset[int] = frozenset()
    file: str = ""
    line: int = 0


def built_in() -> list[Scope]:
    """The network where the configuration has none: private ranges, class service."""
    ranges = tuple(ip_network(text) for text in PRIVATE)
    return [Scope(Network("private", "service"), ranges)]


def read_scope(fields: Fields) -> Scope | None:
    """A network as written in netwatch.yaml, or None with the mistakes noted."""
    name = fields.text("name", required="a word that alerts and bans call it by")
    kind = fields.choice("class", CLASSES, None, required=f"one of {', '.join(CLASSES)}")
    authority = fields.text("authority")
    ranges = [_read_range(fields, line, text) for line, text in fields.texts("cidrs")]
    vlans = _read_vlans(fields)
    if not fields.has("cidrs") and not fields.has("vlans"):
        fields.add_problem(None, f"network '{name}' needs 'cidrs', 'vlans' or both: what it takes")
    elif not fields.mapping.get("cidrs") and not fields.mapping.get("vlans"):
        fields.add_problem(
            None, f"network '{name}' has neither a range nor a VLAN, so it takes nothing"
        )
    fields.reject_unknown()
    if not name or kind is None or None in ranges:
        return None
    whole = tuple(item for item in ranges if item is not None)
    return Scope(Network(name, kind, authority), whole, vlans, fields.file, fields.line_of())


def _read_range(fields: Fields, line: int, text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        right = ip_network(text, strict=False)
        message = f"range '{text}' has bits set behind its prefix; did you mean {right}?"
    except ValueError:
        message = f"'{text}' is not a range of addresses, expected one like 10.20.0.0/16"
    fields.problems.add(fields.file, line, message)
    return None


def _read_vlans(fields: Fields) -> frozenset[int]:
    found: set[int] = set()
    for line, item in fields.sequence("vlans"):
        span = _VLAN_SPAN.fullmatch(item.strip()) if isinstance(item, str) else None
        if span:
            first, last = int(span[1]), int(span[2])
        elif isinstance(item, int) and not isinstance(item, bool):
            first = last = item
        else:
            first = last = 0
        if 1 <= first <= last <= _LAST_VLAN:
            found.update(range(first, last + 1))
        else:
            expected = f"expected a number from 1 to {_LAST_VLAN}, or a span like 30-39"
            fields.problems.add(fields.file, line, f"VLAN {item!r} is wrong, {expected}")
    return frozenset(found)


def check(scopes: Sequence[Scope], problems: Problems) -> None:
    """Note names, ranges and VLANs that stand twice: one range has one class."""
    names: dict[str, Scope] = {}
    taken: dict[object, list[Scope]] = {}
    for scope in scopes:
        name = scope.network.name
        if name in names:
            first = names[name].line
            problems.add(scope.file, scope.line, f"network '{name}' stands twice (line {first})")
        names.setdefault(name, scope)
        for span in scope.ranges or (None,):
            for other in taken.setdefault(span, []):
                clash = _clash(scope, other, span)
                if clash:
                    problems.add(scope.file, scope.line, clash)
            taken[span].append(scope)


def _clash(scope: Scope, other: Scope, span: object) -> str:
    shared = scope.vlans & other.vlans
    if bool(scope.vlans) != bool(other.vlans) or (scope.vlans and not shared):
        return ""
    what = f"range {span}" if span else f"VLAN {min(shared, default=0)}"
    one, two = other.network, scope.network
    where = f"in network '{one.name}' (line {other.line}) and in '{two.name}'"
    if one.device_class != two.device_class:
        return (
            f"{what} stands {where} with two classes, {one.device_class} and "
            f"{two.device_class}; expected one"
        )
    return f"{what} stands twice, {where}; expected once"


class Networks:
    """Looks up the network of an address. `evictions` counts answers forgotten."""

    def __init__(self, scopes: Iterable[Scope]) -> None:
        self.scopes = tuple(scopes)
        self.evictions = 0
        self._cache: dict[tuple[bytes, int | None], Network | None] = {}
        self._vlans: dict[int, Scope] = {}
        # address length -> prefix length -> prefix -> scopes, those with VLANs first
        tables: dict[int, dict[int, dict[int, list[Scope]]]] = {4: {}, 16: {}}
        for scope in sorted(self.scopes, key=lambda scope: not scope.vlans):
            for span in scope.ranges:
                width = span.max_prefixlen
                prefixes = tables[width // 8].setdefault(span.prefixlen, {})
                key = int(span.network_address) >> (width - span.prefixlen)
                prefixes.setdefault(key, []).append(scope)
            if not scope.ranges:
                self._vlans.update(dict.fromkeys(scope.vlans, scope))
        self._tables = {size: sorted(table.items())[::-1] for size, table in tables.items()}

    def find(self, ip: bytes, vlan: int | None) -> Network | None:
        """The network of a packed address seen in `vlan` (None: untagged), else None."""
        key = (ip, vlan)
        try:
            return self._cache[key]
        except KeyError:
            pass
        decided = self._decide(ip, vlan)
        network = decided[0].network if decided else None
        if len(self._cache) >= CACHE_LIMIT:
            self.evictions += len(self._cache)
            self._cache.clear()
        self._cache[key] = network
        return network

    def explain(self, ip: bytes, vlan: int | None) -> tuple[Network | None, str]:
        """Like `find`, with the range or VLAN that decided, in words."""
        decided = self._decide(ip, vlan)
        if decided is None:
            tagged = "" if vlan is None else f" in VLAN {vlan}"
            return None, f"no range or VLAN of the configuration takes the address{tagged}"
        scope, length = decided
        if length is None:
            return scope.network, f"VLAN {vlan}"
        span = ip_network((ip, length), strict=False)
        return scope.network, f"range {span}" + (f" in VLAN {vlan}" if scope.vlans else "")

    def _decide(self, ip: bytes, vlan: int | None) -> tuple[Scope, int | None] | None:
        """The scope that takes an address, with the length of the prefix that it matched
        by, None where it was the VLAN alone."""
        width = len(ip) * 8
        address = int.from_bytes(ip)
        whole = self._vlans.get(vlan) if vlan is not None else None
        for length, prefixes in self._tables.get(len(ip), ()):
            for scope in prefixes.get(address >> (width - length), ()):
                if scope.vlans and vlan not in scope.vlans:
                    continue
                if whole and not scope.vlans and length < width:
                    continue
                return scope, length
        return (whole, None) if whole else None

    def __len__(self) -> int:
        return len(self.scopes)
