"""The sentences of a report in a language: reasons, notes, method and limits."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from zoneinfo import ZoneInfo

from babel.dates import format_date

from netwatch.core.text import escaped
from netwatch.language.language import Language
from netwatch.report.values import (
    Answer,
    BanReport,
    BlindDevices,
    Bypasses,
    Reason,
    Report,
    Thresholds,
    Value,
)


def share(value: float | None, language: Language) -> str:
    """A share in percent."""
    return language.say("not known") if value is None else language.share(value)


def day(text: str | None, language: Language) -> str:
    """A day of a report."""
    return language.day(date.fromisoformat(text)) if text else language.say("no limit")


def moment(text: str | None, timezone: str, language: Language) -> str:
    """A time of a report on the clock of a time zone."""
    if text is None:
        return ""
    zone = ZoneInfo(timezone)
    found = datetime.fromisoformat(text)
    return f"{language.day(found.astimezone(zone).date())}, {language.time(found, zone)}"


def short_moment(text: str | None, timezone: str, language: Language) -> str:
    """A time of a report for tables."""
    if text is None:
        return ""
    local = datetime.fromisoformat(text).astimezone(ZoneInfo(timezone))
    return f"{format_date(local, 'medium', locale=language.locale)} {local:%H:%M:%S}"


def reason(each: Reason, language: Language) -> str:
    """The sentence of a reason or a note."""
    if each.code in _INCIDENT_CODES:
        return _about_incidents(each, language)
    sentences = (
        _about_what_was_seen(each.values, language)
        | _about_a_network(each.values, language)
        | _about_the_rest(each.values, language)
    )
    return sentences[each.code]()


def _about_what_was_seen(
    values: Mapping[str, Value], language: Language
) -> dict[str, Callable[[], str]]:
    """The sentences on captures and on gaps in them, by code."""
    count = int(_number(values, "count"))
    return {
        "no-coverage": lambda: language.say(
            "It is not known how much could be read: the store has no coverage of these days."
        ),
        "gaps": lambda: language.say_count(
            "There was no capture %(count)s time, for %(hours)s hours in all.",
            "There was no capture %(count)s times, for %(hours)s hours in all.",
            count,
            hours=language.number(_number(values, "hours")),
        ),
        "silent-sensors": lambda: language.say_count(
            "%(count)s sensor was not heard, for %(hours)s hours in all.",
            "%(count)s sensors were not heard, for %(hours)s hours in all.",
            count,
            hours=language.number(_number(values, "hours")),
        ),
        "lost": lambda: language.say(
            "For %(hours)s hours, the store lacks part of what happened: a sensor was too slow or"
            " was stopped before everything was written, flow records did not arrive, or only a"
            " sample of the packets was looked at.",
            hours=language.number(_number(values, "hours")),
        ),
        "not-judged": lambda: language.say(
            "%(hours)s hours were captured, and not judged by this ban with these signatures."
            " %(command)s judges them.",
            hours=language.number(_number(values, "hours")),
            command=escaped(str(values["command"])),
        ),
        "packets": lambda: language.say(
            "%(share)s of all packets were lost or not readable; the limit is %(threshold)s.",
            share=share(_number(values, "share"), language),
            threshold=share(_number(values, "threshold"), language),
        ),
        "partial": lambda: language.say(
            "The store does not have everything that was captured: %(captures)s"
            " captures are incomplete, and %(rows)s rows were lost.",
            captures=language.number(_number(values, "captures")),
            rows=language.number(_number(values, "rows")),
        ),
        "retention": lambda: language.say(
            "Incidents of these days were deleted from the store because of their age."
        ),
        "erased": lambda: language.say_count(
            "%(count)s person has since been erased from the store, with all their incidents.",
            "%(count)s people have since been erased from the store, with all their incidents.",
            count,
        ),
    }


def _about_a_network(
    values: Mapping[str, Value], language: Language
) -> dict[str, Callable[[], str]]:
    """The sentences on what was seen of one network, by code."""
    return {
        "unnamed": lambda: language.say(
            "In the network %(network)s, %(share)s of %(flows)s flows had no"
            " readable name; the limit is %(threshold)s.",
            network=escaped(str(values["network"])),
            share=share(_number(values, "share"), language),
            flows=language.number(_number(values, "flows")),
            threshold=share(_number(values, "threshold"), language),
        ),
        "network-unseen": lambda: language.say(
            "Nothing was ever captured from the network %(network)s.",
            network=escaped(str(values["network"])),
        ),
        "silent": lambda: language.say(
            "The network %(network)s was silent for %(hours)s hours in which it"
            " should have been in use. Seeing nothing there proves nothing.",
            network=escaped(str(values["network"])),
            hours=language.number(_number(values, "hours")),
        ),
        "by-flows": lambda: language.say(
            "The network %(network)s was seen by flow records alone, which have no names, for"
            " %(hours)s hours.",
            network=escaped(str(values["network"])),
            hours=language.number(_number(values, "hours")),
        ),
        "by-logs": lambda: language.say(
            "The network %(network)s was seen by logs of single services alone, which do not show"
            " what went past them, for %(hours)s hours.",
            network=escaped(str(values["network"])),
            hours=language.number(_number(values, "hours")),
        ),
        "unreadable": lambda: language.say(
            "In the network %(network)s, names could not be read for %(hours)s hours.",
            network=escaped(str(values["network"])),
            hours=language.number(_number(values, "hours")),
        ),
    }


def _about_the_rest(
    values: Mapping[str, Value], language: Language
) -> dict[str, Callable[[], str]]:
    """The sentences on the ban and on how incidents count, by code."""
    return {
        "min-confidence": lambda: language.say(
            "The ban reports only confirmed contacts, so weaker ones are not in the store."
        ),
        "no-violation": lambda: language.say(
            "No violation among %(flows)s flows, in a capture without gaps.",
            flows=language.number(_number(values, "flows")),
        ),
        "not-in-force": lambda: language.say(
            "On the days of this report, the ban was not in force, or only advised."
        ),
        "part-in-force": lambda: language.say(
            "The ban was in force on %(days)s of the %(all)s days; the answer is about these.",
            days=language.number(_number(values, "days")),
            all=language.number(_number(values, "all")),
        ),
        "beyond": lambda: language.say_count(
            "%(count)s record of coverage reaches beyond these days and counts as a whole.",
            "%(count)s records of coverage reach beyond these days and count as a whole.",
            int(_number(values, "records")),
        ),
        "merged": lambda: language.say_count(
            "%(count)s incident of the store is not counted: another capture shows the same one.",
            "%(count)s incidents of the store are not counted: another capture shows the same"
            " ones.",
            int(_number(values, "incidents")),
        ),
    }


_INCIDENT_CODES = frozenset(
    {
        "proved", "unanswered", "blocked", "probable", "lookup", "embed", "possible", "advisory",
        "exempt", "after-expiry", "outside-periods", "other-versions",
    }
)  # fmt: skip


def _number(values: Mapping[str, Value], name: str) -> float:
    value = values.get(name)
    return value if isinstance(value, int | float) else 0


def _about_incidents(each: Reason, language: Language) -> str:
    """The sentence of a reason that counts incidents."""
    count = int(_number(each.values, "incidents"))
    what = language.say_count("%(count)s incident", "%(count)s incidents", count)
    if "devices" in each.values:
        devices = language.say_count(
            "%(count)s device", "%(count)s devices", int(_number(each.values, "devices"))
        )
        what = language.say("%(incidents)s of %(devices)s", incidents=what, devices=devices)
    return {
        "proved": language.say(
            "Proved: %(what)s. Hosts that only the app calls were contacted, and they answered.",
            what=what,
        ),
        "unanswered": language.say("Confirmed, but no answer was seen: %(what)s.", what=what),
        "blocked": language.say(
            "Blocked: %(what)s. The block worked; the app may be installed. If the"
            " ban also forbids having the app installed, that would be a violation.",
            what=what,
        ),
        "probable": language.say(
            "Probable only: %(what)s. The website or the app may have been used.", what=what
        ),
        "lookup": language.say(
            "Only asked for a name: %(what)s. Browsers do so in advance, without any click.",
            what=what,
        ),
        "embed": language.say(
            "Looks like a part of a page, such as an embedded video: %(what)s.", what=what
        ),
        "possible": language.say(
            "Recorded without weight: %(what)s, whose names pages and other apps call too.",
            what=what,
        ),
        "advisory": language.say("Advised against, and not forbidden: %(what)s.", what=what),
        "exempt": language.say("Covered by an exemption: %(what)s.", what=what),
        "after-expiry": language.say(
            "After the end of an exemption: %(what)s, counted as violations.", what=what
        ),
        "outside-periods": language.say(
            "Decided when the ban had other dates: %(what)s on days on which it"
            " now forbids nothing. They do not count; netwatch rejudge judges them"
            " again.",
            what=what,
        ),
        "other-versions": language.say(
            "Decided by a version of the bans that is not the current one: %(what)s.", what=what
        ),
    }[each.code]


def unnamed(answer: Answer, language: Language) -> str:
    """The share of unreadable flows, for the side of the answer."""
    return language.say(
        "not readable: %(share)s of %(flows)s flows with content in the networks of the ban",
        share=share(answer.unnamed_share, language),
        flows=language.number(answer.flows),
    )


def bound(ban: BanReport, language: Language) -> str:
    """How many contacts could be hidden, or why that is unknown; empty if not requested."""
    if ban.bound is not None:
        return language.say_count(
            "The captures that include these days have %(named)s flows with a"
            " readable name and %(unread)s without one. If each device hides the"
            " names of its contacts with these apps as often as the names of its"
            " other flows, at most %(count)s contact is hidden (with a certainty of"
            " %(level)s).",
            "The captures that include these days have %(named)s flows with a"
            " readable name and %(unread)s without one. If each device hides the"
            " names of its contacts with these apps as often as the names of its"
            " other flows, at most %(count)s contacts are hidden (with a certainty"
            " of %(level)s).",
            ban.bound.contacts,
            named=language.number(ban.bound.named),
            unread=language.number(ban.bound.unread),
            level=language.share(ban.bound.level),
        )
    if ban.bound_reason is None or ban.bound_reason.code in ("not-in-force", "not-counted"):
        return ""
    return language.say(
        "The number of contacts that may be hidden cannot be estimated: %(reason)s",
        reason=_no_bound(ban.bound_reason, language),
    )


def _no_bound(each: Reason, language: Language) -> str:
    flows = language.number(_number(each.values, "flows"))
    devices = int(_number(each.values, "devices"))
    return {
        "not-all-devices": language.say("there are too many devices to count the flows of each."),
        "no-names": language.say("no flow had a readable name."),
        "tunnels": language.say_count(
            "%(count)s device used tunnels (%(flows)s flows), and a tunnel hides any number.",
            "%(count)s devices used tunnels (%(flows)s flows), and a tunnel hides any number.",
            devices,
            flows=flows,
        ),
        "hides-all": language.say_count(
            "%(count)s device showed no name in any of its %(flows)s flows.",
            "%(count)s devices showed no name in any of their %(flows)s flows.",
            devices,
            flows=flows,
        ),
        "many-contacts": language.say_count(
            "%(count)s device had contacts, and there are too many to calculate with.",
            "%(count)s devices had contacts, and there are too many to calculate with.",
            devices,
        ),
    }[each.code]


def blind_devices(found: BlindDevices, language: Language) -> str:
    """The caption of the table of devices with blind spots: its content, and what it is counted
    from."""
    parts = [language.say("Devices with many unreadable flows")]
    if found.left:
        parts.append(
            language.say_count("%(count)s more device", "%(count)s more devices", found.left)
        )
    if found.read < found.records:
        parts.append(
            language.say(
                "counted in %(read)s of %(records)s records of coverage",
                read=language.number(found.read),
                records=language.number(found.records),
            )
        )
    if found.uncounted:
        parts.append(language.say("not all devices were counted: there are too many"))
    return "; ".join(parts)


def days(first: str, last: str, count: int, language: Language) -> str:
    """How many days, and from when to when; one day alone is said by its date."""
    if first == last:
        return day(first, language)
    return language.say_count(
        "%(count)s day, %(first)s to %(last)s",
        "%(count)s days, %(first)s to %(last)s",
        count,
        first=day(first, language),
        last=day(last, language),
    )


def bypasses(found: Bypasses, language: Language) -> str:
    """The caption of the table of devices that hid their lookups."""
    parts = [
        language.say(
            "Devices whose lookups were not visible: another resolver, encrypted DNS, a VPN, or"
            " addresses that a program already had. This says nothing about an app"
        )
    ]
    if found.left:
        parts.append(
            language.say_count("%(count)s more device", "%(count)s more devices", found.left)
        )
    if found.unread:
        parts.append(
            language.say_count(
                "%(count)s day could not be looked at",
                "%(count)s days could not be looked at",
                found.unread,
            )
        )
    return "; ".join(parts)


def method(report: Report, language: Language) -> list[str]:
    """How the answers came about, in paragraphs."""
    limits: Thresholds = report.thresholds
    return [
        language.say(
            "netwatch reads the names that devices show in the traffic (DNS, TLS, QUIC, HTTP),"
            " matches them with signatures of apps, and judges each contact by the ban in force at"
            " the time of its packet. Content is not read."
        ),
        language.say(
            "A ban counts as violated if at least one violation is proved: a host"
            " that only the app calls was contacted, by the app and not by a page,"
            " and it answered. An embedded video, a lookup or a blocked attempt is"
            " never such a proof."
        ),
        language.say(
            "A ban counts as complied with only if no violation of any weight was"
            " seen, and every network in its scope was captured without a gap of"
            " more than %(gap)s, was judged by this ban with these signatures, and"
            " was not silent when it should have been in use; at most %(unnamed)s"
            " of its flows may have no readable name, and at most %(packets)s of"
            " the packets may be lost or unreadable. Otherwise the answer is"
            " inconclusive.",
            gap=language.duration(limits.gap),
            unnamed=share(limits.unnamed, language),
            packets=share(limits.packets, language),
        ),
        language.say(
            "An incident is one device, one app and one ban until a quiet gap. It belongs to the"
            " day on which it began. What several captures saw of it at the same time counts once."
            " Flows without content are left out of the share that could not be read."
        ),
        language.say(
            "Days are in the ban's time zone (%(zone)s in this report), and last"
            " 23 or 25 hours when clocks change. The previous period has the same"
            " number of days.",
            zone=report.timezone,
        ),
    ]


def limits(report: Report, language: Language) -> list[str]:
    """The limits of the report, in paragraphs."""
    found = [
        language.say("A device is not a person: who used it is not known from packets."),
        language.say(
            "A contact does not mean that someone used the app: an installed app"
            " connects by itself, and web pages load parts of apps."
        ),
        language.say(
            "Devices of unknown class and devices outside the configured networks"
            " have no verdict and are not in this report."
        ),
        language.say("Traffic that did not pass a sensor, such as mobile data, was not seen."),
        language.say(
            "Numbers that assume that unreadable flows are like the others are not"
            " an estimate: someone who hides contacts may hide exactly these."
        ),
    ]
    unheard = sum(bool(incident.unheard) for ban in report.bans for incident in ban.incidents)
    if unheard:
        found.append(
            language.say_count(
                "The end of %(count)s incident is not known: its sensor fell silent, or started"
                " again without the incident.",
                "The end of %(count)s incidents is not known: their sensors fell silent, or started"
                " again without the incidents.",
                unheard,
            )
        )
    if report.pseudonyms:
        found.append(
            language.say(
                "Devices have pseudonyms that were made for this report. Their key was not kept."
            )
        )
    if report.other_bans:
        listed = language.listed(
            f"{escaped(ban)} ({language.number(count)})" for ban, count in report.other_bans.items()
        )
        found.append(
            language.say(
                "The store has incidents of bans that the configuration does not have: %(bans)s.",
                bans=listed,
            )
        )
    return found
