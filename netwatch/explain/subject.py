"""The page for the person concerned: one incident in plain words, on one sheet of paper, with the
configuration's texts.

It speaks about the device and never about what somebody did, explains what the record does not
prove before what would refute it, and leaves a blank if the organisation has not configured what it
must tell (GDPR articles 13 and 14): whom to ask, and how long data are kept. The texts of the ban
come from the given incident (`with_words`), in the language of the page. The page is a `Sheet` of
paragraphs, fields and lists, which the command line prints as text of fixed width and the console
as HTML.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from netwatch.config import Config
from netwatch.core.text import escaped
from netwatch.core.verdict import Ban
from netwatch.explain.sheet import Part, Section, Sheet, contradictions, text_lines
from netwatch.explain.steps import Explanation, Period
from netwatch.explain.wording import not_proved, refutations
from netwatch.language.language import Language
from netwatch.rules.bans import load_pack, pack_ids, words_in

LINES = 66
"""Lines of the page, at most: A4 at six lines an inch, less the margins."""

CATALOGUES = Path(__file__).parent
"""The folder whose ``locale`` has the translations."""

MAX_NAMES = 3
"""Names to list; more are counted."""

CUTS = ((160, 40), (90, 28), (48, 16))
"""How many characters a text of the configuration, and the name of an app, a server or a device may
have: the first of these pairs with which the page fits on one sheet."""

_BLANK = "." * 40


@dataclass(frozen=True, slots=True)
class Notice:
    """What the organisation tells persons concerned. Empty texts are blanks to fill in; `kept` and
    `packets_kept` are in s, None if there is no limit to tell."""

    controller: str = ""
    contact: str = ""
    supervisor: str = ""
    kept: int | None = None
    packets_kept: int | None = None


def subject_page(
    incident: Explanation, notice: Notice, zone: ZoneInfo, language: Language
) -> Iterator[str]:
    """The lines of the page; days and times are in `zone`, the time zone of the ban."""
    return iter(text_lines(subject_sheet(incident, notice, zone, language), language))


def subject_sheet(
    incident: Explanation, notice: Notice, zone: ZoneInfo, language: Language
) -> Sheet:
    """The page, with texts as long as one sheet of paper permits."""
    sheet = Sheet("", "", ())
    for text, word in CUTS:
        sheet = _sheet(_cut(incident, text, word), _cut_notice(notice, text), zone, language)
        if len(text_lines(sheet, language)) <= LINES:
            break
    return sheet


def _cut(incident: Explanation, text: int, word: int) -> Explanation:
    """An incident whose texts are safe to print and not longer than that."""
    device, ban = incident.device, incident.ban
    return replace(
        incident,
        app=_short(incident.app, word),
        device=replace(
            device,
            id=_short(device.id, word),
            ip=_short(device.ip, max(word, 39)),
            mac=_short(device.mac or "", word),
            hostname=_short(device.hostname or "", word),
            owner=_short(device.owner or "", text),
        ),
        ban=replace(
            ban, authority=_short(ban.authority, text), legal_basis=_short(ban.legal_basis, text)
        ),
        contacts=tuple(
            replace(contact, name=_short(contact.name, word)) for contact in incident.contacts
        ),
    )


def _cut_notice(notice: Notice, text: int) -> Notice:
    return replace(
        notice,
        controller=_short(notice.controller, text),
        contact=_short(notice.contact, text),
        supervisor=_short(notice.supervisor, text),
    )


def _short(text: str, limit: int) -> str:
    shown = escaped(text)
    return shown if len(shown) <= limit else f"{shown[: limit - 1]}…"


def _sheet(incident: Explanation, notice: Notice, zone: ZoneInfo, language: Language) -> Sheet:
    say = language.say
    purpose = say(
        "This page is for the person who uses the device described below. It"
        " explains in plain words what was recorded and what that means. It is"
        " neither an accusation nor a decision. Reference: %(id)s",
        id=incident.id,
    )
    sections = (
        (say("What was recorded"), _recorded(incident, zone, language)),
        (say("Which rule applies"), _rule(incident, language)),
        (say("What this does not prove"), iter([_unproved(incident, language)])),
        (say("What would show that the record is wrong"), iter([_wrong(incident, language)])),
        (say("How long the data are kept"), iter([_kept(notice, language)])),
        (say("Your rights, and whom to ask"), _rights(notice, language)),
    )
    return Sheet(
        say("Information about a recorded network contact"),
        purpose,
        tuple(Section(heading, tuple(parts)) for heading, parts in sections),
    )


def _recorded(incident: Explanation, zone: ZoneInfo, language: Language) -> Iterator[Part]:
    say, app = language.say, incident.app
    yield Part(fields=tuple(_device(incident, zone, language)))
    told = list(_contacts(incident, language))
    kind = {
        "session": say(
            "In amount and duration, this resembles use of the app. That is an estimate from"
            " numbers."
        ),
        "background": say(
            "In amount and regularity, this resembles an installed app that keeps in touch by"
            " itself, without anyone using it. That is an estimate from numbers."
        ),
        "embed": say(
            "This resembles a web page or another app that loads a part of %(app)s, such as a"
            " video. That is an estimate from numbers.",
            app=app,
        ),
    }.get(incident.kind)
    yield Part(" ".join([*told, *([kind] if kind else [])]))


def _device(incident: Explanation, zone: ZoneInfo, language: Language) -> Iterator[tuple[str, str]]:
    say, device = language.say, incident.device
    addresses = dict.fromkeys(filter(None, (device.id, device.hostname, device.ip, device.mac)))
    yield say("Device"), ", ".join(addresses)
    if device.owner:
        yield say("Registered for"), device.owner
    begin, end = _moment(incident.first_seen), _moment(incident.last_seen)
    time = say(
        "%(day)s, %(time)s (%(zone)s, %(offset)s)",
        day=language.weekday(begin, zone),
        time=language.time(begin, zone),
        zone=zone.key,
        offset=language.offset(begin, zone),
    )
    seconds = (end - begin).total_seconds()
    if seconds >= 1:
        duration = language.duration(seconds)
        time = say("%(time)s, over %(duration)s", time=time, duration=duration)
    yield say("When"), time
    names = list(dict.fromkeys(contact.name for contact in incident.contacts))
    listed = names[:MAX_NAMES]
    if len(names) > MAX_NAMES:
        more = len(names) - MAX_NAMES
        listed.append(language.say_count("%(count)s more", "%(count)s more", more))
    yield say("Names of servers"), language.listed(listed)


def _contacts(incident: Explanation, language: Language) -> Iterator[str]:
    traffic, app = incident.traffic, incident.app
    lookups, connections = traffic.lookups, traffic.flows or traffic.handshakes
    if lookups:
        yield language.say_count(
            "This device asked once for the network address of a server of %(app)s.",
            "This device asked %(count)s times for the network address of a server of %(app)s.",
            lookups,
            app=app,
        )
    if connections:
        yield language.say_count(
            "This device began one connection to a server of %(app)s.",
            "This device began %(count)s connections to servers of %(app)s.",
            connections,
            app=app,
        )
    elif incident.is_connected:
        yield language.say(
            "A connection was recorded that seems to belong to %(app)s; it did not show a name.",
            app=app,
        )
    elif lookups:
        yield language.say("No connection was recorded.")
    if incident.is_connected or incident.outcome == "blocked":
        yield {
            "reached": language.say("At least one server answered."),
            "blocked": language.say("The contact was blocked before a server answered."),
            "attempted": language.say("No answer was recorded."),
        }.get(
            incident.outcome,
            language.say("It is not known whether a server answered."),
        )
    if incident.is_connected and traffic.bytes_out + traffic.bytes_in:
        yield language.say(
            "%(sent)s were sent and %(received)s received.",
            sent=language.size(traffic.bytes_out),
            received=language.size(traffic.bytes_in),
        )


def _rule(incident: Explanation, language: Language) -> Iterator[Part]:
    say, ban = language.say, incident.ban
    app, devices = incident.app, devices_of_class(incident.device.device_class, language)
    if incident.verdict == "advisory":
        rule = say(
            "The rule advises against %(app)s on %(devices)s, without forbidding it.",
            app=app,
            devices=devices,
        )
    else:
        rule = say("The rule does not allow %(app)s on %(devices)s.", app=app, devices=devices)
    yield Part(rule)
    if incident.verdict == "exempt":
        yield Part(
            say(
                "A registered exemption covers this device: the contact counts as permitted and is"
                " kept only so that the register can be checked."
            )
        )
    fields = (
        (say("Decided by"), ban.authority or _BLANK),
        (say("Legal basis"), ban.legal_basis or _BLANK),
        (say("In force"), period_text(ban.period.start, ban.period.end, language)),
    )
    yield Part(fields=fields)


def devices_of_class(device_class: str, language: Language) -> str:
    """The devices of a class of networks or of the inventory, in words."""
    say = language.say
    return {
        "service": say("service devices"),
        "personal": say("personal devices used for work"),
        "guest": say("devices of guests"),
        "infrastructure": say("servers and network equipment"),
    }.get(device_class, say("devices of this network"))


def period_text(first: str | None, last: str | None, language: Language) -> str:
    """The first and the last day of a period (``YYYY-MM-DD``) in words; None is without limit.
    `language` has the catalogues of this package."""
    begin = language.day(date.fromisoformat(first)) if first else ""
    end = language.day(date.fromisoformat(last)) if last else ""
    if begin and end:
        return language.say("from %(begin)s to %(end)s inclusive", begin=begin, end=end)
    if begin:
        return language.say("since %(begin)s, without an end date", begin=begin)
    if end:
        return language.say("until %(end)s inclusive", end=end)
    return language.say("without an end date")


def _unproved(incident: Explanation, language: Language) -> Part:
    say, app = language.say, incident.app
    codes = {statement.code for statement in not_proved(incident)}
    texts = [
        say("Who used the device, or whether anyone did: a device can be shared."),
        say("What was viewed, written or said."),
    ]
    if "lookup-only" in codes:
        texts.append(say("That %(app)s was contacted: only an address was asked for.", app=app))
    if "attempt-only" in codes:
        texts.append(say("That a contact with %(app)s succeeded.", app=app))
    if incident.is_page_possible:
        texts.append(
            say(
                "That the app was opened: a web page that contains a video or a button of %(app)s"
                " contacts the same servers when the page is opened.",
                app=app,
            )
        )
    texts.append(
        say(
            "That an installed app was used: it connects in the background even"
            " while nobody uses the device."
        )
    )
    if "address-only" in codes:
        texts.append(
            say(
                "That it was one particular device: only a network address is known here, and an"
                " address can pass from one device to another."
            )
        )
    else:
        texts.append(
            say(
                "That it was this device beyond all doubt: a network address can pass"
                " from one device to another."
            )
        )
    if "flow-record" in codes:
        texts.append(
            say(
                "Which name each connection was for: of some only the address was recorded, and the"
                " name is one that had been looked up before."
            )
        )
    if "hidden-name" in codes:
        texts.append(
            say(
                "Which of several names each connection was for: some of them hide the name that"
                " they are for."
            )
        )
    if "shared-address" in codes:
        texts.append(
            say("That each server belongs only to %(app)s: services can share an address.", app=app)
        )
    return Part(points=tuple(texts))


def _wrong(incident: Explanation, language: Language) -> Part:
    say, app = language.say, incident.app
    codes = {statement.code for statement in refutations(incident)}
    texts = [
        say(
            "Another device had the network address %(ip)s at that time, or several devices shared"
            " it.",
            ip=incident.device.ip,
        ),
        say("The rule does not apply to this device, or was not in force on that day."),
    ]
    texts += [text for code, text in contradictions(language) if code in codes]
    if "page-history" in codes:
        texts.append(
            say("A page with content of %(app)s was open in the browser at that time.", app=app)
        )
    if "other-app" in codes:
        texts.append(say("Another app contacted the same servers at that time."))
    if "app-absent" in codes:
        texts.append(say("The app %(app)s was not installed on the device at that time.", app=app))
    if "exemption" in codes:
        texts.append(say("An exemption covered this device, for research for example."))
    return Part(points=tuple(texts))


def _kept(notice: Notice, language: Language) -> Part:
    say = language.say
    fields = (
        (say("This record"), _duration(notice.kept, language)),
        (say("The network data behind it"), _duration(notice.packets_kept, language)),
    )
    return Part(fields=fields)


def _duration(seconds: int | None, language: Language) -> str:
    return _BLANK if seconds is None else language.duration(seconds)


def _rights(notice: Notice, language: Language) -> Iterator[Part]:
    say = language.say
    yield Part(rights(language))
    fields = (
        (say("Responsible body"), notice.controller or _BLANK),
        (say("Contact"), notice.contact or _BLANK),
        (say("Supervisory authority"), notice.supervisor or _BLANK),
    )
    yield Part(fields=fields)


def rights(language: Language) -> str:
    """What persons concerned can demand. `language` has the catalogues of this package."""
    return language.say(
        "Under the General Data Protection Regulation (EU) 2016/679 you may ask for access to"
        " the data about you (Article 15), for the correction of wrong data (Article 16) and"
        " for erasure (Article 17), and you may object to the processing (Article 21). The"
        " Regulation sets conditions for these rights. You may also add your own account, and"
        " lodge a complaint with the supervisory authority."
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)


def notice_of(config: Config) -> Notice:
    """What the organisation tells persons concerned."""
    told, kept = config.data_protection, config.retention
    return Notice(
        told.controller if told else "",
        told.contact if told else "",
        told.supervisor if told else "",
        kept.incidents if kept else None,
        kept.evidence if kept else None,
    )


def zone_of_ban(ban_id: str, config: Config) -> ZoneInfo:
    """The time zone of a ban of the configuration or of a shipped one; UTC for any other, whose
    zone is not known."""
    ban = _known(ban_id, config)
    return ZoneInfo(ban.timezone if ban else "UTC")


def with_words(incident: Explanation, config: Config, code: str) -> Explanation:
    """An incident whose ban has its words from the configuration, or from the shipped ban, in a
    language. Words in the record that differ from these stay: they are what was decided then."""
    told = incident.ban
    ban = _known(told.id, config)
    if ban is None:
        return incident
    words = words_in(ban, code)
    bases = {period.basis: text for period, text in zip(ban.periods, words.bases, strict=True)}

    def in_words(period: Period) -> Period:
        return replace(period, basis=bases.get(period.basis, period.basis))

    authority, basis = told.authority, told.legal_basis
    told = replace(
        told,
        authority=words.authority if authority == ban.authority else authority,
        legal_basis=words.legal_basis if basis == ban.legal_basis else basis,
        period=in_words(told.period),
        periods=tuple(in_words(period) for period in told.periods),
    )
    return replace(incident, ban=told)


def _known(ban_id: str, config: Config) -> Ban | None:
    for ban in config.policy.bans:
        if ban.id == ban_id:
            return ban
    return load_pack(ban_id, config.catalog).ban if ban_id in pack_ids() else None
