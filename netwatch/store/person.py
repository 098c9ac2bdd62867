"""The person that is to be erased: by what they are known, and where that is mentioned.

Some words are theirs only: ids, MAC addresses, host names, pseudonyms. An address may have been
theirs for a time only, so a mention of it counts at these times. Words are found as whole words in
any text, whatever it is in: a host name as a label of a name, an address in a list or reversed in
the name of a PTR query (RFC 1035 section 3.5, RFC 3596 section 2.5), a MAC address in each of its
spellings.
"""

import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.alert import EVIDENCE_KEYS

if TYPE_CHECKING:
    import pyarrow as pa

Span = tuple[int, int]
"""A time from, and until, ns, both included."""

_PLACES = frozenset({"source", *EVIDENCE_KEYS})
"""What names files of users, in records and facts. A folder may be called like a person, and that
does not make what is in it theirs."""

ALWAYS: Span = (-(1 << 63), (1 << 63) - 1)


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
        self.shared = {each: joined(spans) for each, spans in (shared or {}).items()}

    @cached_property
    def always(self) -> str:
        """A regular expression, of RE2 and of Python, for all that is theirs only."""
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
        """Whether a text, or a text anywhere in a JSON value, mentions them; what it says is of a
        time between these two (ns)."""
        patterns = [self.always] if self.always else []
        patterns += [
            pattern
            for pattern, spans in self.at_times
            if any(first <= until and since <= last for first, last in spans)
        ]
        compiled = [re.compile(pattern) for pattern in patterns]
        return any(each.search(text) for text in _texts(value) for each in compiled)

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
    """A text as a regular expression. RE2 knows no escape of letters and of characters beyond
    ASCII."""
    return "".join(f"\\{each}" if each.isascii() and not each.isalnum() else each for each in text)


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
