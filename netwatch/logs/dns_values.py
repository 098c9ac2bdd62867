"""DNS answers in logs: as records in text form, and as whole messages.

Records lead from the name asked for over aliases to addresses, as those of
`netwatch.dissect.loop.dns_records` do. AdGuard Home and the DNS server of Windows keep whole
messages.
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple, Unpack

from netwatch.core.addresses import ip_text
from netwatch.core.errors import ParseError
from netwatch.core.message import DnsInfo
from netwatch.core.names import normalise_name
from netwatch.logs.dns_text import Others
from netwatch.logs.json_values import packed_ip
from netwatch.logs.records import NOWHERE, Endpoint, LogEntry, LogName
from netwatch.protocols.dns import parse

MAX_RECORDS = 512
"""Maximum number of records of one answer that are read, as in packets."""
MAX_TTL = (1 << 31) - 1
"""The longest time to live in seconds (RFC 2181 section 8)."""

_ADDRESSES = frozenset({"A", "AAAA"})

MAX_MESSAGE = 65535
"""Maximum size of a DNS message in bytes (RFC 1035 section 4.2.2)."""


class TextRecord(NamedTuple):
    """A record of an answer: its owner in normal spelling, its type, its time to live in seconds
    (0 where the log has none) and its data as text."""

    owner: str
    type: str
    ttl: int
    data: str


def answer(asked: str, kind: str, rcode: str, records: Iterable[TextRecord]) -> DnsInfo:
    """What an answer for the name `asked` (in normal spelling) says: the aliases that `asked` leads
    to and the addresses of all of these. Records of other owners are left out."""
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
    """The same of a log that gives the data of the records with their times to live, but neither
    owners nor types. They are in the order of the answer: each name before the addresses is an
    alias of the one before it. Only for questions for addresses or aliases, because names in other
    answers (MX, NS, PTR) are no aliases."""
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
    """The names that a message shows as it does in packets; None where it shows none, or cannot be
    read. `when` is the time with its digits."""
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
