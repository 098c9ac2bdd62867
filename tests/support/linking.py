"""Somebody without the key of pseudonyms who wants to know of whom they are.

He has everything that netwatch shows: rows of all tables, records, pages, comments of evidence
captures, the audit. He knows every address of the hidden network that is in use, and the address of
every device in clear. He believes what he can check: a rule that follows from the numbers of all
devices in clear, a hash that comes out right, a text that has an address beside a pseudonym.
"""

import hashlib
import re
import struct
import zlib
from base64 import b32encode
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

Row = Mapping[str, Any]
Links = dict[str, str]
"""Whose each pseudonym is said to be."""

PSEUDONYM = re.compile(r"p[0-9a-f]{4}-[a-z2-7]{16}")
SEEDS = range(1 << 12)
"""Seeds that he tries. The fast hash had 2^31, which a compiled program tries in seconds."""

_MIX, _LOW = 0x1E3779B97F4A7C15, (1 << 63) - 1
_CLEAR = 8
"""Devices in clear that a rule has to hold for before he believes it."""


@dataclass(frozen=True)
class Shown:
    """What netwatch shows: rows by table, each text as a unit (a record, a comment, a page line),
    and what is known: the addresses that are in use in the hidden network, with their MACs."""

    tables: Mapping[str, Sequence[Row]]
    texts: Sequence[str]
    present: Mapping[str, str]
    network: str

    @property
    def rows(self) -> Iterator[Row]:
        for found in self.tables.values():
            yield from found


def fast_hash(seed: int, row: Row, client: str) -> int:
    """The number that a flow had: `netwatch.dissect.loop.flow_lookup.FlowLookup.key`, written down
    anew."""
    sides = []
    for ip, port in ((client, row["client_port"]), (row["server_ip"], row["server_port"])):
        value, packed = seed + 1, ip_address(ip).packed
        for (word,) in struct.iter_unpack(">I", packed):
            value = ((value ^ word) * _MIX) & _LOW
            value ^= value >> 29
        value = ((value ^ port) * _MIX) & _LOW
        sides.append(value ^ (value >> 29))
    protocol = 6 if row["transport"] == "tcp" else 17
    mixed = (((sides[0] + sides[1]) ^ protocol) * _MIX) & _LOW
    mixed = ((mixed ^ (mixed >> 31)) * _MIX) & _LOW
    return ((mixed ^ (mixed >> 29)) & 0x7FFFFFFFFFFFFE00) | 0x100


def attacks() -> Mapping[str, Callable[[Shown], Links]]:
    """All that he tries, by name."""
    return {
        "seed": by_seed,
        "hash": by_hash,
        "order": by_order,
        "remainder": by_remainder,
        "count": by_count,
        "shared row": by_shared_row,
        "fingerprint": by_fingerprint,
        "text": by_text,
    }


def _is_hidden(row: Row) -> bool:
    return bool(PSEUDONYM.fullmatch(str(row.get("client_ip"))))


def _is_clear(row: Row) -> bool:
    return not _is_hidden(row) and "." in str(row.get("client_ip") or "")


def _base(flow: int) -> int:
    """A number of a flow without its generation."""
    return flow & ~0xFF


def by_seed(shown: Shown) -> Links:
    """Find the seed of each capture by a flow of a device in clear, then try all addresses."""
    flows: defaultdict[Any, list[Row]] = defaultdict(list)
    for row in shown.rows:
        if row.get("flow") is not None and row.get("server_ip") and row.get("client_port"):
            flows[row["capture"]].append(row)
    links: Links = {}
    for rows in flows.values():
        clear = next(filter(_is_clear, rows), None)
        if clear is None:
            continue
        wanted = _base(clear["flow"]) | 0x100
        for seed in SEEDS:
            if fast_hash(seed, clear, clear["client_ip"]) == wanted:
                for row in filter(_is_hidden, rows):
                    for ip in shown.present:
                        if fast_hash(seed, row, ip) == _base(row["flow"]) | 0x100:
                            links[row["client_ip"]] = ip
    return links


def _digests(shown: Shown, ip: str) -> Iterator[bytes]:
    """What an address may have been hashed to without a key."""
    mac = shown.present[ip]
    contents = [
        text.encode()
        for each in (ip, mac)
        for text in (each, f"{shown.network}{each}", f"{shown.network}\0{each}",
                     f'["{shown.network}", "{ip}", "{mac}"]')
    ]  # fmt: skip
    contents += [ip_address(ip).packed, bytes.fromhex(mac.replace(":", ""))]
    for content in contents:
        for name in ("md5", "sha1", "sha256", "blake2b", "blake2s"):
            yield hashlib.new(name, content).digest()
        for size in (8, 10, 16):
            yield hashlib.blake2b(content, digest_size=size).digest()
        yield zlib.crc32(content).to_bytes(4, "big")


def by_hash(shown: Shown) -> Links:
    """Look for hashes of addresses, as text and as numbers, in all rows and texts of a pseudonym,
    and in the pseudonym itself."""
    spelled: dict[str, str] = {}
    numbers: dict[int, str] = {}
    for ip in shown.present:
        for digest in _digests(shown, ip):
            for size in (4, 8, 10, 16, len(digest)):
                part = digest[:size]
                spelled[part.hex()] = ip
                spelled[b32encode(part).decode().lower().rstrip("=")] = ip
                if size <= 8:
                    for order in ("big", "little"):
                        value = int.from_bytes(part, order)  # type: ignore[arg-type]
                        shortened = (value, value >> 1, value & _LOW, value & 0x7FFFFFFF)
                        numbers |= dict.fromkeys(shortened, ip)
    links: Links = {}
    for names, words, values in _said_of(shown):
        found = {spelled[word] for word in words if word in spelled}
        found |= {numbers[value] for value in values if value in numbers and value > 1 << 20}
        for name in names:
            found |= {ip for word, ip in spelled.items() if word == name[6:]}
            if len(found) == 1:
                links[name] = next(iter(found))
    return links


def _said_of(shown: Shown) -> Iterator[tuple[set[str], set[str], set[int]]]:
    """The pseudonyms of each row and text, with its words and its numbers."""
    for row in shown.rows:
        values = [str(value) for value in row.values()]
        text = " ".join(values)
        if names := {*PSEUDONYM.findall(text)}:
            found = {value for value in row.values() if type(value) is int}
            yield names, {*re.findall(r"[0-9a-z]{8,}", text)}, found
    for text in shown.texts:
        if names := {*PSEUDONYM.findall(text)}:
            numbers = {int(word) for word in re.findall(r"\b\d{7,19}\b", text)}
            yield names, {*re.findall(r"[0-9a-z]{8,}", text)}, numbers


def _numbers(shown: Shown, hidden: bool) -> dict[tuple[str, str], dict[str, int]]:
    """The least number of each device, hidden or in clear, by table and column."""
    found: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for table, rows in shown.tables.items():
        for row in filter(_is_hidden if hidden else _is_clear, rows):
            for column, value in row.items():
                if type(value) is int:
                    known = found[table, column].get(row["client_ip"], value)
                    found[table, column][row["client_ip"]] = min(known, value)
    return found


def _ordered(addresses: Iterable[str]) -> list[str]:
    return sorted(addresses, key=ip_address)


def by_order(shown: Shown) -> Links:
    """Numbers that are given in the order of addresses."""
    clear, links = _numbers(shown, hidden=False), Links()
    for column, values in _numbers(shown, hidden=True).items():
        known = clear.get(column, {})
        by_number = sorted(known, key=known.__getitem__)
        if len({*known.values()}) < max(_CLEAR, len(known)) or len(values) != len(shown.present):
            continue
        if len({*values.values()}) == len(values):
            for turn in (1, -1):
                if by_number[::turn] == _ordered(known):
                    names = sorted(values, key=values.__getitem__)[::turn]
                    links |= dict(zip(names, _ordered(shown.present), strict=True))
    return links


def by_remainder(shown: Shown) -> Links:
    """Numbers from which the last bits of the address follow."""
    clear, links = _numbers(shown, hidden=False), Links()
    for column, values in _numbers(shown, hidden=True).items():
        known = clear.get(column, {})
        for modulus in (32, 64, 256, 1 << 16, 1 << 32):
            rests = {(number - int(ip_address(ip))) % modulus for ip, number in known.items()}
            if len(known) < _CLEAR or len(rests) != 1:
                continue
            for name, number in values.items():
                fitting = [
                    ip for ip in shown.present if (number - int(ip_address(ip))) % modulus in rests
                ]
                if len(fitting) == 1:
                    links[name] = fitting[0]
    return links


def by_count(shown: Shown) -> Links:
    """How many rows a device has, if that follows from its address."""
    counts = {}
    for table, rows in shown.tables.items():
        of: defaultdict[str, int] = defaultdict(int)
        for row in rows:
            if _is_hidden(row) or _is_clear(row):
                of[row["client_ip"]] += 1
        counts[table] = [{"client_ip": name, "count": count} for name, count in of.items()]
    counted = Shown(counts, (), shown.present, shown.network)
    return by_order(counted) | by_remainder(counted)


def by_shared_row(shown: Shown) -> Links:
    """The same packet, event or flow once under a pseudonym and once in clear."""
    links: Links = {}
    for columns in (("capture", "flow"), ("source", "packet"), ("capture", "sequence"),
                    ("community_id",)):  # fmt: skip
        places: defaultdict[Any, set[str]] = defaultdict(set)
        for row in shown.rows:
            key = tuple(row.get(column) for column in columns)
            if None not in key and row.get("client_ip"):
                places[key].add(row["client_ip"])
        for found in places.values():
            names = {each for each in found if PSEUDONYM.fullmatch(each)}
            others = found & shown.present.keys()
            if len(names) == len(others) == 1:
                links[names.pop()] = others.pop()
    return links


def by_fingerprint(shown: Shown) -> Links:
    """A JA4, or a name, that one device in clear alone has and one pseudonym alone: believed if the
    device in clear has an address of the hidden network."""
    links: Links = {}
    for column in ("tls_ja4", "name", "hostname"):
        users: defaultdict[str, set[str]] = defaultdict(set)
        for row in shown.rows:
            if row.get(column) and row.get("client_ip"):
                users[row[column]].add(row["client_ip"])
        for found in users.values():
            names = {each for each in found if PSEUDONYM.fullmatch(each)}
            others = found & shown.present.keys()
            if len(names) == len(others) == 1:
                links[names.pop()] = others.pop()
    return links


def _spelled(ip: str, mac: str) -> Collection[str]:
    plain = mac.replace(":", "")
    return (
        ip,
        ".".join(reversed(ip.split("."))) + ".in-addr",
        ip_address(ip).packed.hex(),
        mac,
        mac.replace(":", "-"),
        plain,
    )


def by_text(shown: Shown) -> Links:
    """An address or MAC in a row or text with a single pseudonym."""
    patterns = {
        ip: re.compile("|".join(rf"(?<![\w.]){re.escape(each)}(?!\w|\.\d)" for each in spelled))
        for ip, mac in shown.present.items()
        for spelled in [_spelled(ip, mac)]
    }
    links: Links = {}
    rows = (" ".join(map(str, row.values())) for row in shown.rows)
    for text in (*rows, *shown.texts):
        names = {*PSEUDONYM.findall(text)}
        if len(names) != 1:
            continue
        found = {ip for ip, pattern in patterns.items() if pattern.search(text.lower())}
        if len(found) == 1:
            links[names.pop()] = found.pop()
    return links
