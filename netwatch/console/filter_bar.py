"""What is above each list: quick ranges of time, the filters that are set, each with an address
without it, and how many rows there are; and the addresses behind the values of rows, which filter
by them. All of it is links, so that it works without script, can be kept and passed on.

A quick range is in the address by its name (``range=7d``), so that a saved filter means the last
seven days on every day. Two times, ``from`` and ``to``, are a range of one's own and come first.
Times without an offset are of the viewer's time zone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from netwatch.console.list_looks import joined_columns
from netwatch.console.rendering import address_of, words
from netwatch.console.triage_form import state_words
from netwatch.console.view import Pairs, Redirect, View, bad_request
from netwatch.core.errors import NetwatchError
from netwatch.core.filter_words import EXCLUDES, WORDS
from netwatch.core.period import day_at, period
from netwatch.core.verdict import Ban

TIMES = ("from", "to")
"""The values of an address that are times."""

DAYS = {"24h": 1, "7d": 7, "30d": 30, "6m": 182}
"""The quick ranges that end now, by their length in days."""

IN_FORCE = "force"
"""The range that begins with the ban."""

MOMENTS = ("24h", "7d", "30d", IN_FORCE)
"""The quick ranges of lists."""

WHOLE_DAYS = ("7d", "30d", "6m", IN_FORCE)
"""The quick ranges of pages that are about whole days."""

_DAY = 86_400_000_000_000


def excluding(*names: str) -> tuple[str, ...]:
    """The filters that leave out what filters with these names ask for."""
    return tuple(f"{EXCLUDES}{name}" for name in names)


@dataclass(frozen=True, slots=True)
class QuickRange:
    """A range: its text, its address, and whether it is the one that is shown."""

    text: str
    address: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Chip:
    """A filter that is set: what it is of, its value, and the address without it. `leaves_out` is
    whether rows with the value are left out."""

    label: str
    value: str
    address: str
    leaves_out: bool = False


@dataclass(frozen=True, slots=True)
class FilterBar:
    """The bar of a list at a `place`, whose address has these values, of those with these `names`.
    `total` is how many rows there are, None if that is not known; `is_set` is whether a filter is.
    All its addresses keep the `look` of the list."""

    place: str
    names: tuple[str, ...]
    pairs: Pairs
    ranges: tuple[QuickRange, ...]
    chips: tuple[Chip, ...]
    total: int | None
    look: Pairs = ()

    @property
    def is_set(self) -> bool:
        """Whether there is a filter."""
        return bool(self.pairs)

    @property
    def without(self) -> str:
        """The address without any filter."""
        return address_of(self.place, [*self.look])

    def only(self, name: str, value: str) -> str:
        """The address that is filtered by a value as well; empty if it is already."""
        if not value or (name, value) in self.pairs:
            return ""
        kept = [pair for pair in self.pairs if pair[0] not in (name, f"{EXCLUDES}{name}")]
        return address_of(self.place, [*kept, (name, value), *self.look])

    def leaving_out(self, name: str, value: str) -> str:
        """The address without the rows that have a value; empty if the list has no such filter, or
        no row would be left."""
        excluded = (f"{EXCLUDES}{name}", value)
        if not value or excluded[0] not in self.names or (name, value) in self.pairs:
            return ""
        return address_of(self.place, [*self.pairs, excluded, *self.look])


def filter_bar(
    view: View,
    names: Sequence[str],
    ranges: Sequence[str] = MOMENTS,
    total: int | None = None,
    look: Pairs = (),
) -> FilterBar:
    """The bar of a list whose address is filtered by the values with these names. What cannot be
    read is shown as it is."""
    pairs = tuple(view.query.kept(names))
    others = [pair for pair in pairs if pair[0] not in ("range", *TIMES)]
    word = "" if any(name in TIMES for name, _ in pairs) else view.query.text("range")
    quick = tuple(
        QuickRange(
            _range_text(view, each),
            address_of(view.place, [("range", each), *others, *look]),
            each == word,
        )
        for each in ranges
    )
    labels, called = _labels(view), words(view.language)
    chips = tuple(
        Chip(
            labels.get(kind := name.removeprefix(EXCLUDES), kind),
            _shown(view, kind, value, called),
            address_of(view.place, [*(pair for pair in pairs if pair != (name, value)), *look]),
            kind != name,
        )
        for name, value in pairs
    )
    return FilterBar(view.place, tuple(names), pairs, quick, chips, total, look)


def span_of(view: View) -> tuple[int | None, int | None]:
    """The times (ns) between which the rows of a list are wanted; None is open. Raises `Refused`
    for what cannot be read."""
    since, until = (view.query.moment(name) for name in TIMES)
    word = view.query.word("range", MOMENTS)
    if since is not None and until is not None and until < since:
        raise bad_request(view.say("The end is before the start."), "to")
    if word and since is None and until is None:
        now = view.console.now()
        since = _in_force(view, now) if word == IN_FORCE else now - DAYS[word] * _DAY
    return since, until


def days_of_range(
    view: View, zone: str, bans: Sequence[Ban], most: int
) -> tuple[date, date] | None:
    """The first and the last day of a quick range in a time zone, `most` days apart at most; None
    if the address has none. Raises `Refused` for what cannot be read."""
    word = view.query.word("range", WHOLE_DAYS)
    if not word:
        return None
    now = view.console.now()
    last = day_at(now, zone)
    if word == IN_FORCE:
        starts = [ban.start for ban in bans if ban.start is not None and ban.start <= last]
        first = min(starts, default=last)
    else:
        first = last - timedelta(days=DAYS[word] - 1)
    return max(first, last - timedelta(days=most)), last


def tidied(view: View, names: Sequence[str], columns: str = "") -> Redirect | None:
    """The address of a list as it can be passed on: without the empty values that a form sends,
    with times in UTC, without a quick range next to them, and with the columns in one value, unless
    they are the usual `columns`. None if it is tidy already."""
    has_times = any(view.query.text(name) for name in TIMES)
    pairs = []
    for name, value in view.query.pairs:
        moment = view.query.moment(name) if name in TIMES and value.strip() else None
        text = utc_text(moment) if moment is not None else value.strip()
        if (text or name not in names) and not (name == "range" and has_times):
            pairs.append((name, text))
    if columns:
        pairs = joined_columns(pairs, columns)
    if sorted(pairs) == sorted(view.query.pairs):
        return None
    return Redirect(address_of(view.place, pairs))


def utc_text(moment: int) -> str:
    """A moment (ns) as addresses have it."""
    return datetime.fromtimestamp(moment // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_inputs(view: View) -> dict[str, str]:
    """The times of an address as the fields of a form have them, in the viewer's time zone. What
    cannot be read is left as it is."""
    return {name: _input(view, name) for name in TIMES}


def _input(view: View, name: str) -> str:
    try:
        moment = view.query.moment(name)
    except NetwatchError:
        return view.query.text(name)
    return "" if moment is None else local_text(view, moment)


def local_text(view: View, moment: int) -> str:
    """A moment (ns) as a field of a form has it, in the viewer's time zone."""
    at = datetime.fromtimestamp(moment // 1_000_000_000, UTC).astimezone(view.zone)
    return at.strftime("%Y-%m-%dT%H:%M:%S")


def _in_force(view: View, now: int) -> int | None:
    """When the ban of the address came into force, or the first of all bans (ns)."""
    ban = view.query.text("ban")
    begins = [
        begin
        for each in view.console.config.policy.bans
        if ban in ("", each.id)
        and (begin := period(each.start, None, each.timezone).start) is not None
        and begin <= now
    ]
    return min(begins, default=None)


def _range_text(view: View, word: str) -> str:
    say = view.say
    return {
        "24h": say("24 hours"),
        "7d": say("7 days"),
        "30d": say("30 days"),
        "6m": say("6 months"),
        IN_FORCE: say("Since in force"),
    }[word]


def _labels(view: View) -> Mapping[str, str]:
    say = view.say
    return {
        "range": say("Period"),
        "from": say("From"),
        "to": say("Until"),
        "verdict": say("Verdict"),
        "severity": say("Severity"),
        "confidence": say("Confidence"),
        "kind": say("Kind"),
        "outcome": say("Outcome"),
        "state": say("Status"),
        "triage": say("Triage"),
        "assignee": say("Assignee"),
        "app": say("App"),
        "device": say("Device"),
        "network": say("Network"),
        "ban": say("Ban"),
        "sensor": say("Sensor"),
        "joined": say("Matched by"),
        "reason": say("Reason"),
        "account": say("Account"),
        "action": say("Action"),
        "subject": say("Subject"),
        "name": say("Sensor"),
    }


def _shown(view: View, name: str, value: str, called: Mapping[str, str]) -> str:
    if name in TIMES:
        is_day = len(value) == len("2023-03-20")
        return value if is_day else _input(view, name).replace("T", " ")
    if name == "range" and value in {*DAYS, IN_FORCE}:
        return _range_text(view, value)
    if name == "triage":
        return state_words(view).get(value, value)
    is_word = name in {*WORDS, "joined", "action"}
    return called.get(value, value) if is_word else value
