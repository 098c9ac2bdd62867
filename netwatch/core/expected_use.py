"""When a network is used, as its configuration says: silence in that time is a gap, and silence
outside of it is none."""

import re
from dataclasses import dataclass
from pathlib import Path

from netwatch.core.file_keys import Key, Kind
from netwatch.core.user_yaml import Fields, describe

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""The days of the week as a configuration names them."""

WORKING_DAYS = range(5)
"""Monday to Friday, on which a network of which nothing is said is expected to be used."""

DAY_MINUTES = 24 * 60

_DAY = "|".join(DAYS)
_TIME = r"(\d{2}):(\d{2})"
_SPAN = re.compile(rf"({_DAY})(?:-({_DAY}))? {_TIME}-{_TIME}")

EXPECTED = "always, never, or days and times like 'Mon-Fri 07:00-19:00', several with commas"


@dataclass(frozen=True, slots=True)
class UseSpan:
    """Minutes of the day from `begin` up to, but without, `end`, on `days` of the week (0 is
    Monday)."""

    days: frozenset[int]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class ExpectedUse:
    """The times in which a network is used, on the clock of whoever asks; none for one that is
    never used."""

    spans: tuple[UseSpan, ...]

    def on(self, weekday: int) -> list[tuple[int, int]]:
        """The minutes of a day of the week."""
        return [(each.begin, each.end) for each in self.spans if weekday in each.days]


def parse_expected(text: str) -> ExpectedUse | None:
    """The times that a text says; None where it says none."""
    if text == "never":
        return ExpectedUse(())
    if text == "always":
        return ExpectedUse((UseSpan(frozenset(range(7)), 0, DAY_MINUTES),))
    spans = [_span(part.strip()) for part in text.split(",")]
    found = tuple(each for each in spans if each is not None)
    return ExpectedUse(found) if len(found) == len(spans) else None


def _span(text: str) -> UseSpan | None:
    found = _SPAN.fullmatch(text)
    if found is None:
        return None
    first, last, *times = found.groups()
    hours, minutes, end_hours, end_minutes = map(int, times)
    begin, end = hours * 60 + minutes, end_hours * 60 + end_minutes
    if minutes > 59 or end_minutes > 59 or not begin < end <= DAY_MINUTES:
        return None
    start, count = DAYS.index(first), 1
    if last is not None:
        count = (DAYS.index(last) - start) % 7 + 1
    return UseSpan(frozenset((start + number) % 7 for number in range(count)), begin, end)


def _read_expected(entry: Fields, declared: Key, _: Path) -> ExpectedUse | None:
    if not entry.has(declared.name):
        return None
    text = entry.text(declared.name)
    found = parse_expected(text)
    if found is None:
        message = f"'{declared.name}': expected {EXPECTED}, found {describe(text)}"
        entry.add_problem(declared.name, message)
    return found


EXPECTED_USE = Kind("text", {"type": "string", "minLength": 1}, _read_expected)
"""When a network is used."""
