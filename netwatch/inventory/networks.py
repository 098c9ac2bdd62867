"""The network of a client: address ranges and VLANs under a name and a class.

Of nested ranges the most specific wins. The complete order, of which the first match decides:

1. a range that is a single address (/32, /128);
2. if a network consists only of VLANs, the client's VLAN: in it the range with the longest prefix
   that also names the VLAN, otherwise the whole VLAN. A VLAN is where the device is connected, so
   it outweighs ranges that name no VLAN;
3. the range with the longest prefix.

Of two ranges with the same prefix, one with VLANs goes before one without. A client that no network
matches is outside, and cannot violate a ban.

Sinkholes are the addresses that a filter answers with instead of those of a blocked name.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from netwatch.core.addresses import parse_ip
from netwatch.core.file_keys import Key, Kind, key, read_section
from netwatch.core.period import EXPECTED_USE, ExpectedUse
from netwatch.core.user_yaml import Fields, Problems, describe
from netwatch.core.value_kinds import TEXT, choice, texts
from netwatch.core.verdict import DeviceClass, Network

CLASSES = ("service", "personal", "guest", "infrastructure")
"""The classes that a network or a device may have in a file."""

CACHE_LIMIT = 65_536
"""Networks of clients in the cache; when it is full, it is cleared (and the entries are counted as
evicted)."""

MAX_SPANS_SHOWN = 10
"""Spans of VLANs to show in a message."""

BUILT_IN = "private"
"""The name of the network of a configuration that names none. It says nothing about the site."""

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
"""The ranges of the built-in network (RFC 1918, RFC 4193)."""

_VLAN_SPAN = re.compile(r"(\d{1,4})\s*-\s*(\d{1,4})")
_LAST_VLAN = 4094
_PREFIX_LENGTH = re.compile("[0-9]{1,3}")

NULL_ADDRESSES = frozenset({bytes(4), bytes(16)})
"""``0.0.0.0`` and ``::``, with which most filters answer; no host has them."""


Range = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Scope:
    """A network with its `ranges` and `vlans`. A client must match both; empty matches every
    client. `expected` is when it is used, None if not given. `file` and `line` are where it is
    written, for messages."""

    network: Network
    ranges: tuple[Range, ...] = ()
    vlans: frozenset[int] = frozenset()
    file: str = ""
    line: int = 0
    expected: ExpectedUse | None = None


def built_in() -> list[Scope]:
    """The network of a configuration without ``networks``: private ranges, class service."""
    ranges = tuple(ip_network(text) for text in PRIVATE)
    return [Scope(Network(BUILT_IN, "service"), ranges)]


def read_cidr(entry: Fields, declared: Key, line: int, text: str) -> Range | None:
    """A range, or a single address, in the list of a key; None if it is invalid, which is noted."""
    try:
        return _range(text)
    except ValueError:
        pass
    try:
        masked = ip_network(text, strict=False)
        found = f"{describe(text)}, which has bits set behind its prefix; did you mean '{masked}'?"
    except ValueError:
        found = describe(text)
    message = f"'{declared.name}': expected a range of addresses like 10.20.0.0/16, found {found}"
    entry.problems.add(entry.file, line, message)
    return None


def _range(text: str) -> IPv4Network | IPv6Network:
    """The result of `ip_network`, or its `ValueError`, but in a third of the time for the usual
    form, an address with a prefix length."""
    address, _, length = text.partition("/")
    packed = parse_ip(address)
    if packed is None or not _PREFIX_LENGTH.fullmatch(length):
        return ip_network(text)
    kind = IPv4Network if len(packed) == 4 else IPv6Network
    return kind((packed, int(length)))


def _read_vlans(entry: Fields, declared: Key, _: Path) -> frozenset[int]:
    found: set[int] = set()
    for line, item in entry.sequence(declared.name):
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
            expected = f"a number from 1 to {_LAST_VLAN}, or a span like 30-39"
            message = f"'vlans': expected {expected}, found {describe(item)}"
            entry.problems.add(entry.file, line, message)
    return frozenset(found)


_VLANS = Kind(
    "list of numbers and spans",
    {
        "type": "array",
        "items": {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": _LAST_VLAN},
                {"type": "string", "pattern": rf"^\s*{_VLAN_SPAN.pattern}\s*$"},
            ]
        },
    },
    _read_vlans,
    empty=frozenset(),
)

RANGES = texts("list of ranges", read_cidr)
"""Ranges of addresses, or single ones."""


@dataclass(slots=True, eq=False, repr=False)
class NetworkKeys:
    """The keys of an entry of ``networks``."""

    name: str = key(
        TEXT,
        "a unique name, used by bans and shown in alerts",
        required="a unique name, which bans use and alerts show",
    )
    class_: DeviceClass = key(
        choice(CLASSES, empty="unknown"),
        "`service`, `personal`, `guest` or `infrastructure`",
        required=f"one of {', '.join(CLASSES)}",
    )
    cidrs: tuple[Range, ...] = key(
        RANGES, "such as `10.20.0.0/16`, `2001:db8::/32`", shown="any address"
    )
    vlans: frozenset[int] = key(_VLANS, "1 to 4094, or a span like `30-39`", shown="any VLAN")
    authority: str = key(TEXT, "who is responsible for the network, shown in alerts", shown="empty")
    expected: ExpectedUse | None = key(
        EXPECTED_USE,
        "when the network is used: `always`, `never`, or days and times like "
        "`Mon-Fri 07:00-19:00`, several with commas. Silence then is a gap in a report",
        shown="working days",
    )


def read_scope(fields: Fields) -> Scope:
    """An entry of ``networks`` in netwatch.yaml. Mistakes are noted; the result has the valid
    parts, so that `check` compares it with others: a wrong class is ``unknown``, and if one of its
    ranges or VLANs is wrong, it has none."""
    before = len(fields.problems.found)
    keys = read_section(NetworkKeys, fields, Path())
    ranges, vlans, name = keys.cidrs, keys.vlans, keys.name
    mistakes = fields.problems.found[before:]
    if any(mistake.message.startswith(("'cidrs'", "'vlans'")) for mistake in mistakes):
        ranges, vlans = (), frozenset()
    if not fields.has("cidrs") and not fields.has("vlans"):
        expected = "'cidrs', 'vlans' or both"
        fields.add_problem(None, f"network '{name}': expected {expected}, found neither")
    elif not fields.mapping.get("cidrs") and not fields.mapping.get("vlans"):
        expected = "a range or a VLAN"
        fields.add_problem(None, f"network '{name}': expected {expected}, found empty lists")
    network = Network(name, keys.class_, keys.authority)
    return Scope(network, ranges, vlans, fields.file, fields.line_of(), keys.expected)


def check(scopes: Sequence[Scope], problems: Problems) -> None:
    """Note duplicate names, and ranges and VLANs that two networks have."""
    names: dict[str, Scope] = {}
    # The first network with a range and a VLAN, None if it has only one of them.
    owners: dict[tuple[object, int | None], Scope] = {}
    for scope in scopes:
        name = scope.network.name
        if not name:
            pass
        elif name in names:
            first = names[name].line
            message = f"duplicate network '{name}' (first on line {first})"
            problems.add(scope.file, scope.line, message)
        names.setdefault(name, scope)
        for span in scope.ranges or ((None,) if scope.vlans else ()):
            clashes: dict[int, Scope] = {}
            for vlan in scope.vlans or (None,):
                other = owners.get((span, vlan))
                if other is None:
                    owners[span, vlan] = scope
                else:
                    clashes[id(other)] = other
            for other in clashes.values():
                problems.add(scope.file, scope.line, _clash(scope, other, span))


def _clash(scope: Scope, other: Scope, span: object) -> str:
    what = f"range {span}" if span else f"VLAN {min(scope.vlans & other.vlans)}"
    first, second = other.network, scope.network
    where = f"first in network '{first.name}' on line {other.line}, again in '{second.name}'"
    known = {first.device_class, second.device_class} - {"unknown"}
    if len(known) > 1:
        classes = f"classes {first.device_class} and {second.device_class}"
        return f"duplicate {what} ({where}): expected one class, found {classes}"
    return f"duplicate {what} ({where})"


class Networks:
    """Looks up the network of a client. `scopes` are the networks as configured; `evictions` counts
    the cache entries that were evicted."""

    def __init__(self, scopes: Iterable[Scope]) -> None:
        self.scopes = tuple(scopes)
        self.evictions = 0
        self._cache: dict[tuple[bytes, int | None], Network | None] = {}
        self._misses: dict[tuple[bytes, int | None], str] = {}
        self._vlans: dict[int, Scope] = {}
        # Address length -> prefix length -> prefix -> scopes, those with VLANs first.
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
        """The network of a packed address in `vlan` (None: untagged), None if there is none."""
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
        """Like `find`, with the deciding range or VLAN, in words."""
        decided = self._decide(ip, vlan)
        missed = self._missed_range(ip, vlan, decided)
        if decided is None:
            tagged = "" if vlan is None else f" in VLAN {vlan}"
            nothing = f"no range or VLAN of the configuration matches the address{tagged}"
            return None, self.missed(ip, vlan) or nothing
        scope, length = decided
        if length is None:
            reason = f"VLAN {vlan}"
        else:
            span = ip_network((ip, length), strict=False)
            reason = f"range {span}" + (f" in VLAN {vlan}" if scope.vlans else "")
        return scope.network, f"{reason}; the more specific {missed}" if missed else reason

    def missed(self, ip: bytes, vlan: int | None) -> str:
        """For a client outside all networks: which range or VLAN would match with another VLAN tag,
        in words; empty if none would. A mirror port often removes the tags."""
        key = (ip, vlan)
        text = self._misses.get(key)
        if text is None:
            if len(self._misses) >= CACHE_LIMIT:
                self.evictions += len(self._misses)
                self._misses.clear()
            text = self._misses[key] = self._missed_range(ip, vlan, None) or self._missed_vlan(vlan)
        return text

    def _missed_range(
        self, ip: bytes, vlan: int | None, decided: tuple[Scope, int | None] | None
    ) -> str:
        """The most specific range that has the address but other VLANs, if it is more specific than
        the deciding one; in words."""
        width = len(ip) * 8
        address = int.from_bytes(ip)
        least = -1 if decided is None else width if decided[1] is None else decided[1]
        for length, prefixes in self._tables.get(len(ip), ()):
            if length <= least:
                return ""
            for scope in prefixes.get(address >> (width - length), ()):
                if scope.vlans and vlan not in scope.vlans:
                    span = ip_network((ip, length), strict=False)
                    what = f"range {span} of network '{scope.network.name}'"
                    return f"{what} matches only in {_vlans_text(scope.vlans)}, {_tag_text(vlan)}"
        return ""

    def _missed_vlan(self, vlan: int | None) -> str:
        """For a packet without a tag, the VLANs that are networks without ranges, in words."""
        if vlan is not None or not self._vlans:
            return ""
        return f"{_vlans_text(self._vlans)} would match without a range, {_tag_text(vlan)}"

    def _decide(self, ip: bytes, vlan: int | None) -> tuple[Scope, int | None] | None:
        """The scope that matches an address, with the length of the prefix that matched; None for
        the length if only the VLAN matched."""
        width = len(ip) * 8
        address = int.from_bytes(ip)
        by_vlan = self._vlans.get(vlan) if vlan is not None else None
        for length, prefixes in self._tables.get(len(ip), ()):
            for scope in prefixes.get(address >> (width - length), ()):
                if scope.vlans and vlan not in scope.vlans:
                    continue
                if by_vlan and not scope.vlans and length < width:
                    continue
                return scope, length
        return (by_vlan, None) if by_vlan else None

    def __len__(self) -> int:
        return len(self.scopes)


def _tag_text(vlan: int | None) -> str:
    return "but the packet has no VLAN tag" if vlan is None else "but the packet has another tag"


def _vlans_text(vlans: Iterable[int]) -> str:
    """VLANs in words, consecutive ones as a span: ``VLAN 30``, ``VLANs 7, 30-39``."""
    spans: list[list[int]] = []
    for vlan in sorted(vlans):
        if spans and vlan == spans[-1][1] + 1:
            spans[-1][1] = vlan
        else:
            spans.append([vlan, vlan])
    shown = [f"{low}-{high}" if low != high else f"{low}" for low, high in spans[:MAX_SPANS_SHOWN]]
    more = len(spans) - len(shown)
    text = ", ".join(shown) + (f" and {more} more" if more else "")
    return f"VLANs {text}" if len(spans) > 1 or "-" in text else f"VLAN {text}"


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
        """The configured ranges: the bytes of an address, the bits after the prefix, and it."""
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
