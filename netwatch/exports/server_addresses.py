"""Addresses of the servers of apps, for a packet filter, from traffic that was seen.

An address counts where a lookup of a name of the apps was answered with it, or a handshake with
such a name went to it. One that any other name had in the same traffic is shared, and is not used:
to drop its packets would stop others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeGuard

from netwatch.core import observation_columns as columns
from netwatch.core.addresses import ip_text
from netwatch.core.errors import NetwatchError
from netwatch.core.message import HANDSHAKES
from netwatch.core.observation_batch import ObservationBatch
from netwatch.core.observation_columns import EVIDENCE
from netwatch.exports.export_format import ServerAddress
from netwatch.exports.preview import rows_of
from netwatch.exports.selection import Selection
from netwatch.rules.catalog import Catalog

MAX_CACHED_NAMES = 65_536
"""Names of which it is remembered whether they are of the apps; then all are forgotten."""

MAX_ADDRESSES = 1_000_000
"""Addresses of names, and of other names, that are kept for an export."""


class ServerAddresses:
    """Collects addresses. `strip` takes a search suffix off a name; `is_ours` says of an address
    whether it is one of the own network or of a filter, which is nobody's server."""

    def __init__(
        self,
        selection: Selection,
        catalog: Catalog,
        strip: Callable[[str], str],
        is_ours: Callable[[bytes], bool],
    ) -> None:
        self._selection, self._catalog = selection, catalog
        self._strip, self._is_ours = strip, is_ours
        self._names: dict[bytes, str] = {}
        self._others: set[bytes] = set()
        self._cache: dict[str, bool] = {}
        self.uncounted = 0

    def add(self, batch: ObservationBatch) -> None:
        """Take the addresses of a batch."""
        for row in rows_of(batch):
            evidence = EVIDENCE[batch.word(row, columns.WORD_EVIDENCE)]
            if evidence in HANDSHAKES:
                found = [batch.packed(batch.word(row, columns.WORD_SERVER_IP))]
            elif evidence == "dns-answer" and batch.word(row, columns.WORD_DNS_ANSWERS):
                answers = batch.answers(batch.word(row, columns.WORD_DNS_ANSWERS))
                found = [ip_address(text).packed for text, _ in answers]
            else:
                continue
            self._take(batch.text(batch.word(row, columns.WORD_NAME)), found)

    def _take(self, name: str, found: Iterable[bytes]) -> None:
        is_chosen = self._is_chosen(name)
        for packed in found:
            if packed in self._names or packed in self._others:
                known = True
            else:
                known = len(self._names) + len(self._others) < MAX_ADDRESSES
                self.uncounted += not known
            if known and is_chosen:
                self._names.setdefault(packed, name)
            elif known:
                self._others.add(packed)

    def _is_chosen(self, name: str) -> bool:
        known = self._cache.get(name)
        if known is None:
            hit = next(self._catalog.hits(self._strip(name)), None)
            known = hit is not None and self._selection.takes(hit.rule)
            if len(self._cache) >= MAX_CACHED_NAMES:
                self._cache.clear()
            self._cache[name] = known
        return known

    def found(self) -> tuple[list[ServerAddress], int]:
        """The addresses that only names of the apps had, sorted, and how many were shared."""
        usable = {
            packed: name for packed, name in self._names.items() if not self._is_nobodys(packed)
        }
        own = sorted((len(packed), packed) for packed in usable if packed not in self._others)
        addresses = [ServerAddress(ip_text(each), f"seen of {usable[each]}") for _, each in own]
        return addresses, len(usable) - len(own)

    def _is_nobodys(self, packed: bytes) -> bool:
        address = ip_address(packed)
        return (
            address.is_unspecified
            or address.is_loopback
            or address.is_link_local
            or address.is_multicast
            or self._is_ours(packed)
        )


def networks_of(database: Path, systems: Mapping[int, str]) -> Iterator[ServerAddress]:
    """The networks of autonomous systems, by number with the name of the holder, according to a
    database in MaxMind's format. Raises `NetwatchError` where it is damaged."""
    import maxminddb

    try:
        with maxminddb.open_database(str(database)) as reader:
            for network, record in reader:
                number = record["autonomous_system_number"] if _is_record(record) else None
                if isinstance(number, int) and number in systems:
                    yield ServerAddress(str(network), f"AS{number} {systems[number]}")
    except Exception as error:  # The decoder raises many types for damaged bytes.
        raise NetwatchError(f"{database}: cannot be read as a whole: {error}") from None


def _is_record(record: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(record, dict) and "autonomous_system_number" in record
