"""The first page of a report, for readers who read no other page.

For each ban it has the answer, the trend, the days that are missing and what was done, in a
sentence each.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from netwatch.core.text import escaped
from netwatch.language.language import Language
from netwatch.report import labels, words
from netwatch.report.values import BanReport, Report

MAX_SPANS = 4
"""Spans of missing days, and days of measures, that the first page names."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The first page on a ban: its answer as a code with a title, and facts as pairs."""

    ban: str
    word: str
    title: str
    facts: Sequence[tuple[str, str]]


def summary(report: Report, ban: BanReport, used: Language) -> Summary:
    """The first page on a ban."""
    facts = [
        (used.say("Organisation"), escaped(report.controller)),
        (used.say("Decided by"), escaped(ban.words(used.code).authority)),
        (
            used.say("Period"),
            _span(date.fromisoformat(report.first), date.fromisoformat(report.last), used),
        ),
        (used.say("Answer"), _answer(ban, used)),
        (used.say("Trend"), _trend(report, ban, used)),
        (used.say("Missing days"), _missing(ban, used)),
        (used.say("Measures taken"), _measures(ban, used)),
    ]
    return Summary(
        escaped(ban.id),
        ban.answer.word,
        labels.answers(used)[ban.answer.word],
        [(name, value) for name, value in facts if value],
    )


def _answer(ban: BanReport, used: Language) -> str:
    answer = ban.answer
    if answer.word == "not-in-force":
        return used.say("The ban was not in force on any of these days.")
    if answer.word == "kept":
        return used.say_count(
            "The ban was complied with on the %(count)s day on which it was in force.",
            "The ban was complied with on the %(count)s days on which it was in force.",
            answer.days_in_force,
        )
    first = words.reason(answer.reasons[0], used)
    if answer.word == "not-kept":
        return used.say("The ban was violated. %(reason)s", reason=first)
    return used.say("The result is inconclusive. %(reason)s", reason=first)


def _trend(report: Report, ban: BanReport, used: Language) -> str:
    """The proved contacts of the period before and of this one; with the hours of capture where
    these differ, because fewer hours show fewer contacts."""
    change = ban.change
    if not change.hours_before or change.before is None:
        return used.say("Nothing was captured in the previous period, so there is no trend.")
    if change.after is None:
        return used.say("Nothing was captured in this period, so there is no trend.")
    before, after = change.before.proved, change.after.proved
    values = {"before": used.number(before), "after": used.number(after)}
    if after == before:
        text = used.say("As many proved violations as in the previous period: %(after)s.", **values)
    elif after < before:
        text = used.say(
            "Fewer proved violations than in the previous period: %(after)s instead of %(before)s.",
            **values,
        )
    else:
        text = used.say(
            "More proved violations than in the previous period: %(after)s instead of %(before)s.",
            **values,
        )
    if abs(change.hours_after - change.hours_before) > 0.1 * change.hours_before:
        text += " " + used.say(
            "But the hours with a capture differ: %(before)s before, %(after)s now.",
            before=used.number(round(change.hours_before)),
            after=used.number(round(change.hours_after)),
        )
    return text


def _missing(ban: BanReport, used: Language) -> str:
    days = [date.fromisoformat(day) for week in ban.weeks for day in week.missing]
    if not days:
        return used.say("None: there was a capture every day.")
    spans = _spans(days)
    listed = [_span(first, last, used) for first, last in spans[:MAX_SPANS]]
    if len(spans) > MAX_SPANS:
        listed.append(used.say("and others"))
    return used.say_count(
        "%(count)s day without a capture: %(days)s.",
        "%(count)s days without a capture: %(days)s.",
        len(days),
        days="; ".join(listed),
    )


def _spans(days: Iterable[date]) -> list[tuple[date, date]]:
    found: list[tuple[date, date]] = []
    for day in days:
        if found and day - found[-1][1] == timedelta(days=1):
            found[-1] = found[-1][0], day
        else:
            found.append((day, day))
    return found


def _span(first: date, last: date, used: Language) -> str:
    if first == last:
        return used.day(first)
    return used.say("%(first)s to %(last)s", first=used.day(first), last=used.day(last))


def _measures(ban: BanReport, used: Language) -> str:
    """What was done in the period, as far as netwatch knows it."""
    names = {
        "from": used.say("the ban came into force"),
        "extended": used.say("the ban was extended"),
        "until": used.say("the ban ended"),
        "exemption": used.say("an exemption began"),
        "exemption-ends": used.say("an exemption ended"),
        "block": used.say("a contact was blocked for the first time"),
    }
    days = sorted((each.day, names[each.event]) for each in ban.days if each.event in names)
    found = [
        used.say("%(what)s: %(text)s", what=used.day(date.fromisoformat(day)), text=name)
        for day, name in dict.fromkeys(days)
    ]
    if len(found) > MAX_SPANS:
        found = [*found[:MAX_SPANS], used.say("and others")]
    if blocked := ban.totals.all.blocked:
        found.append(
            used.say_count(
                "%(count)s incident was blocked", "%(count)s incidents were blocked", blocked
            )
        )
    if not found:
        return used.say("netwatch knows of no measure in this period.")
    return f"{'; '.join(found)}."
