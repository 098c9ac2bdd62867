"""The lists of incidents and of cases, which are incidents as all sensors of a fleet saw them:
filters in the address, fifty a page, how they are spread over time, and the filtered list as a
file.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from netwatch.charts.days import event_words
from netwatch.console.filter_bar import excluding, filter_bar, span_of, tidied, time_inputs
from netwatch.console.histogram import (
    Histogram,
    Span,
    dated,
    events_of_policy,
    histogram,
    whole_span,
)
from netwatch.console.list_looks import (
    Column,
    look_of,
    order_of,
    plain_look,
    usual_columns,
)
from netwatch.console.lists import (
    all_rows,
    csv_file,
    cursor_of,
    cursor_text,
    json_file,
    known_names,
    offers,
    saved_of,
)
from netwatch.console.triage_form import (
    TRIAGE_FILTERS,
    chosen_by,
    triage_of_cases,
    triage_of_list,
)
from netwatch.console.view import (
    Answer,
    Page,
    Pairs,
    Refused,
    View,
    detail_of,
)
from netwatch.core.alert import contacts_of
from netwatch.core.filter_words import DESCENDING, EXCLUDES, WORDS, column_of
from netwatch.formats.alert_record import ContactCounts
from netwatch.language.sentences import mark
from netwatch.store.cases import is_centre
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import QueryTimeoutError
from netwatch.store.incident_pages import (
    PAGE,
    Cursor,
    IncidentFilter,
    IncidentPage,
    IncidentRow,
)
from netwatch.store.list_histograms import (
    case_bins,
    case_extent,
    incident_bins,
    incident_extent,
)
from netwatch.store.list_totals import case_total, incident_total
from netwatch.store.sorted_pages import Order, sorted_cases, sorted_incidents

QUERY_SECONDS = 8.0
"""Seconds that the query of a page may take."""

NAMES = ("app", "device", "network", "sensor", "ban")
"""The filters that have names."""

FILTERS = (
    "range", "from", "to", *WORDS, *NAMES, *TRIAGE_FILTERS, *excluding(*WORDS, *NAMES),
)  # fmt: skip
"""The values of an address that filter the list."""

COLUMNS = ("first_seen", "last_seen", "id", "verdict", "severity", "confidence", "app", "device",
           "network", "ban", "kind", "outcome", "state")  # fmt: skip
"""The columns that the CSV files of incidents and of cases have."""

INCIDENT_COLUMNS = (*COLUMNS, "sensor")
"""The columns of the CSV file of incidents."""

TOTAL_SECONDS = 1.0
"""Seconds that it may take to count the rows of a list; it is shown without the number then."""

COUNTS = tuple(field.name for field in fields(ContactCounts))
"""The counts of an incident that lists have."""

NEWEST = "-first_seen"
"""The order of the lists, unless the address has another one."""

_SHOWN_SENSORS = 2

PROOFS = ("community_id", "time")
"""What speaks for it that the incidents of a case are one."""

CASE_FILTERS = (
    "range", "from", "to", *WORDS, *NAMES, "joined", *TRIAGE_FILTERS,
    *excluding(*WORDS, *NAMES, "joined"),
)  # fmt: skip
"""The values of an address that filter the list."""

CASE_COLUMNS = (*COLUMNS, "joined_by", "sensors", "seen_by", *COUNTS)
"""The columns of the CSV file: those of incidents, how many sensors saw it and which, and counts
that are not added up where sensors saw the same flows."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An incident of a list, or a case. `device` is a pseudonym before an auditor, and `ip` is
    empty. `sensor` is what saw it; of a case `sensors` is how many did, and `seen_by` those that
    its record names."""

    id: str
    first_seen: str
    last_seen: str
    verdict: str
    severity: str
    confidence: str
    app: str
    app_id: str
    device: str
    ip: str
    network: str
    sensor: str
    ban: str
    kind: str
    outcome: str
    state: str
    zone: ZoneInfo
    joined_by: str
    sensors: int
    seen_by: tuple[str, ...]
    contacts: int
    lookups: int
    handshakes: int
    flows: int
    bytes_out: int
    bytes_in: int

    @property
    def first_sensors(self) -> tuple[str, ...]:
        """The sensors that the list names."""
        return self.seen_by[:_SHOWN_SENSORS]

    @property
    def more(self) -> int:
        """How many others saw it."""
        return self.sensors - len(self.first_sensors)


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that can be filtered and sorted.

    Its CSV file has all `columns`, its table those that are `shown`. `wanted` is the filter in the
    address of the page; it raises `Refused` for a value that cannot be. Of what is wanted, `page`
    reads some rows in an order, `total` counts all, `bins` counts those that began in each of some
    spans of time (ns), and `extent` is the span in which all began; the last three are None after a
    time-out (s). `triage` has what a page shows of the triage of its rows, by their ids. The
    histogram is called `title`."""

    name: str
    filters: tuple[str, ...]
    columns: tuple[str, ...]
    shown: tuple[Column, ...]
    wanted: Callable[[View], IncidentFilter]
    page: Callable[..., IncidentPage]
    total: Callable[[Catalogue, IncidentFilter, float], int | None]
    bins: Callable[[Catalogue, IncidentFilter, Sequence[Span], float], list[int] | None]
    extent: Callable[[Catalogue, IncidentFilter, float], Span | None]
    triage: Callable[[View, Sequence[str]], dict[str, Any]]
    title: str

    def show(self, view: View, **more: object) -> Answer:
        """One page of the list, the newest incidents first. After a mistake the form of the filter
        has what was asked for."""
        query, problem, place, spread = view.query, "", "", None
        pairs = query.kept(self.filters)
        try:
            if (tidy := tidied(view, self.filters, usual_columns(self.shown))) is not None:
                return tidy
            look = look_of(view, self._columns(view), NEWEST, self.filters)
            wanted = self.wanted(view)
            after = cursor_of(view, is_number=look.sort == "contacts")
            page = self.rows(view, wanted, PAGE, after)
            spread, total = self._spread(view, wanted, page, (*pairs, *look.pairs))
        except Refused as refused:
            page, total, problem = IncidentPage((), None), None, mistake_of(refused)
            place = place_of(refused)
            look = plain_look(view, self._columns(view), NEWEST, self.filters)
        following = page.following
        values = {
            "problem": problem,
            "problem_at": place,
            "bar": filter_bar(view, self.filters, total=total, look=look.pairs),
            **saved_of(view, f"/{self.name}"),
            "query": "" if problem else urlencode([*pairs, *look.pairs]),
            "look": look,
            "histogram": spread,
            "offers": offers(view, self.name),
            "rows": [listed(view, row) for row in page.rows],
            "older": [*pairs, *look.pairs, ("after", cursor_text(following))] if following else [],
            "newest": None if page.rows else self._newest(view),
            "is_first": not query.text("after"),
            "pairs": pairs,
            "wanted": {name: query.text(name) for name in self.filters} | time_inputs(view),
            "choices": WORDS,
            "sees_devices": view.role == "analyst",
            **self.triage(view, [row.id for row in page.rows]),
            **more,
        }
        status = 400 if problem else 200
        return Page(self.name, values, status=status, detail={"filter": detail_of(pairs)})

    def csv(self, view: View) -> Answer:
        """The filtered list as CSV, which is safe to open in a spreadsheet."""
        rows = (listed(view, row) for row in self._all(view))
        return csv_file(view, self.name, self.filters, self.columns, rows)

    def lines(self, view: View) -> Answer:
        """The filtered list as JSON lines: the records as they are stored."""
        records = (row.record for row in self._all(view))
        return json_file(view, self.name, self.filters, records)

    def rows(
        self, view: View, wanted: IncidentFilter, size: int, after: Cursor | None
    ) -> IncidentPage:
        """So many rows of a filter behind a place."""
        name, is_descending = order_of(view, self._columns(view), NEWEST)
        order = Order(name, is_descending != (name == NEWEST.removeprefix(DESCENDING)))
        return self.page(
            view.console.catalogue, wanted, order, after, size=size, timeout=QUERY_SECONDS
        )

    def _columns(self, view: View) -> tuple[Column, ...]:
        """The columns as the role may use them: the order of devices would say which pseudonym is
        whose."""
        if view.role == "analyst":
            return self.shown
        return tuple(
            replace(each, sorts=each.sorts and each.name != "device") for each in self.shown
        )

    def _spread(
        self, view: View, wanted: IncidentFilter, page: IncidentPage, pairs: Pairs
    ) -> tuple[Histogram | None, int | None]:
        """The histogram of the list, and how many rows there are: as many as its bars have, where
        they are of all times that are asked for."""
        if not page.rows and not view.query.text("after"):
            return None, 0
        found = self._histogram(view, wanted, pairs)
        if found is not None and not view.query.text("range"):
            return found, sum(bar.count for bar in found.bars)
        total = self.total(view.console.catalogue, wanted, TOTAL_SECONDS)
        return found if total else None, total

    def _histogram(self, view: View, wanted: IncidentFilter, pairs: Pairs) -> Histogram | None:
        """How the rows of the list are spread over time; None if that takes too long to count."""
        catalogue = view.console.catalogue
        try:
            is_open = wanted.since is None or wanted.until is None
            found = self.extent(catalogue, wanted, TOTAL_SECONDS) if is_open else None
        except QueryTimeoutError:
            return None
        span = whole_span(view, (wanted.since, wanted.until), found)
        if span is None:
            return None

        def counts(spans: Sequence[Span]) -> list[int] | None:
            return self.bins(catalogue, wanted, spans, TOTAL_SECONDS)

        events = events_of_policy(view, wanted.ban, wanted.app)
        events += self._first_blocked(view, wanted)
        return histogram(view, view.say(self.title), span, counts, pairs, events)

    def _first_blocked(self, view: View, wanted: IncidentFilter) -> list[tuple[int, str]]:
        """When a contact of the list was blocked for the first time, with the day in words."""
        blocked = frozenset({"blocked"})
        if wanted.outcome and not wanted.outcome & blocked:
            return []
        every = replace(wanted, since=None, until=None, outcome=blocked)
        oldest_first = Order(is_reversed=True)
        try:
            rows = self.page(
                view.console.catalogue, every, oldest_first, size=1, timeout=TOTAL_SECONDS
            ).rows
        except QueryTimeoutError:
            return []
        words = event_words(view.language)["block"]
        return [(row.first_seen, dated(view, view.day(row.first_seen), words)) for row in rows]

    def _newest(self, view: View) -> int | None:
        """When the newest row of the list without a filter began."""
        every = IncidentFilter()
        rows = self.page(view.console.catalogue, every, Order(), size=1).rows
        return rows[0].first_seen if rows else None

    def _all(self, view: View) -> Iterator[IncidentRow]:
        # What cannot be read is refused here, before anything is sent.
        wanted = self.wanted(view)
        self.rows(view, wanted, 1, None)
        return all_rows(partial(self.rows, view, wanted))


def show(view: View) -> Answer:
    """One page of the list, the newest incidents first."""
    return INCIDENTS.show(view)


def mistake_of(refused: Refused) -> str:
    """What is wrong with the filter of a list, to be said above its form; other refusals are
    raised."""
    if refused.status != HTTPStatus.BAD_REQUEST:
        raise refused
    return refused.reason


def place_of(refused: Refused) -> str:
    """The field of the form that has the mistake; empty if none has it alone."""
    return refused.parameters[0][0] if refused.parameters else ""


def words_of(
    view: View, names: Sequence[str], words: Mapping[str, Sequence[str]] = WORDS
) -> dict[str, Any]:
    """The words that the address asks for, by column, and those that it leaves out. Raises
    `Refused` for a word that cannot be."""
    every = (*names, *words)
    found = known_names(view, [*every, *excluding(*every)], words)
    wanted = {column_of(name): found[name] for name in every if name in found}
    excluded = {
        column_of(name): found[f"{EXCLUDES}{name}"]
        for name in every
        if f"{EXCLUDES}{name}" in found
    }
    return {**wanted, "excluded": excluded}


def _wanted(view: View) -> IncidentFilter:
    since, until = span_of(view)
    sets, chosen = words_of(view, NAMES), chosen_by(view)
    if "sensor" in sets and sets["sensor"] >= view.console.catalogue.sensors():
        del sets["sensor"]  # All is counted by day, without a look at each.
    return IncidentFilter(since=since, until=until, seen=1, chosen=chosen, **sets)


SHOWN = (
    Column("first_seen", mark("First seen"), sorts=True),
    Column("last_seen", mark("Last seen"), is_usual=False),
    Column("verdict", mark("Verdict"), sorts=True),
    Column("app", mark("App"), sorts=True),
    Column("device", mark("Device"), sorts=True),
    Column("network", mark("Network"), sorts=True),
    Column("kind", mark("Kind"), sorts=True),
    Column("outcome", mark("Outcome"), sorts=True),
    Column("ban", mark("Ban"), sorts=True),
    Column("triage", mark("Triage")),
    Column("sensor", mark("Sensor"), is_usual=False),
    Column("severity", mark("Severity"), sorts=True, is_usual=False),
    Column("contacts", mark("Contacts"), is_number=True, sorts=True, is_usual=False),
    Column("lookups", mark("Lookups"), is_number=True, is_usual=False),
    Column("handshakes", mark("Handshakes"), is_number=True, is_usual=False),
    Column("flows", mark("Flows"), is_number=True, is_usual=False),
    Column("bytes_out", mark("Bytes sent"), is_number=True, is_usual=False),
    Column("bytes_in", mark("Bytes received"), is_number=True, is_usual=False),
)
"""The columns that the table of incidents can have."""

INCIDENTS = Listing(
    "incidents", FILTERS, INCIDENT_COLUMNS, SHOWN, _wanted, sorted_incidents, incident_total,
    incident_bins, incident_extent, triage_of_list, mark("Incidents over time"),
)  # fmt: skip
"""The list of incidents."""


def listed(view: View, row: IncidentRow) -> Listed:
    """A row as this role may see it."""
    record = json.loads(row.record)
    device, kind = record["device"], record.get("kind") or {}
    sees_devices = view.role == "analyst"
    name = str(device["id"] or device["ip"] or "")
    return Listed(
        row.id, record["first_seen"], record["last_seen"], record["verdict"], record["severity"],
        record["confidence"], record["app"]["name"], record["app"]["id"],
        name if sees_devices else pseudonym(view, name),
        (device["ip"] or "") if sees_devices and device["ip"] != name else "",
        record["network"]["name"] or "", record["sensor"]["name"] or "", record["ban"]["id"],
        kind.get("value") or "",
        record.get("outcome") or "unknown", record["status"],
        view.console.zone_of(record["ban"]["id"]), record.get("joined_by") or "", row.sensors,
        tuple(dict.fromkeys(seen["sensor"] for seen in record.get("seen_by", ()))),
        contacts_of(record), **{count: record["counts"][count] for count in COUNTS},
    )  # fmt: skip


def pseudonym(view: View, device: str) -> str:
    """What a device is called before who may not know it: the same name for the same device."""
    digest = hmac.new(view.console.pseudonym_key, device.encode(), hashlib.sha256)
    return f"d-{digest.hexdigest()[:12]}"


def show_cases(view: View) -> Answer:
    """One page of the list, the newest cases first."""
    choices = {**WORDS, "joined": PROOFS}
    return CASES.show(view, choices=choices, is_centre=is_centre(view.console.catalogue))


def _wanted_cases(view: View) -> IncidentFilter:
    sets = words_of(view, NAMES, {**WORDS, "joined": PROOFS})
    (since, until), chosen = span_of(view), chosen_by(view, of_cases=True)
    return IncidentFilter(since=since, until=until, seen=1, chosen=chosen, **sets)


CASES_SHOWN = (
    *SHOWN[:2],
    *(replace(column, sorts=column.sorts and column.name != "device") for column in SHOWN[2:6]),
    Column("kind", mark("Kind"), sorts=True, is_usual=False),
    Column("outcome", mark("Outcome"), sorts=True, is_usual=False),
    Column("seen_by", mark("Seen by")),
    Column("ban", mark("Ban"), sorts=True),
    Column("triage", mark("Triage")),
    *(each for each in SHOWN if each.name in ("severity", "contacts")),
)
"""The columns that the table of cases can have."""

CASES = Listing(
    "cases", CASE_FILTERS, CASE_COLUMNS, CASES_SHOWN, _wanted_cases, sorted_cases, case_total,
    case_bins, case_extent, triage_of_cases, mark("Cases over time"),
)  # fmt: skip
"""The list of cases."""
