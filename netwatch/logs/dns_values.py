"""Lookups in logs: addresses, record types and names as resolvers write them, answers as records in
text form, and whole messages, which AdGuard Home and the Windows DNS server keep.

Records lead from the name asked for over aliases to addresses, as in
`netwatch.dissect.loop.dns_records`. Resolvers write names as in a zone file (RFC 1035 section 5.1),
with or without the last dot, and use the names of record types and codes that IANA has registered.
Addresses and types recur in a log, so their values are cached.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Literal, NamedTuple, TypedDict, Unpack

from netwatch.core.addresses import ip_text, parse_ip
from netwatch.core.errors import ParseError, RecordError
from netwatch.core.message import DnsInfo
from netwatch.core.names import normalise_name, raw_name
from netwatch.core.protocol_numbers import RCODES, TYPES, rcode_text, type_text
from netwatch.core.verdict import Outcome
from netwatch.logs.fields import packed_ip
from netwatch.logs.records import NOWHERE, Carried, Endpoint, Lack, LogEntry, LogName, Place
from netwatch.protocols.dns import parse


class Others(TypedDict, total=False):
    """Further fields of `LogName` that an answer may have."""

    outcome: Outcome | None
    blocked_by: str
    client_host: str
    lacks: tuple[Lack, ...]
    shown_at: Place | None
    parts: tuple[Place, ...]


_NO_PLACES: Mapping[str, Place | None] = {}
_ESCAPED = re.compile(rb"\\(\d{3}|[^\d])", re.DOTALL)
_TYPE_NUMBER = re.compile(r"(?:TYPE|type=)(\d{1,5})", re.IGNORECASE | re.ASCII)
_TYPE_NAME = re.compile(r"[A-Z][A-Z0-9-]{0,15}", re.IGNORECASE | re.ASCII)
_KNOWN_TYPES = {name: name for name in TYPES.values()}
_KNOWN_RCODES = {name: name for name in RCODES.values()} | {"NOTIMPL": "NOTIMP"}


@lru_cache(maxsize=4096)
def address(text: bytes) -> bytes:
    """A packed address. The zone of a link-local one (RFC 4007) is left out, and IPv4 in IPv6
    (``::ffff:192.0.2.1``) is the IPv4 address. Raises `RecordError`."""
    packed = packed_ip(text.decode("latin-1"))
    if packed is None:
        raise RecordError("address-invalid")
    return packed


@lru_cache(maxsize=4096)
def address_text(text: bytes) -> str:
    """An address in its usual spelling, empty if the text is not one."""
    packed = parse_ip(text.decode("latin-1"))
    return "" if packed is None else ip_text(packed)


def port(text: bytes) -> int:
    """The number of a port. Raises `RecordError`."""
    number = int(text) if text.isdigit() and len(text) < 6 else 65536
    if number > 65535:
        raise RecordError("port-invalid")
    return number


@lru_cache(maxsize=1024)
def record_type(text: str) -> str:
    """The name of a record type as in DNS messages (``TYPE65`` is ``HTTPS``). Raises
    `RecordError`."""
    upper = text.upper()
    if upper in _KNOWN_TYPES:
        return upper
    if (found := _TYPE_NUMBER.fullmatch(text)) and (number := int(found[1])) < 65536:
        return type_text(number)
    if _TYPE_NAME.fullmatch(text):
        return upper
    raise RecordError("query-type-invalid")


@lru_cache(maxsize=256)
def response_code(text: str) -> str:
    """The name of a response code, given as a name or a number. Raises `RecordError`."""
    upper = text.strip().upper().replace("SERVER_FAILURE", "SERVFAIL")
    if upper in _KNOWN_RCODES:
        return _KNOWN_RCODES[upper]
    if upper.isdigit() and len(upper) < 5:
        return rcode_text(int(upper))
    if upper.startswith("RCODE") and upper[5:].isdigit():
        return upper
    raise RecordError("response-code-invalid")


@lru_cache(maxsize=1024)
def query_info(kind: bytes) -> DnsInfo:
    """What a query for records of this type contains. Raises `RecordError`."""
    return DnsInfo(record_type(kind.decode("latin-1")))


@lru_cache(maxsize=4096)
def answer_info(kind: bytes, rcode: bytes) -> DnsInfo:
    """What a response contains if only its type and code are known. Raises `RecordError`."""
    return DnsInfo(record_type(kind.decode("latin-1")), response_code(rcode.decode("latin-1")))


def unescaped(name: bytes) -> bytes:
    """The bytes of a name written as in a zone file."""
    if b"\\" not in name:
        return name
    return _ESCAPED.sub(_unescape, name)


def _unescape(found: re.Match[bytes]) -> bytes:
    text = found[1]
    return bytes((int(text) & 0xFF,)) if len(text) == 3 else text


def shown(
    name: bytes,
    dns: DnsInfo,
    when: tuple[int, int],
    client: Endpoint,
    server: Endpoint = NOWHERE,
    transport: Literal["tcp", "udp"] = "udp",
    aliases_at: Mapping[str, Place | None] = _NO_PLACES,
    **others: Unpack[Others],
) -> Iterable[LogName]:
    """What a lookup of `name` shows: with a response code in `dns` a ``dns-answer``, followed by
    the aliases (`with_aliases`); otherwise a ``dns-query``. `when` is the time with its digits,
    `aliases_at` are the records with aliases, if not the last one read. The name may end in a dot;
    the root shows nothing, as in packets."""
    if name[-1:] == b".":
        name = name[:-1]
    if not name:
        return ()
    asked = normalise_name(name)
    rcode = dns.rcode
    first = LogName(
        when[0],
        when[1],
        "dns-query" if rcode is None else "dns-answer",
        asked,
        client,
        server,
        transport,
        dns=dns,
        raw=raw_name(name, asked),
        **others,
    )
    return with_aliases(first, aliases_at)


def with_aliases(
    first: LogName, aliases_at: Mapping[str, Place | None] = _NO_PLACES
) -> Iterable[LogName]:
    """What an answer shows: the name asked for, followed by each alias that it leads to, as in
    packets."""
    dns, asked = first.dns, first.name
    if dns is None or dns.rcode is None or not dns.chain:
        return (first,)
    return first, *(
        replace(
            first,
            evidence="dns-cname",
            name=alias,
            raw="",
            asked=asked,
            shown_at=aliases_at.get(alias),
        )
        for alias in dns.chain
        if alias != asked
    )


def alias(name: bytes) -> str:
    """The normal spelling of an alias."""
    return normalise_name(unescaped(name))


def carried_time(carried: Carried) -> tuple[int, int]:
    """The time from a line's carrier, with its digits. Raises `RecordError` if there is none."""
    if carried.time is None:
        raise RecordError("time-missing")
    return carried.time, carried.time_digits


MAX_RECORDS = 512
"""Maximum number of records of one answer to read, as in packets."""
MAX_TTL = (1 << 31) - 1
"""The longest time to live in seconds (RFC 2181 section 8)."""

_ADDRESSES = frozenset({"A", "AAAA"})

MAX_MESSAGE = 65535
"""Maximum size of a DNS message in bytes (RFC 1035 section 4.2.2)."""


class TextRecord(NamedTuple):
    """A record of an answer: its owner in normal spelling, its type, its time to live in seconds
    (0 if the log has none) and its data as text."""

    owner: str
    type: str
    ttl: int
    data: str


def answer(asked: str, kind: str, rcode: str, records: Iterable[TextRecord]) -> DnsInfo:
    """What an answer for the name `asked` (in normal spelling) shows: the aliases that `asked`
    leads to and the addresses of all of these. Records of other owners are left out."""
    aliases: dict[str, list[str]] = {}
    addresses: list[tuple[str, str, int]] = []
    for record in records:
        if record.type in _ADDRESSES:
            packed = packed_ip(record.data)
            if packed is not None:
                addresses.append((record.owner, ip_text(packed), record.ttl))
        elif record.type == "CNAME":
            target = normalise_name(record.data.encode())
            if target:
                aliases.setdefault(record.owner, []).append(target)
    if not aliases:
        return DnsInfo(
            kind, rcode, tuple([(ip, ttl) for owner, ip, ttl in addresses if owner == asked])
        )
    chain: dict[str, None] = {}
    following = [asked]
    for name in following:
        for target in aliases.get(name, ()):
            if target != asked and target not in chain:
                chain[target] = None
                following.append(target)
    names = {asked, *chain}
    return DnsInfo(
        kind,
        rcode,
        tuple([(ip, ttl) for owner, ip, ttl in addresses if owner in names]),
        tuple(chain),
    )


def listed(kind: str, rcode: str, values: Iterable[tuple[str, int]]) -> DnsInfo:
    """The same for a log that gives the data of the records with their times to live, but neither
    owners nor types. They are in the order of the answer: each name before the addresses is an
    alias of the one before it. Only for questions for addresses or aliases, because names in other
    answers (MX, NS, PTR) are not aliases."""
    chain: dict[str, None] = {}
    addresses: list[tuple[str, int]] = []
    for data, ttl in values:
        packed = packed_ip(data)
        if packed is not None:
            addresses.append((ip_text(packed), ttl))
        elif kind in ("A", "AAAA", "CNAME") and data and not addresses and " " not in data:
            name = normalise_name(data.encode("utf-8", "surrogateescape"))
            if name:
                chain[name] = None
    return DnsInfo(kind, rcode, tuple(addresses), tuple(chain))


def message_names(
    message: bytes,
    when: tuple[int, int],
    client: Endpoint,
    server: Endpoint = NOWHERE,
    transport: Literal["tcp", "udp"] = "udp",
    **others: Unpack[Others],
) -> Iterable[LogEntry] | None:
    """The names that a message shows, as in packets; None if it shows none, or cannot be read.
    `when` is the time with its digits."""
    if not message or len(message) > MAX_MESSAGE:
        return None
    try:
        read = parse(message)
    except ParseError:
        return None
    return [
        LogName(
            when[0],
            when[1],
            each.evidence,
            each.name,
            client,
            server,
            transport,
            dns=read.dns,
            raw=each.raw,
            asked=each.asked,
            **others,
        )
        for each in read.names
    ] or None
