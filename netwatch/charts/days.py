"""What charts of a time show of its days: those without a capture are hatched, because the absence
of incidents means nothing there, and the days of the ban and of measures have a labelled rule.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from netwatch.charts import picture
from netwatch.charts.picture import data, iso
from netwatch.language.language import Language

Event = Literal["from", "extended", "until", "review", "exemption", "exemption-ends", "block"]

MAX_MARKS = 12
"""Days that are marked; exemptions are left out first."""

_DASHES: dict[Event, list[int]] = {
    "from": [1, 0],
    "extended": [8, 3],
    "until": [1, 0],
    "review": [2, 3],
    "exemption": [4, 2],
    "exemption-ends": [4, 2],
    "block": [6, 2, 2, 2],
}
_CHARACTER = 6.4
"""The mean width of a label's characters, in CSS pixels."""


@dataclass(frozen=True, slots=True)
class BanDay:
    """A day of the ban: it came into force, was extended, ended, or is due for review; or of a
    measure: an exemption began or ended, or a contact was blocked for the first time."""

    day: date
    event: Event


def event_words(language: Language) -> dict[Event, str]:
    """The words for what happened on a day."""
    return {
        "from": language.say("in force"),
        "extended": language.say("extended"),
        "until": language.say("ends"),
        "review": language.say("review"),
        "exemption": language.say("exemption"),
        "exemption-ends": language.say("exemption ends"),
        "block": language.say("first blocked"),
    }


def hatched(missing: Sequence[date], language: Language, x: Mapping[str, Any]) -> dict[str, Any]:
    """The layer of the days without a capture; adjacent days are one mark. `x` is the encoding of
    the days, whose field is ``from``."""
    rows = [
        {
            "from": iso(first),
            "to": iso(last + timedelta(days=1)),
            "text": no_capture(first, last, language),
        }
        for first, last in day_spans(missing)
    ]
    return {
        "data": data(rows),
        "mark": {"type": "rect", "fill": picture.HATCH},
        "encoding": {"x": x, "x2": {"field": "to"}, "description": {"field": "text"}},
    }


def day_spans(days: Sequence[date]) -> list[tuple[date, date]]:
    """The first and last day of each run of consecutive days."""
    found: list[tuple[date, date]] = []
    for day in sorted(days):
        if found and day - found[-1][1] == timedelta(days=1):
            found[-1] = found[-1][0], day
        else:
            found.append((day, day))
    return found


def on(what: str, text: str, language: Language) -> str:
    """The event on a day or days; the space before the colon depends on the language."""
    return language.say("%(what)s: %(text)s", what=what, text=text)


def no_capture(first: date, last: date, language: Language) -> str:
    """That nothing was captured from `first` to `last`."""
    return on(_days(first, last, language), language.say("no capture"), language)


def _days(first: date, last: date, language: Language) -> str:
    if first == last:
        return language.day(first)
    return language.say("%(first)s to %(last)s", first=language.day(first), last=language.day(last))


def blank_sentence(missing: Sequence[date], language: Language) -> str:
    """How many days are hatched, as a sentence after another; empty if none is."""
    if not missing:
        return ""
    return " " + language.say_count(
        "%(count)s day was not captured and is hatched.",
        "%(count)s days were not captured and are hatched.",
        len(missing),
    )


def _marked(days: Sequence[BanDay], language: Language) -> list[tuple[BanDay, str]]:
    """The days to mark with their labels; exemptions only if there is room."""
    words = event_words(language)
    counts = Counter(days)
    ranked = sorted(counts, key=lambda mark: (mark.event.startswith("exemption"), mark.day))
    return [
        (mark, words[mark.event] if counts[mark] == 1 else f"{words[mark.event]} ({counts[mark]})")
        for mark in sorted(ranked[:MAX_MARKS], key=lambda each: each.day)
    ]


def rules(
    marks: Sequence[BanDay],
    span: tuple[date, date],
    language: Language,
    plot: int,
    x: Mapping[str, Any],
) -> tuple[list[dict[str, Any]], int]:
    """A labelled rule for each day to mark in a chart from the first day of `span` up to, but
    without, the second, which are `plot` CSS pixels; and how many lines the labels take. A label
    that would reach to that of a later day is above it, so that no rule crosses it."""
    first = span[0]
    days = max(1, (span[1] - first).days)
    begins: list[float] = []
    layers = []
    for each, label in reversed(_marked(marks, language)):
        at = (each.day - first).days / days * plot
        width = (len(label) + 2) * _CHARACTER
        is_right = at + width > plot
        begin = at - width if is_right else at
        level = next((n for n, later in enumerate(begins) if begin + width < later), len(begins))
        begins[level : level + 1] = [begin]
        text = on(language.day(each.day), label, language)
        row = {"from": iso(each.day), "label": label, "text": text}
        layers += [
            # A rule may cross a dark bar, so it has a light line under it.
            _rule(row, x, level, {"stroke": picture.SURFACE, "strokeWidth": 4}),
            _rule(
                row,
                x,
                level,
                {
                    "stroke": picture.INK,
                    "strokeWidth": 1.5,
                    "strokeDash": _DASHES[each.event],
                },
            ),
            {
                "data": data([row]),
                "mark": {
                    "type": "text",
                    "align": "right" if is_right else "left",
                    "dx": -4 if is_right else 4,
                    "y": -8 - 15 * level,
                    "baseline": "middle",
                    "fill": picture.INK,
                },
                "encoding": {
                    "x": x,
                    "text": {"field": "label"},
                    "description": {"field": "text"},
                },
            },
        ]
    return layers, len(begins)


def _rule(
    row: dict[str, Any], x: Mapping[str, Any], level: int, look: dict[str, Any]
) -> dict[str, Any]:
    return {
        "data": data([row]),
        "mark": {"type": "rule", "y": -8 - 15 * level, "y2": "height", **look},
        "encoding": {"x": x, "description": {"field": "text"}},
    }
