"""The picture of one incident over time: which names the device showed, when, and how.

Times are those of the zone that the caller gives; the axis says which.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Literal

from netwatch.charts import picture
from netwatch.charts.coverage import escaped_name
from netwatch.charts.picture import Picture, Size, Table, data, shown, specification
from netwatch.language.language import Language

Step = Literal["lookup", "handshake", "other"]

_SHAPES: tuple[tuple[Step, str, str], ...] = (
    ("lookup", "circle", picture.BEFORE_LINE),
    ("handshake", "square", picture.VIOLATION),
    ("other", "triangle-up", picture.AFTER),
)
MAX_NAMES = 24
"""Names that are drawn, those seen first first; the table has all."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A name at a moment (with a time zone): `evidence` says how it was seen (``tls-sni``), `count`
    how often, and `detail` where, such as the packet."""

    time: datetime
    name: str
    evidence: str
    step: Step
    count: int = 1
    detail: str = ""


def timeline(sightings: Sequence[Sighting], zone: tzinfo, language: Language) -> Picture:
    """The picture of the sightings of one incident, of which there is at least one."""
    ordered = sorted(sightings, key=lambda each: (each.time, each.name, each.evidence))
    return Picture(
        name="timeline",
        title=language.say("The incident over time"),
        summary=_summary(ordered, zone, language),
        specifications={
            size: _specification(ordered, zone, language, size) for size in ("wide", "narrow")
        },
        table=_table(ordered, zone, language),
    )


def step_words(language: Language) -> dict[Step, str]:
    """The words for the steps of an incident."""
    return {
        "lookup": language.say("Name looked up"),
        "handshake": language.say("Server contacted"),
        "other": language.say("Other evidence"),
    }


def _local(moment: datetime, zone: tzinfo) -> str:
    """The time on the wall of a zone, as a scale in UTC takes it."""
    return f"{moment.astimezone(zone).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _specification(
    ordered: Sequence[Sighting], zone: tzinfo, language: Language, size: Size
) -> Any:
    names = list(dict.fromkeys(each.name for each in ordered))[:MAX_NAMES]
    drawn = [each for each in ordered if each.name in set(names)]
    words = step_words(language)
    span = (ordered[-1].time - ordered[0].time).total_seconds()
    y = {
        "field": "name",
        "type": "nominal",
        "sort": [shown(name, 40) for name in names],
        "axis": {
            "title": None,
            "labelLimit": 220 if size == "wide" else 120,
            "labelColor": picture.INK,
            "grid": True,
        },
    }
    x = {
        "field": "time",
        "type": "temporal",
        "scale": {"type": "utc", "nice": True, "padding": 8},
        "axis": {
            "title": language.say("Time (%(zone)s)", zone=language.offset(ordered[0].time, zone)),
            "format": _pattern(span),
            "grid": False,
            "labelOverlap": "greedy",
            "tickCount": 6 if size == "wide" else 3,
        },
    }
    used = {each.step for each in drawn}
    shapes = [each for each in _SHAPES if each[0] in used]
    domain = [words[step] for step, _, _ in shapes]
    colours = [colour for _, _, colour in shapes]
    points = {
        "data": data(
            [
                {
                    "time": _local(each.time, zone),
                    "name": shown(each.name, 40),
                    "step": words[each.step],
                    "text": _words(each, zone, language),
                }
                for each in drawn
            ]
        ),
        "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
        "encoding": {
            "x": x,
            "y": y,
            "color": {
                "field": "step",
                "type": "nominal",
                "sort": None,
                "scale": {"domain": domain, "range": colours},
                "legend": {"columns": 3 if size == "wide" else 1},
            },
            "shape": {
                "field": "step",
                "type": "nominal",
                "sort": None,
                "scale": {"domain": domain, "range": [shape for _, shape, _ in shapes]},
            },
            "description": {"field": "text"},
        },
    }
    return specification(size, max(1, len(names)) * 28, [points])


def _pattern(span: float) -> str:
    """How times are written on an axis of so many seconds."""
    if span < 10:
        return "%H:%M:%S.%L"
    if span < 600:
        return "%H:%M:%S"
    return "%H:%M" if span < 86_400 else "%-d %b %H:%M"


def _words(each: Sighting, zone: tzinfo, language: Language) -> str:
    text = f"{_moment(each.time, zone, language)} {each.evidence} {shown(each.name)}"
    if each.count > 1:
        text += f" x{language.number(each.count)}"
    return f"{text} ({shown(each.detail)})" if each.detail else text


def _moment(moment: datetime, zone: tzinfo, language: Language) -> str:
    local = moment.astimezone(zone)
    return f"{language.day(local.date())} {local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def _summary(ordered: Sequence[Sighting], zone: tzinfo, language: Language) -> str:
    seconds = (ordered[-1].time - ordered[0].time).total_seconds()
    return language.say(
        "%(names)s names, the first on %(first)s, the last %(duration)s later.",
        names=language.number(len({each.name for each in ordered})),
        first=f"{language.day(ordered[0].time.astimezone(zone).date())},"
        f" {language.time(ordered[0].time, zone)}",
        duration=language.duration(seconds)
        if seconds >= 1
        else f"{language.number(round(seconds, 3))} s",
    )


def _table(ordered: Sequence[Sighting], zone: tzinfo, language: Language) -> Table:
    words = step_words(language)
    rows = tuple(
        (
            _moment(each.time, zone, language),
            words[each.step],
            each.evidence,
            escaped_name(each.name),
            language.number(each.count),
            escaped_name(each.detail),
        )
        for each in ordered
    )
    headers = (
        language.say("Time"),
        language.say("Step"),
        language.say("Evidence"),
        language.say("Name"),
        language.say("Count"),
        language.say("Packet"),
    )
    return Table(headers, rows, frozenset({4}))
