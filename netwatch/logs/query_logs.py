"""Query logs that resolvers keep with the outcome of each query: the database of Pi-hole FTL, and
``querylog.json`` of AdGuard Home.

The long-term database ``pihole-FTL.db`` is an SQLite file. Its queries are in the table
``query_storage``, whose columns `domain`, `client` and `additional_info` have ids of other tables
or, in rows taken over from earlier versions, texts; before version 10 of the schema they are in the
table ``queries``, which has been a view since then. Views in an untrusted file are not read. A row
is a lookup with its answer, of which only the kind is known
(https://docs.pi-hole.net/database/query-database/). The privacy levels of Pi-hole hide domains
(``hidden``) and clients (``0.0.0.0``).

AdGuard Home writes one JSON object for each answered lookup. ``IP`` is the client, ``T`` the time,
``QH`` and ``QT`` the question, ``Answer`` the DNS message that the client got in base64, and
``Result`` the decision of the filters (``internal/querylog`` and ``internal/filtering`` of AdGuard
Home). With ``anonymize_client_ip`` the last two bytes of an IPv4 address and the last ten of an
IPv6 address are zero: these are not device addresses.
"""

import binascii
from collections.abc import Iterable
from typing import Any, Literal

from netwatch.core.addresses import parse_ip
from netwatch.core.errors import RecordError
from netwatch.core.limited_dict import LimitedDict
from netwatch.core.message import DnsInfo
from netwatch.core.names import normalise_name
from netwatch.core.protocol_numbers import type_text
from netwatch.logs.dns_values import MAX_MESSAGE, Others, address, message_names, record_type, shown
from netwatch.logs.fields import json_object
from netwatch.logs.records import (
    NOWHERE,
    Carried,
    Endpoint,
    LogEntry,
    ReaderContext,
    RecordReader,
    Sample,
)
from netwatch.logs.times import number_time, rfc3339

MAX_IDS = 1 << 20
"""Maximum number of ids of each kind to remember; the oldest are forgotten, and rows with them
cannot be read."""

LATEST = 1 << 34
"""The first second since the epoch that is not the time of a lookup."""

QUERIES = ("query_storage", "queries")
"""The tables with the lookups; a database has one of them."""

REFERRED = {
    "domain": "domain_by_id",
    "client": "client_by_id",
    "additional_info": "addinfo_by_id",
}
"""The tables whose ids are in the columns of a lookup."""

TABLES = (*REFERRED.values(), *QUERIES)
"""The tables to read, those with ids first."""

_TYPES = {
    1: "A",
    2: "AAAA",
    3: "ANY",
    4: "SRV",
    5: "SOA",
    6: "PTR",
    7: "TXT",
    8: "NAPTR",
    9: "MX",
    10: "DS",
    11: "RRSIG",
    12: "DNSKEY",
    13: "NS",
    15: "SVCB",
    16: "HTTPS",
}
_OTHER_TYPES = 100
"""From here on a type is its number in DNS messages plus this."""

_BLOCKED = {
    1: "gravity",
    4: "regex-denied",
    5: "exactly-denied",
    6: "upstream-known-address",
    7: "upstream-null-address",
    8: "upstream-NXDOMAIN",
    9: "gravity-by-alias",
    10: "regex-denied-by-alias",
    11: "exactly-denied-by-alias",
    15: "database-busy",
    16: "special-domain",
    18: "upstream-EDE-15",
}
_BY_ALIAS = (9, 10, 11)
_REPLIES = {
    1: "NOERROR",
    2: "NXDOMAIN",
    3: "NOERROR",
    4: "NOERROR",
    5: "NOERROR",
    6: "NOERROR",
    7: "SERVFAIL",
    8: "REFUSED",
    9: "NOTIMP",
    11: "NOERROR",
    13: "NOERROR",
}
_ALIAS_INFO = 1
_COLUMNS = {"domain_by_id": "domain", "client_by_id": "ip", "addinfo_by_id": "content"}

_FILTERED = {
    3: "FilteredBlockList",
    4: "FilteredSafeBrowsing",
    5: "FilteredParental",
    6: "FilteredInvalid",
    8: "FilteredBlockedService",
}
"""Reasons for a blocked name. ``FilteredSafeSearch`` (7) and rewrites lead to other hosts."""

_OVER_TCP = ("doh", "dot", "dnscrypt")


def recognise_ftl(sample: Sample) -> int:
    """The number of tables in the sample that only FTL creates."""
    tables = {*sample.lines}
    if b"ftl" not in tables or not {b"query_storage", b"queries"} & tables:
        return 0
    return len(tables & {b"ftl", b"counters", *(table.encode() for table in TABLES)})


class FtlReader(RecordReader):
    """Reads the rows of one database."""

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        self._texts = {table: LimitedDict[int, str](MAX_IDS) for table in _COLUMNS}

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a row."""
        row = json_object(record)
        table = row.get("_table")
        if table in _COLUMNS:
            self._add(table, row)
            return ()
        if table not in QUERIES:
            return ()
        domain = self._text("domain_by_id", row.get("domain"))
        if domain == "hidden":
            return ()
        client, others = _ftl_client(self._text("client_by_id", row.get("client")))
        status = row.get("status")
        if isinstance(status, int) and (word := _BLOCKED.get(status)):
            others |= {"outcome": "blocked", "blocked_by": word}
        info = self._info(row)
        if not info.type:
            others["lacks"] = (*others.get("lacks", ()), "query-type")
        name = domain.encode("utf-8", "surrogatepass")
        return shown(name, info, number_time(row.get("timestamp"), LATEST), client, **others)

    def _add(self, table: str, row: dict[str, Any]) -> None:
        number, text = row.get("id"), row.get(_COLUMNS[table])
        if table == "addinfo_by_id" and row.get("type") != _ALIAS_INFO:
            return
        texts = self._texts[table]
        if isinstance(number, int) and isinstance(text, str):
            texts.pop(number, None)
            texts[number] = text

    def _text(self, table: str, value: object) -> str:
        """A text, or the text of an id. Raises `RecordError`."""
        found = self._texts[table].get(value) if isinstance(value, int) else value
        if not isinstance(found, str):
            raise RecordError("id-unknown" if isinstance(value, int) else "field-missing")
        return found

    def _info(self, row: dict[str, Any]) -> DnsInfo:
        """The type and the answer of a lookup."""
        number, reply, status = row.get("type"), row.get("reply_type"), row.get("status")
        if not isinstance(number, int):
            raise RecordError("field-missing")
        kind = _TYPES.get(number, "")
        if number >= _OTHER_TYPES:
            kind = type_text(number - _OTHER_TYPES)
        rcode = _REPLIES.get(reply) if isinstance(reply, int) else None
        chain: tuple[str, ...] = ()
        if status in _BY_ALIAS and rcode is not None:
            chain = self._alias(row.get("additional_info"))
        return DnsInfo(kind, rcode, chain=chain)

    def _alias(self, info: object) -> tuple[str, ...]:
        """The alias because of which a name was blocked."""
        found = self._texts["addinfo_by_id"].get(info) if isinstance(info, int) else info
        name = normalise_name(found.encode("utf-8", "replace")) if isinstance(found, str) else ""
        return (name,) if name else ()


def _ftl_client(text: str) -> tuple[Endpoint, Others]:
    ip = parse_ip(text.partition("%")[0])
    if ip is None or not any(ip):
        return NOWHERE, {"lacks": ("client",)}
    return Endpoint(ip), {}


def recognise_adguard(sample: Sample) -> int:
    """The number of lines of the sample that only AdGuard Home writes."""
    return sum(
        each is not None and each.keys() >= {"T", "QH", "QT", "IP"} for each in sample.objects
    )


class AdGuardReader(RecordReader):
    """Reads the records of one log of AdGuard Home."""

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a line."""
        found = json_object(record)
        host, kind, moment = found.get("QH"), found.get("QT"), found.get("T")
        if not isinstance(host, str) or not isinstance(kind, str) or not isinstance(moment, str):
            raise RecordError("field-missing")
        when = rfc3339(moment, self._times)
        client, others = _adguard_client(found)
        others |= _outcome(found.get("Result"))
        transport: Literal["tcp", "udp"] = "tcp" if found.get("CP") in _OVER_TCP else "udp"
        answer = found.get("Answer")
        if isinstance(answer, str):
            names = message_names(_message(answer), when, client, NOWHERE, transport, **others)
            if names is not None:
                return names
        others["lacks"] = (*others.get("lacks", ()), "answer")
        return shown(
            host.encode("utf-8", "surrogatepass"),
            DnsInfo(record_type(kind)),
            when,
            client,
            NOWHERE,
            transport,
            **others,
        )


def _adguard_client(found: dict[str, Any]) -> tuple[Endpoint, Others]:
    """The client, or its name if its address is anonymised."""
    text = found.get("IP")
    if not isinstance(text, str):
        raise RecordError("client-missing")
    ip = address(text.encode("utf-8", "surrogatepass"))
    if ip.endswith(bytes(2 if len(ip) == 4 else 10)):
        name = found.get("CID")
        return NOWHERE, {"lacks": ("client",), "client_host": name if isinstance(name, str) else ""}
    return Endpoint(ip), {}


def _outcome(result: object) -> Others:
    if not isinstance(result, dict) or result.get("IsFiltered") is not True:
        return {}
    reason = result.get("Reason")
    word = _FILTERED.get(reason, "") if isinstance(reason, int) else ""
    if not word:
        return {}
    service = result.get("ServiceName")
    named = f"{word}:{service[:64]}" if isinstance(service, str) and service else word
    return {"outcome": "blocked", "blocked_by": named}


def _message(text: str) -> bytes:
    """The bytes of a message in base64, empty if they are none."""
    if len(text) > MAX_MESSAGE * 2:
        return b""
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        return b""
