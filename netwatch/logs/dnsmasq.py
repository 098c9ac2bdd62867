"""dnsmasq and the pihole.log of Pi-hole, whose FTL is dnsmasq with lines of its own.

With ``log-queries=extra`` each line of a lookup begins with its serial number and the client, so
that queries and answers belong together. With plain ``log-queries`` only the query names the
client; a line after it belongs to it if dnsmasq answered at once (from its cache, its
configuration, or a list that blocks the name), because it logs nothing in between. Answers of other
servers then do not show for whom they are, and are left out.

An answer has one line for each alias and address. It is complete with its first address, or a
substitute for it; further addresses are left out. Each name is shown at the first line of the
answer that has it. Names are in lower case since dnsmasq converts them.

Lines of ``dnsmasq-dhcp`` in the same file tell who has which address.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.errors import RecordError
from netwatch.core.limited_dict import LimitedDict
from netwatch.core.message import AddressClaim, AddressClaimKind, DnsInfo
from netwatch.core.names import escape_bytes
from netwatch.logs.dns_values import (
    address,
    address_text,
    alias,
    carried_time,
    port,
    query_info,
    shown,
)
from netwatch.logs.records import (
    Carried,
    Endpoint,
    Lack,
    LogClaim,
    LogEntry,
    Place,
    ReaderContext,
    RecordReader,
    Sample,
)

MAX_LOOKUPS = 4096
"""Maximum number of lookups waiting for their answer; the oldest is forgotten."""

MAX_ALIASES = 32
"""Maximum number of aliases of one answer; further ones are left out."""

_LINE = re.compile(
    rb"(?:dnsmasq(-dhcp)?(?:\[\d+\])?: )?"
    rb"(?:(\d{1,10}) (?:([0-9a-fA-F.:]+(?:%\S{1,32})?)/(\d{1,5}) )?)?(\S.*)"
)
_CLIENT = re.compile(rb" \d{1,10} ([0-9a-fA-F.:]+(?:%[^ /]{1,32})?/\d{1,5}) ")
_QUERY = re.compile(rb"query\[([^\]\s]{1,24})\] (\S+) from (\S+)")
_ANSWER = re.compile(rb"(\S.{0,200}?) (\S+) is (\S.*)")
_DHCP = re.compile(
    rb"DHCP(ACK|REQUEST|NAK|RELEASE|DECLINE|REPLY)\(([^)\s]{1,32})\) (\S+) (\S+)(?: (\S+))?.*"
)
_BLOCKED = re.compile(
    rb"(?:gravity|regex|exactly|blacklisted|special domain|blocked|external|Rate-limiting|denied"
    rb"|regex denied|database)\b.*"
)
_NOT_PRINTED = frozenset({b"<name", b"unprintable>", b"<root>", b"error"})
_CLAIMS: dict[bytes, AddressClaimKind] = {
    b"ACK": "lease",
    b"REPLY": "lease",
    b"NAK": "nak",
    b"RELEASE": "release",
    b"DECLINE": "release",
}
_WITHOUT_SERIAL: tuple[Lack, ...] = ("client-port",)
_NOT_AN_ANSWER = (b"DS ", b"DNSKEY ", b"BOGUS ", b"SECURE", b"INSECURE", b"no DS")


def recognise(sample: Sample) -> int:
    """The number of lines of the sample that only dnsmasq writes."""
    found = 0
    for line, carried in zip(sample.lines, sample.carried, strict=True):
        if not (b"dnsmasq" in line or carried.program.startswith(("dnsmasq", "pihole-FTL"))):
            continue
        match = _LINE.match(line)
        text = match[5] if match else b""
        found += bool(_QUERY.fullmatch(text) or _DHCP.fullmatch(text) or _is_answer(text))
    return found


def _is_of_another(program: str) -> bool:
    """Whether a line in a shared file belongs to another program."""
    return bool(program) and not program.startswith(("dnsmasq", "pihole-FTL"))


def _is_answer(text: bytes) -> bool:
    return text.startswith((b"reply ", b"cached ", b"config ", b"forwarded ", b"gravity blocked "))


def joins(record: bytes) -> bytes | None:
    """What the lines of a lookup have in common: the client with its port."""
    found = _CLIENT.search(record)
    return found[1] if found else None


@dataclass(frozen=True, slots=True)
class _Lookup:
    """A lookup, which waits for its answer until it `is_answered`. With `alias_follows`, the next
    line is an alias. `asked_at` is the query, `places` are the lines of the answer so far, each
    with its name."""

    name: bytes
    kind: bytes
    client: Endpoint
    asked_at: Place | None = None
    places: tuple[tuple[bytes, Place | None], ...] = ()
    aliases: tuple[bytes, ...] = ()
    alias_follows: bool = False
    is_answered: bool = False


class DnsmasqReader(RecordReader):
    """Reads the records of one log of dnsmasq."""

    def __init__(self, context: ReaderContext) -> None:
        super().__init__(context)
        # By serial number, empty for the last query of a log without them.
        self._lookups: LimitedDict[bytes, _Lookup] = LimitedDict(MAX_LOOKUPS)

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """Read a line."""
        line = _LINE.match(record)
        if line is None or _is_of_another(carried.program):
            return ()
        text = line[5]
        if text.startswith(b"query["):
            return self._query(line, carried)
        if line[1] or carried.program == "dnsmasq-dhcp" or text.startswith(b"DHCP"):
            return self._claim(line, carried)
        if b" is " in text:
            return self._answer(line, carried)
        if not line[2]:
            self._lookups.pop(b"", None)
        return ()

    def _query(self, line: re.Match[bytes], carried: Carried) -> Iterable[LogEntry]:
        found = _QUERY.fullmatch(line[5])
        if found is None:
            if b"<name unprintable>" in line[5]:
                return ()
            raise RecordError("query-invalid")
        kind, name, source = found.groups()
        client = Endpoint(address(line[3] or source), port(line[4]) if line[4] else 0)
        serial = line[2] or b""
        when = carried_time(carried)
        self._remember(serial, _Lookup(name, kind, client, self._current.place(*when)))
        return shown(
            b"" if name in _NOT_PRINTED else name,
            query_info(kind),
            when,
            client,
            lacks=() if line[4] else _WITHOUT_SERIAL,
        )

    def _remember(self, serial: bytes, lookup: _Lookup) -> None:
        self._lookups[serial] = lookup
        self._lookups.move_to_end(serial)

    def _lookup(self, line: re.Match[bytes], serial: bytes) -> _Lookup | None:
        """The lookup of a line. Serial numbers restart with dnsmasq."""
        lookup = self._lookups.get(serial)
        if lookup is None or not line[3]:
            return lookup
        return lookup if lookup.client == (address(line[3]), port(line[4])) else None

    def _answer(self, line: re.Match[bytes], carried: Carried) -> Iterable[LogEntry]:
        found = _ANSWER.fullmatch(line[5])
        if found is None:
            return ()
        source, name, value = found.groups()
        serial = line[2] or b""
        lookup = self._lookup(line, serial)
        if source in (b"validation", b"dnssec-query") or value.startswith(_NOT_AN_ANSWER):
            return ()
        if lookup is None and line[3] and source == b"reply" and name not in _NOT_PRINTED:
            # The query was before the beginning of this log.
            lookup = _Lookup(name, b"", Endpoint(address(line[3]), port(line[4])))
        if lookup is None or lookup.is_answered:
            return ()
        of_name = name in (lookup.name, b"error") or parse_ip(_text(name)) is not None
        if not (of_name or lookup.alias_follows):
            # No alias leads from the name asked for to this one: with serial numbers it was looked
            # up for DNSSEC, without them it belongs to another query.
            if not serial:
                del self._lookups[serial]
            return ()
        if not of_name and len(lookup.aliases) < MAX_ALIASES:
            lookup = replace(lookup, aliases=(*lookup.aliases, name))
        places = (*lookup.places, (name, self._current.place(*carried_time(carried))))
        if value == b"<CNAME>":
            places = places[: MAX_ALIASES + 1]
            self._remember(serial, replace(lookup, alias_follows=True, places=places))
            return ()
        self._remember(serial, replace(lookup, is_answered=True))
        return self._shown(lookup, places, source, value, carried)

    def _shown(
        self,
        lookup: _Lookup,
        lines: tuple[tuple[bytes, Place | None], ...],
        source: bytes,
        value: bytes,
        carried: Carried,
    ) -> Iterable[LogEntry]:
        """The answer to a lookup in `lines`, the last of which has `value`."""
        if lookup.name in _NOT_PRINTED:
            return ()
        word = value.split(b" ", 1)[0]
        rcode, answers = _content(word)
        kind = query_info(lookup.kind).type if lookup.kind else ""
        aliases = tuple(dict.fromkeys(map(alias, lookup.aliases)))
        blocked = _BLOCKED.match(source) or value.startswith(b"blocked ")
        lacks: tuple[Lack, ...] = () if lookup.client.port else _WITHOUT_SERIAL
        # The first line of each name.
        places = dict(reversed(lines))
        every = (lookup.asked_at, *[place for _, place in lines])
        return shown(
            lookup.name,
            DnsInfo(kind, rcode, answers, aliases),
            carried_time(carried),
            lookup.client,
            outcome="blocked" if blocked else None,
            blocked_by=escape_bytes(source.replace(b" ", b"-")) if blocked else "",
            lacks=lacks if lookup.kind else (*lacks, "query-type"),
            # An answer that is an error, or to a question for an address, does not have the name.
            shown_at=places.get(lookup.name, lookup.asked_at),
            parts=tuple([place for place in every if place is not None]),
            aliases_at={alias(name): place for name, place in places.items()} if aliases else {},
        )

    def _claim(self, line: re.Match[bytes], carried: Carried) -> Iterable[LogEntry]:
        found = _DHCP.fullmatch(line[5])
        if found is None:
            return ()
        message, _, first, second, hostname = found.groups()
        kind = _CLAIMS.get(message)
        ip, mac = parse_ip(_text(first)), parse_mac(_text(second))
        if kind is None or ip is None:
            # A request that names no address yet, or an offer of another server.
            return ()
        if mac is None and message != b"REPLY":
            raise RecordError("mac-invalid")
        client = mac if mac is not None else second
        if kind != "lease":
            hostname = None
        claim = AddressClaim(
            kind, (ip,), mac, hostname=_host(hostname), client_id=client, server_id=b"dnsmasq"
        )
        return (LogClaim(*carried_time(carried), claim),)


def _content(word: bytes) -> tuple[str, tuple[tuple[str, int], ...]]:
    """The response code and the address in the value of a line. Lines have no TTL."""
    if found := address_text(word):
        return "NOERROR", ((found, 0),)
    text = _text(word)
    if text.startswith("NXDOMAIN"):
        return "NXDOMAIN", ()
    if text in ("SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"):
        return text, ()
    return "NOERROR", ()


def _host(name: bytes | None) -> str:
    return "" if name is None else escape_bytes(name)


def _text(text: bytes) -> str:
    return text.decode("latin-1")
