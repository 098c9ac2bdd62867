"""What lists have in common: names that are known, those that a filter offers with their counts,
places between the pages, and the list as a file, which is made of one page after the other while it
is sent.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from sqlalchemy import select

from netwatch.console.view import Download, View, bad_request, detail_of
from netwatch.core.errors import NetwatchError
from netwatch.core.filter_words import EXCLUDES
from netwatch.core.tabular import csv_line
from netwatch.formats.values import json_line
from netwatch.store import catalogue_tables as tables
from netwatch.store.database import QueryTimeoutError
from netwatch.store.incident_pages import (
    Cursor,
    IncidentFilter,
    incident_counts,
)
from netwatch.store.queries import unknown_words

MAX_OFFERED = 100
"""Values that a field of a filter offers."""

_PIECE = 1 << 16
_BATCH = 500
_OFFER_SECONDS = 1.0  # then names are offered without their counts

R_co = TypeVar("R_co", covariant=True)


class RowPage(Protocol[R_co]):
    """A page of a list of the store, and the place behind it; None after the last page."""

    @property
    def rows(self) -> Sequence[R_co]:
        """Its rows."""

    @property
    def following(self) -> Cursor | None:
        """Where the next page begins."""


def known_names(
    view: View, names: Sequence[str], words: Mapping[str, Sequence[str]] | None = None
) -> dict[str, frozenset[str]]:
    """The values with these names that are not empty, as filters. Raises `Refused` for one that is
    none of the `words` that its filter has, and for an app, ban or network that neither the
    configuration nor the store knows: its list would be empty, as if there had been no incident."""
    found: dict[str, frozenset[str]] = {}
    configured, fixed = view.console.config.words, words or {}
    for name, text in view.query.kept(names):
        if expected := fixed.get(name.removeprefix(EXCLUDES)):
            view.query.check(name, text, expected)
        found[name] = found.get(name, frozenset()) | {text}
    for name, texts in found.items():
        kind = name.removeprefix(EXCLUDES)
        if kind not in configured:
            continue
        for text, _ in unknown_words(view.console.catalogue, kind, texts, configured[kind]):
            raise bad_request(
                view.say(
                    "“%(name)s” cannot be “%(value)s”: neither the configuration nor the store"
                    " knows it.",
                    name=name, value=text[:40],
                ),
                name,
            )  # fmt: skip
    return found


def offers(view: View, of: str) -> dict[str, list[tuple[str, str]]]:
    """What the fields of a filter offer, by the name of the field: apps, networks and bans of the
    configuration and of the store, the devices seen last, and `of` a list of ``incidents`` or
    ``cases`` the sensors. Each with how many incidents it has, as a text; without, where counting
    takes too long."""
    policy, catalogue = view.console.config.policy, view.console.catalogue
    found: dict[str, Counter[str]] = {
        "app": Counter(dict.fromkeys((app for ban in policy.bans for app in ban.apps), 0)),
        "network": Counter(
            dict.fromkeys((each.network.name for each in view.console.config.networks.scopes), 0)
        ),
        "ban": Counter(dict.fromkeys((ban.id for ban in policy.bans), 0)),
    }
    with suppress(QueryTimeoutError):
        sorts = incident_counts(catalogue, IncidentFilter(), [*found], timeout=_OFFER_SECONDS)
        for values, count in sorts.items():
            for counts, value in zip(found.values(), values, strict=True):
                counts[value] += count
    with suppress(QueryTimeoutError), catalogue.database.reading(_OFFER_SECONDS) as connection:
        if view.role == "analyst":
            row = tables.incident_device.c
            number = row.violation + row.advisory + row.exempt
            last = select(row.device, number).order_by(row.last_seen.desc()).limit(MAX_OFFERED)
            found["device"] = Counter()
            for device, count in connection.execute(last):
                found["device"][device] += count
    if of in ("incidents", "cases"):
        found["sensor"] = view.console.sensor_counts.of(of)
    return {
        name: [
            (value, _offer(view, name, value, count))
            for value, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
            if value
        ][:MAX_OFFERED]
        for name, counts in found.items()
    }


def _offer(view: View, name: str, value: str, count: int) -> str:
    text = view.language.say_count("%(count)s incident", "%(count)s incidents", count)
    called = view.console.app_name(value) if name == "app" else value
    return text if called == value else f"{called}, {text}"


def cursor_of(view: View, *, is_number: bool = False) -> Cursor | None:
    """The place in a list where the page of an address begins: behind this row. `is_number` means
    that rows are sorted by a number, of which there is one then."""
    text = view.query.text("after")
    if not text:
        return None
    word, _, place = text.rpartition("/")
    moment, dot, identity = place.partition(".")
    is_place = dot and identity and _is_number(moment) and (not is_number or _is_number(word))
    if not is_place:
        raise bad_request(
            view.say("This place in the list cannot be read: begin at the first page.")
        )
    return Cursor(int(moment), identity, word)


def _is_number(text: str) -> bool:
    """Whether a text is a number that a database has."""
    return text.isascii() and text.isdigit() and len(text) <= 19 and int(text) < 1 << 63


def cursor_text(cursor: Cursor) -> str:
    """A place in a list, as the address has it."""
    place = f"{cursor.first_seen}.{cursor.id}"
    return f"{cursor.word}/{place}" if cursor.word else place


def all_rows(page: Callable[[int, Cursor | None], RowPage[R_co]]) -> Iterator[R_co]:
    """All rows of a list. `page` gives those behind a place, as many as are asked for."""
    following: Cursor | None = None
    while True:
        found = page(_BATCH, following)
        yield from found.rows
        following = found.following
        if following is None:
            return


def csv_file(
    view: View, name: str, filters: Sequence[str], columns: Sequence[str], rows: Iterable[object]
) -> Download:
    """A list as CSV, which is safe to open in a spreadsheet: of each row the attributes with the
    names of the columns. `name` is that of the list, and `filters` are the values of its address.
    """

    def lines() -> Iterator[bytes]:
        yield csv_row(columns)
        for row in rows:
            yield csv_row(getattr(row, column) for column in columns)

    return _file(view, f"{name}.csv", "text/csv; charset=utf-8", filters, lines(), is_csv=True)


def json_file(view: View, name: str, filters: Sequence[str], records: Iterable[str]) -> Download:
    """A list as JSON lines, of records that are text already; see `csv_file`."""
    lines = (f"{record}\n".encode() for record in records)
    return _file(view, f"{name}.jsonl", "application/x-ndjson", filters, lines, is_csv=False)


def _file(
    view: View, name: str, kind: str, filters: Sequence[str], lines: Iterable[bytes], *,
    is_csv: bool,
) -> Download:  # fmt: skip
    return Download(
        name, kind, joined(lines), name.partition(".")[0],
        detail={"filter": detail_of(view.query.kept(filters))}, cut=cut_line(view, is_csv=is_csv),
    )  # fmt: skip


def csv_row(cells: Iterable[object]) -> bytes:
    """A line of CSV (RFC 4180) of cells that are safe to open in a spreadsheet."""
    return csv_line(cells, "\r\n").encode()


def joined(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines in pieces of some size: to make one piece and to send it is a step of its own each.
    The lines before an error are given before it is raised."""
    piece, error = bytearray(), None
    try:
        for line in lines:
            piece += line
            if len(piece) >= _PIECE:
                yield bytes(piece)
                piece.clear()
    except NetwatchError as raised:
        error = raised
    if piece:
        yield bytes(piece)
    if error is not None:
        raise error


def cut_line(view: View, *, is_csv: bool) -> bytes:
    """The last line of an exported list that was cut, which says so."""
    text = view.say(
        "The export was cut here, since it took too long or the store could not be read: ask for a"
        " shorter period."
    )
    return csv_row([text]) if is_csv else f"{json_line({'cut': text})}\n".encode()


def saved_of(view: View, page: str) -> dict[str, Any]:
    """The filters that the viewer has of a page, with the names of those who share one."""
    saved = view.console.filters.of(view.who.account, page, view.role)
    owners = {each.owner for each in saved if each.owner}
    return {"saved": saved, "owners": view.console.names.shown(owners)}
