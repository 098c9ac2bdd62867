"""How the rows of a list are spread over time: bars that are as long as there are rows, in the time
zone of the viewer. Each is a link to the list of its time alone; script adds that several can be
dragged over (``static/console.js``), and the same numbers are in a table with the same links. Times
in which nothing was captured are hatched: there the absence of rows means nothing. The days of bans
and of measures are marked.
"""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby, pairwise

from netwatch.charts.days import MAX_MARKS, event_words
from netwatch.console.filter_bar import DAYS, TIMES, utc_text
from netwatch.console.rendering import address_of
from netwatch.console.view import Pairs, View
from netwatch.core.period import period
from netwatch.report.covering import ban_events, exemption_events
from netwatch.store.database import QueryTimeoutError
from netwatch.store.judged_coverage import uncaptured

Span = tuple[int, int]

_SECOND = 1_000_000_000
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_UNITS = (
    ("minutes", 6 * _HOUR),
    ("hour", 3 * _DAY),
    ("day", 93 * _DAY),
    ("week", 735 * _DAY),
    ("month", 3660 * _DAY),
)
"""What a bar is of, up to which length of the whole (s); of longer ones a year."""

_MINUTES = 5
_MOST = 400  # bars; times of 64 bits have not as many years

_WIDTH = 10  # of a bar, in the picture's own units
_BLANK_SECONDS = 1.0

HEIGHT = 48
"""The height of the picture, in its own units."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A day that is marked: what happened, in words, and where its rule is."""

    text: str
    x: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: its text, its count and height, the address of the list of its time, and when it
    begins and ends as addresses have it. Where it `is_blank` nothing was captured."""

    text: str
    count: int
    height: float
    address: str
    begin: str
    end: str
    is_blank: bool


@dataclass(frozen=True, slots=True)
class Histogram:
    """Bars with a title and a sentence on them, and the days that are marked in them."""

    title: str
    summary: str
    bars: tuple[Bar, ...]
    marks: tuple[Mark, ...]

    @property
    def has_blanks(self) -> bool:
        """Whether anything is hatched."""
        return any(bar.is_blank for bar in self.bars)

    @property
    def rows(self) -> Iterator[Bar]:
        """The rows of the table: the bars with a count, and those that are hatched, of which
        neighbours are one row."""
        for is_blank, group in groupby(self.bars, lambda bar: bar.is_blank):
            first, *others = group
            if not is_blank:
                yield from (bar for bar in (first, *others) if bar.count)
            elif not others:
                yield first
            else:
                yield replace(first, text=f"{first.text} \N{EN DASH} {others[-1].text}")


def spans_of_bars(view: View, begin: int, end: int) -> tuple[str, list[Span]]:
    """What a bar is of, and the spans (ns) of all bars of a time, which begin and end with it."""
    length = (end - begin) // _SECOND
    unit = next((unit for unit, most in _UNITS if length <= most), "year")
    edges = [begin]
    for edge in _edges(view, unit, begin):
        if edge >= end or len(edges) >= _MOST:
            break
        if edge > begin:
            edges.append(edge)
    return unit, [*pairwise([*edges, end])]


def days_until(view: View, at: int, count: int) -> list[Span]:
    """The last days (ns) in the viewer's time zone, of which the newest one has the moment `at`
    (ns)."""
    last = view.day(at)
    edges = [
        int(datetime.combine(last - timedelta(days=ago), time(), view.zone).timestamp()) * _SECOND
        for ago in range(count - 1, -2, -1)
    ]
    return [*pairwise(edges)]


def _edges(view: View, unit: str, begin: int) -> Iterator[int]:
    """When units begin in the viewer's time zone (ns), from the one in which `begin` is."""
    at = datetime.fromtimestamp(begin // _SECOND, UTC).astimezone(view.zone)
    if unit in ("hour", "minutes"):
        step = _HOUR if unit == "hour" else _MINUTES * _MINUTE
        first = int(at.replace(minute=0, second=0, microsecond=0).timestamp())
        yield from ((first + number * step) * _SECOND for number in range(_MOST))
        return
    day = at.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if unit == "week":
        day -= timedelta(days=day.weekday())
    elif unit in ("month", "year"):
        day = day.replace(day=1, **({"month": 1} if unit == "year" else {}))  # type: ignore[arg-type]
    for _ in range(_MOST):
        yield int(day.replace(tzinfo=view.zone).timestamp()) * _SECOND
        day = _next(unit, day)


def _next(unit: str, day: datetime) -> datetime:
    if unit == "month":
        return (day + timedelta(days=31)).replace(day=1)
    if unit == "year":
        return day.replace(year=day.year + 1)
    return day + timedelta(days=7 if unit == "week" else 1)


def histogram(
    view: View,
    title: str,
    span: Span,
    counts: Callable[[Sequence[Span]], list[int] | None],
    pairs: Pairs,
    events: Iterable[tuple[int, str]] = (),
) -> Histogram | None:
    """The bars of a list over a span (ns), whose address has these values besides its times; None
    if there is nothing to show, or it takes too long to find out. `events` are what is marked, as
    times (ns) and words."""
    unit, spans = spans_of_bars(view, *span)
    found = counts(spans)
    if found is None or not any(found):
        return None
    try:
        nothing = uncaptured(view.console.catalogue, spans, _BLANK_SECONDS)
    except QueryTimeoutError:
        return None
    most = max(found)
    blank = [not count and is_blank for count, is_blank in zip(found, nothing, strict=True)]
    others = [pair for pair in pairs if pair[0] not in ("range", *TIMES)]
    bars = []
    for (begin, end), count, is_blank in zip(spans, found, blank, strict=True):
        # Addresses have whole seconds: the end is that of the last one that is begun.
        times = utc_text(begin), utc_text(end + _SECOND - 1)
        height = max(2.0, HEIGHT * count / most) if count else 0.0
        address = address_of(view.place, [*zip(TIMES, times, strict=True), *others])
        text = _text(view, unit, begin, end)
        bars.append(Bar(text, count, round(height, 1), address, *times, is_blank))
    summary = view.say(
        "Most: %(count)s (%(when)s).",
        count=view.language.number(most), when=bars[found.index(most)].text,
    )  # fmt: skip
    hatched = view.say("Times without a capture are hatched.") if any(blank) else ""
    summary = f"{_unit_text(view, unit)} {summary} {hatched}".strip()
    return Histogram(title, summary, tuple(bars), tuple(_marks(spans, events)))


def _marks(spans: Sequence[Span], events: Iterable[tuple[int, str]]) -> Iterator[Mark]:
    """The marks of the events that are in the time of the bars, in its order."""
    ends = [end for _, end in spans]
    inside = sorted({each for each in events if spans[0][0] <= each[0] < ends[-1]})
    for at, words in inside[:MAX_MARKS]:
        index = bisect_right(ends, at)
        begin, end = spans[index]
        yield Mark(words, round(_WIDTH * (index + (at - begin) / (end - begin)), 1))


def events_of_policy(
    view: View, bans: Collection[str], apps: Collection[str]
) -> list[tuple[int, str]]:
    """The days of the bans with these ids and of these apps (of all where there are none), and of
    their exemptions: when they begin in the time zone of the ban (ns), and the day with what
    happens, in words."""
    policy, words, found = view.console.config.policy, event_words(view.language), []
    for ban in policy.bans:
        if (bans and ban.id not in bans) or (apps and not ban.apps & {*apps}):
            continue
        events = [*ban_events(ban), *exemption_events(ban.id, policy.exemptions)]
        for day, event in events:
            at = None if day is None else period(day, None, ban.timezone).start
            if day is not None and at is not None:
                found.append((at, f"{dated(view, day, words[event])} ({ban.id})"))
    return found


def dated(view: View, day: date, words: str) -> str:
    """What happened on a day."""
    return view.say("%(day)s: %(event)s", day=view.language.day(day), event=words)


def _text(view: View, unit: str, begin: int, end: int) -> str:
    """The time of a bar in words."""
    first, last = (
        datetime.fromtimestamp(at // _SECOND, UTC).astimezone(view.zone) for at in (begin, end - 1)
    )
    if unit in ("hour", "minutes"):
        return first.strftime("%Y-%m-%d %H:%M")
    if unit == "week" and first.date() != last.date():
        return f"{first:%Y-%m-%d} \N{EN DASH} {last:%Y-%m-%d}"
    return first.strftime({"month": "%Y-%m", "year": "%Y"}.get(unit, "%Y-%m-%d"))


def _unit_text(view: View, unit: str) -> str:
    say = view.say
    return {
        "minutes": say("One bar per five minutes."),
        "hour": say("One bar per hour."),
        "day": say("One bar per day."),
        "week": say("One bar per week."),
        "month": say("One bar per month."),
        "year": say("One bar per year."),
    }[unit]


def whole_span(
    view: View, wanted: tuple[int | None, int | None], found: Span | None
) -> Span | None:
    """The span (ns) of the bars of a list: the times that are asked for, and where they are open
    what was found; a quick range that ends now does so here as well."""
    since, until = wanted
    if until is None and view.query.text("range") in DAYS and since is not None:
        until = view.console.now()
    if since is None or until is None:
        if found is None:
            return None
        since = found[0] if since is None else since
        until = found[1] if until is None else until
    return (since, until) if since < until else None
