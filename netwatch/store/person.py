"""A person about whom a store has data: their identifiers, where these are mentioned, and whose a
pseudonym is.

Some words are theirs only: ids, MAC addresses, host names, pseudonyms. An address may have been
theirs for a time only, so a mention of it counts at these times. Words are found as whole words in
any text, whatever the context: a host name as a label of a name, an address in a list or reversed
in the name of a PTR query (RFC 1035 section 3.5, RFC 3596 section 2.5), a MAC address in each of
its spellings.

A pseudonym is resolved with the key that made it. It is a hash, so all possible devices are tried:
those of the inventory, the clients of the store, and all addresses of the configured networks. Each
time is noted in the journal before anything is returned.
"""

import ipaddress
import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select

from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.core.alert import EVIDENCE_KEYS
from netwatch.core.errors import NetwatchError
from netwatch.inventory.entry_table import Entry
from netwatch.inventory.networks import Scope
from netwatch.privacy import Keyring, SealedError, Sealing, key_id_of, pseudonym
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue

if TYPE_CHECKING:
    import pyarrow as pa

Span = tuple[int, int]
"""A time from, and until, ns, both included."""

_PLACES = frozenset({"source", *EVIDENCE_KEYS})
"""What names users' files, in records and facts. A folder may be called like a person, but its
content is not theirs for that."""

ALWAYS: Span = (-(1 << 63), (1 << 63) - 1)

MAX_TRIED = 1 << 20
"""Addresses of a network to try; of a larger one, only the stored ones are tried."""

NOBODYS = frozenset({"0.0.0.0", "::"})
"""Addresses of devices until they get a real one."""


class Person:
    """What is theirs: `macs`, `words` (ids, host names, owners, pseudonyms), and `addresses` (or
    pseudonyms of them) with the times at which they were. `numbers` are the clients in the
    catalogue that are theirs only, `shared` those with one of their addresses, with these times."""

    def __init__(
        self,
        *,
        macs: Iterable[str] = (),
        words: Iterable[str] = (),
        addresses: Mapping[str, Iterable[Span]] | None = None,
        numbers: Iterable[int] = (),
        shared: Mapping[int, Iterable[Span]] | None = None,
    ) -> None:
        self.macs = frozenset(macs)
        self.words = frozenset(words)
        self.addresses = {ip: joined(spans) for ip, spans in (addresses or {}).items()}
        self.numbers = frozenset(numbers)
        self.shared = {number: joined(spans) for number, spans in (shared or {}).items()}

    @cached_property
    def always(self) -> str:
        """A regular expression, for RE2 and Python, for everything that is theirs only."""
        parts = [*map(_word, sorted(self.words)), *map(_mac, sorted(self.macs))]
        parts += [_word(ip) for ip, spans in sorted(self.addresses.items()) if spans == (ALWAYS,)]
        return f"(?i)({'|'.join(parts)})" if parts else ""

    @cached_property
    def at_times(self) -> tuple[tuple[str, tuple[Span, ...]], ...]:
        """Regular expressions for addresses that were theirs for a time, with these times."""
        return tuple(
            (f"(?i){_word(ip)}", spans)
            for ip, spans in sorted(self.addresses.items())
            if spans != (ALWAYS,)
        )

    def is_mentioned(self, value: Any, since: int, until: int) -> bool:
        """Whether a text, or a text anywhere in a JSON value, mentions them; its content is from a
        time between these two (ns)."""
        patterns = [self.always] if self.always else []
        patterns += [
            pattern
            for pattern, spans in self.at_times
            if any(first <= until and since <= last for first, last in spans)
        ]
        compiled = [re.compile(pattern) for pattern in patterns]
        return any(pattern.search(text) for text in _texts(value) for pattern in compiled)

    def rows(self, table: "pa.Table", time: str) -> "pa.Array":
        """Which rows of facts are theirs, or mention them, as booleans. The column `time` has their
        times (ns)."""
        import pyarrow as pa
        from pyarrow import compute

        times = table.column(time)
        clients = table.column("client")
        chosen = compute.is_in(clients, value_set=pa.array(sorted(self.numbers), pa.int32()))
        for number, spans in self.shared.items():
            chosen = compute.or_(
                chosen, compute.and_(compute.equal(clients, number), _within(times, spans))
            )
        for name in table.column_names:
            if name in _PLACES:
                continue
            kind = table.schema.field(name).type
            if pa.types.is_dictionary(kind):
                kind = kind.value_type
            if not (pa.types.is_string(kind) or pa.types.is_list(kind)):
                continue
            column = table.column(name)
            if self.always:
                chosen = compute.or_(chosen, _mentions(column, self.always))
            for pattern, spans in self.at_times:
                found = _mentions(column, pattern)
                chosen = compute.or_(chosen, compute.and_(found, _within(times, spans)))
        return chosen


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans in order, those that overlap as one."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return tuple(found)


def _word(text: str) -> str:
    if parse_ip(text) is not None:
        return _address(text)
    if parse_mac(text) is not None:
        return _mac(text)
    return rf"(^|[^a-z0-9_-]){_escaped(text)}($|[^a-z0-9_-])"


def _mac(text: str) -> str:
    packed = parse_mac(text)
    assert packed is not None
    # Also within a DHCP client id in hexadecimal digits, which begins with its hardware type.
    return "[:.-]?".join(f"{octet:02x}" for octet in packed)


def _address(text: str) -> str:
    address = ipaddress.ip_address(text)
    reverse = _escaped(address.reverse_pointer)
    if address.version == 4:
        forward = rf"(^|[^0-9.]){_escaped(text)}($|[^0-9.]|\.($|[^0-9]))"
    else:
        forward = rf"(^|[^0-9a-f:]){_escaped(text)}($|[^0-9a-f:])"
    return rf"({forward}|(^|[^a-z0-9]){reverse})"


def _escaped(text: str) -> str:
    """A text as a regular expression. RE2 has no escapes for letters and for characters beyond
    ASCII."""
    return "".join(f"\\{c}" if c.isascii() and not c.isalnum() else c for c in text)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if key not in _PLACES:
                yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)


def _within(times: "pa.ChunkedArray", spans: Iterable[Span]) -> "pa.Array":
    """Which times are in one of the spans."""
    import pyarrow as pa
    from pyarrow import compute

    inside = pa.array([False] * len(times))
    for first, last in spans:
        inside = compute.or_(
            inside,
            compute.and_(compute.greater_equal(times, first), compute.less_equal(times, last)),
        )
    return inside


def _mentions(column: "pa.ChunkedArray", pattern: str) -> "pa.Array":
    """Which texts, or lists with a text, match a regular expression. Each distinct text is matched
    once."""
    import pyarrow as pa
    from pyarrow import compute

    column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], pa.string())
    if pa.types.is_list(column.type):
        if not pa.types.is_string(column.type.value_type):
            return pa.array([False] * len(column))
        inner = _mentions(pa.chunked_array([column.flatten()]), pattern)
        parents = compute.list_parent_indices(column).filter(inner)
        return compute.is_in(pa.array(range(len(column)), pa.int64()), value_set=parents)
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    found = compute.match_substring_regex(encoded.dictionary.cast(pa.string()), pattern)
    return compute.fill_null(found.take(encoded.indices), False)


@dataclass(frozen=True, slots=True)
class StoredClient:
    """A client. `ip` and `mac` are None for a sealed one that no key reads, `sensor` for one that
    several sensors may have seen."""

    number: int
    sensor: str | None
    ip: str | None
    mac: str | None
    network: str | None
    network_class: str | None
    pseudonym: str | None


def stored_clients(catalogue: Catalogue, sealing: Sealing | None) -> Iterator[StoredClient]:
    """All clients. Raises `NetwatchError`."""
    with catalogue.database.reading() as connection:
        rows = connection.execute(select(tables.client)).all()
    for row in rows:
        ip, mac = row.ip, row.mac
        if row.sealed is not None and sealing is not None:
            try:
                identity = sealing.unseal_client(bytes(row.sealed))
            except SealedError:
                pass
            else:
                ip, mac = identity.ip, identity.mac
        yield StoredClient(
            row.number, row.sensor, ip, mac, row.network, row._mapping["class"], row.pseudonym
        )


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose a pseudonym is: the name of the network, what the pseudonym was made from (an id, a MAC
    or an address), and what else is known. If several `sensors` know it, each may mean another
    device, if their sites call their networks alike."""

    network: str
    identity: str
    ips: tuple[str, ...] = ()
    macs: tuple[str, ...] = ()
    hostname: str | None = None
    owner: str | None = None
    sensors: tuple[str, ...] = ()


def write_journal(catalogue: Catalogue, user: str, text: str, reason: str) -> None:
    """Note that somebody asks whose a pseudonym is. Raises `NetwatchError`."""
    detail = json.dumps({"pseudonym": text, "reason": reason}, ensure_ascii=False)
    with catalogue.database.writing() as connection:
        connection.execute(
            insert(tables.journal).values(
                time=time.time_ns(), user=user, action="identify", detail=detail
            )
        )


def identify(
    text: str,
    keys: Keyring,
    entries: Iterable[Entry],
    clients: Iterable[StoredClient],
    scopes: Iterable[Scope],
) -> Identity | None:
    """Whose a pseudonym is; None if that is not found. Raises `NetwatchError` for a text that is
    not a pseudonym, and for one whose key is not at hand."""
    key_id = key_id_of(text)
    if key_id is None:
        raise NetwatchError(f"'{text}' is not a pseudonym, like p3f9a-k7q2m5xw4n6b3c2d")
    key = keys.named(key_id)
    if key is None:
        raise NetwatchError(
            f"{text} was made by the key {key_id}, which is not in the configuration (privacy:"
            " key, previous)"
        )
    devices, known, places = list(entries), list(clients), list(scopes)
    networks = {scope.network.name for scope in places}
    networks |= {client.network or "" for client in known}
    for network, identity in _candidates(devices, known, places, networks):
        if pseudonym(key, network, identity) == text:
            return _described(network, identity, devices, known)
    return None


def _candidates(
    entries: list[Entry], clients: list[StoredClient], scopes: list[Scope], networks: set[str]
) -> Iterator[tuple[str, str]]:
    """Everything that the pseudonym may stand for: network and identity."""
    for entry in entries:
        found = [entry.id, *map(ip_text, entry.ips)]
        found += map(mac_text, entry.macs)
        yield from ((network, name) for network in sorted(networks) for name in found)
    for client in clients:
        for identity in (client.ip, client.mac):
            if identity is not None:
                yield from ((network, identity) for network in sorted(networks))
    for scope in scopes:
        for span in scope.ranges:
            if span.num_addresses <= MAX_TRIED:
                yield from ((scope.network.name, str(address)) for address in span)


def _described(
    network: str, identity: str, entries: list[Entry], clients: list[StoredClient]
) -> Identity:
    """What is known about a device by its id, MAC or address."""
    ips, macs, sensors = set[str](), set[str](), set[str]()
    hostname = owner = None
    for entry in entries:
        own = {entry.id, *map(ip_text, entry.ips)}
        own |= set(map(mac_text, entry.macs))
        if identity in own:
            ips |= set(map(ip_text, entry.ips))
            macs |= set(map(mac_text, entry.macs))
            hostname, owner = hostname or entry.hostname, owner or entry.owner
    own_macs = frozenset(macs)
    for client in clients:
        # The same address in another network is somebody else's.
        is_there = client.ip == identity and (client.network or "") == network
        if client.ip and (is_there or client.mac == identity or client.mac in own_macs):
            ips |= {client.ip} - NOBODYS
            macs |= {client.mac} if client.mac else set()
            sensors |= {client.sensor} if client.sensor else set()
    return Identity(
        network,
        identity,
        tuple(sorted(ips)),
        tuple(sorted(macs)),
        hostname,
        owner,
        tuple(sorted(sensors)),
    )
