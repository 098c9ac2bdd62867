"""The short texts of a report in a language: the labels of its codes, and the first page, for
readers who read no other page.

For each ban the first page has the answer, the trend, the missing days and the measures, in a
sentence each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from netwatch.charts.coverage import reason_words
from netwatch.charts.days import day_spans
from netwatch.core.text import escaped
from netwatch.coverage.judged import k_spread
from netwatch.language.language import Language
from netwatch.report import words
from netwatch.report.values import BanReport, Report

MAX_SPANS = 4
"""Spans of missing days, and days of measures, to name on the first page."""


def answers(language: Language) -> dict[str, str]:
    """Labels of the answers to "was the ban complied with?"."""
    return {
        "kept": language.say("Complied with"),
        "not-kept": language.say("Violated"),
        "cannot-be-said": language.say("Inconclusive"),
        "not-in-force": language.say("Not in force"),
    }


def answers_explained(language: Language) -> dict[str, str]:
    """Explanations of the answers."""
    return {
        "kept": language.say(
            "No violation was seen, and everything that must be visible to"
            " conclude that was visible."
        ),
        "not-kept": language.say(
            "At least one device in the ban's scope reached the app despite the ban."
        ),
        "cannot-be-said": language.say(
            "No violation is proved, but evidence that proves nothing by itself,"
            " or gaps in what could be seen, leave the question open."
        ),
        "not-in-force": language.say("The ban forbade nothing on any day of this report."),
    }


def verdicts(language: Language) -> dict[str, str]:
    """Labels of the verdicts on an incident."""
    return {
        "violation": language.say("violation"),
        "advisory": language.say("advised against"),
        "exempt": language.say("exempt"),
    }


def confidences(language: Language) -> dict[str, str]:
    """Labels of the confidence of an incident."""
    return {
        "confirmed": language.say("confirmed"),
        "probable": language.say("probable"),
        "possible": language.say("possible"),
    }


def kinds(language: Language) -> dict[str, str]:
    """The kinds of incidents."""
    return {
        "session": language.say("the app was used"),
        "background": language.say("an installed app keeps in touch by itself"),
        "embed": language.say("a page or another app loaded a part of it"),
        "lookup": language.say("a name was only asked for"),
    }


def bypass_reasons(language: Language) -> dict[str, str]:
    """Why it is believed that a device hid its lookups."""
    return {
        "share-above-past": language.say("far more such contacts than on earlier days"),
        "share-above-others": language.say("far more than other devices of the network"),
        "fewer-lookups": language.say("far fewer lookups than before"),
        "one-address": language.say("nearly all to one address, as with a tunnel"),
        "names-shown": language.say("the connections showed names, only the lookups were hidden"),
    }


def short_kinds(language: Language) -> dict[str, str]:
    """The kinds of incidents in a word, for long tables."""
    return {
        "session": language.say("use"),
        "background": language.say("background"),
        "embed": language.say("page part"),
        "lookup": language.say("lookup"),
    }


def outcomes(language: Language) -> dict[str, str]:
    """The outcomes of incidents."""
    return {
        "reached": language.say("a server answered"),
        "attempted": language.say("no answer seen"),
        "blocked": language.say("blocked"),
        "unknown": language.say("only one direction captured"),
    }


BY_FLOWS = "by-flows"
"""What stands in the place of what was seen of servers where only flow records are known."""


def servers(language: Language) -> dict[str, str]:
    """What was seen of the servers of incidents."""
    return {
        "acknowledged": language.say("acknowledged by the server"),
        "not-acknowledged": language.say("the server was seen, but acknowledged none of it"),
        "client-only": language.say("only what the client sent was seen"),
        "": language.say("not known"),
        BY_FLOWS: language.say("flow records alone, which have no names"),
    }


def classes(language: Language) -> dict[str, str]:
    """The classes of devices."""
    return {
        "service": language.say("service device"),
        "personal": language.say("personal device"),
        "guest": language.say("guest device"),
        "infrastructure": language.say("infrastructure"),
        "unknown": language.say("class not known"),
    }


def classes_of_several(language: Language) -> dict[str, str]:
    """The same for several devices."""
    return {
        "service": language.say("service devices"),
        "personal": language.say("personal devices"),
        "guest": language.say("guest devices"),
    }


def weights(language: Language) -> dict[str, str]:
    """Labels of how violations count for the answer."""
    return {
        "proved": language.say("proved"),
        "unanswered": language.say("confirmed, without an answer"),
        "blocked": language.say("blocked attempt"),
        "probable": language.say("probable"),
        "lookup": language.say("lookup only"),
        "embed": language.say("part of a page"),
        "possible": language.say("does not count"),
        "": "",
    }


def exemption_states(language: Language) -> dict[str, str]:
    """Words for the uses of exemptions."""
    return {
        "used": language.say("used"),
        "unused": language.say("unused"),
        "used-after-expiry": language.say("contacts after its end"),
        "not-registered": language.say("used, but no longer in the register"),
    }


def reasons(language: Language) -> dict[str, str]:
    """Labels of the reasons why a name was not read."""
    return reason_words(language)


def blind_spot(reason: str, one_of: Mapping[int, int], language: Language) -> str:
    """A reason of flows in words. Flows ``one-of-k`` come with their k, given as `one_of`, the
    number of flows by k."""
    text = reasons(language).get(reason, escaped(reason))
    if reason != "one-of-k" or not one_of:
        return text
    least, median, most = k_spread(one_of)
    if least == most:
        return language.say("%(reason)s (k = %(k)s)", reason=text, k=language.number(least))
    return language.say(
        "%(reason)s (k from %(least)s to %(most)s, median %(median)s)",
        reason=text,
        least=language.number(least),
        most=language.number(most),
        median=language.number(median),
    )


def cures(language: Language) -> dict[str, str]:
    """How to make flows readable, by the reason why they are not."""
    resolver = language.say(
        "Add your own resolver's logs as a source, and make devices use only that resolver."
    )
    endpoint = language.say(
        "Decide in the rules for devices whether VPN and relay services may be used; capture behind"
        " your own VPN gateway."
    )
    whole = language.say("Capture whole packets: raise the snap length of the capture.")
    loss = language.say(
        "Look for lost packets: drops of the sensor, and overload of the mirror port."
    )
    return {
        "ech": resolver,
        "encrypted-dns": resolver,
        "vpn": endpoint,
        "relay": endpoint,
        "tor": endpoint,
        "no-sni": language.say(
            "Nothing on the wire helps: lookups in the resolver's logs show which name was meant."
        ),
        "flow-record": language.say(
            "Read the logs of the resolver that these devices ask, beside the flow records. What"
            " nobody had looked up there stays without a name."
        ),
        "one-of-k": language.say(
            "Only packets show which of several names was meant: mirror this traffic to a sensor."
        ),
        "vendor-network": language.say(
            "An address proves no app, and raises no alert: mirror this traffic to a sensor."
        ),
        "no-hello": language.say("Check what these protocols are; a name is not part of them."),
        "truncated": whole,
        "hello-incomplete": loss,
        "begun-before-capture": language.say("Let the capture run without interruption."),
        "one-direction": language.say("Mirror both directions of the line to the sensor."),
        "no-data": language.say("None: no content was transferred."),
    }


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
        answers(used)[ban.answer.word],
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
    """The proved contacts of the previous period and of this one; with the hours of capture if
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
    spans = day_spans(days)
    listed = [_span(first, last, used) for first, last in spans[:MAX_SPANS]]
    if len(spans) > MAX_SPANS:
        listed.append(used.say("and others"))
    return used.say_count(
        "%(count)s day without a capture: %(days)s.",
        "%(count)s days without a capture: %(days)s.",
        len(days),
        days="; ".join(listed),
    )


def _span(first: date, last: date, used: Language) -> str:
    if first == last:
        return used.day(first)
    return used.say("%(first)s to %(last)s", first=used.day(first), last=used.day(last))


def _measures(ban: BanReport, used: Language) -> str:
    """Measures in the period, as far as netwatch knows them."""
    names = {
        "from": used.say("the ban came into force"),
        "extended": used.say("the ban was extended"),
        "until": used.say("the ban ended"),
        "exemption": used.say("an exemption began"),
        "exemption-ends": used.say("an exemption ended"),
        "block": used.say("a contact was blocked for the first time"),
    }
    days = sorted((day.day, names[day.event]) for day in ban.days if day.event in names)
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
