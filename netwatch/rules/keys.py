"""The keys of signature files, of bans in a configuration, and of the files of shipped packs.

The words of a ban in a language are under ``texts`` and the language's code, so that a report or
page is in one language. They do not affect decisions.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import get_args

from netwatch.core.file_keys import Key, Kind, key, mappings, nested, read_section
from netwatch.core.period import UTC_ZONE
from netwatch.core.user_yaml import Fields, YamlSequence
from netwatch.core.value_kinds import (
    BOOLEAN,
    DAY,
    TEXT,
    TIMEZONE,
    choice,
    number,
    parsed,
    texts,
    with_lines,
    words_of,
)
from netwatch.core.verdict import BanPeriod, BanTexts, Confidence, Role, Severity

LANGUAGES = ("en", "fr", "nl", "de")
"""The languages of reports."""

BANNED_CLASSES = ("service", "personal", "guest")
"""Classes of devices that a ban can name. The class ``infrastructure`` is not among them, because a
resolver only asks on behalf of others."""

UNCONFIRMED = ("announced", "from", "until", "in_force", "legal_basis", "scope")
"""What a pack can mark as not confirmed by any source."""

_CONFIDENCE = choice(get_args(Confidence))
_CONFIDENCES = "`possible`, `probable` or `confirmed`"
_SEVERITY = choice(get_args(Severity))
_SEVERITIES = "severity of alerts: `low`, `medium`, `high` or `critical`"
_NAMES = texts("list of names")
_CLASSES = words_of(BANNED_CLASSES, "list of classes")
_BYPASS = choice(("count", "alert"))

ROLES: tuple[Role, ...] = get_args(Role)
"""What a rule can state about the names that it matches."""

CAPS: Mapping[str, Confidence] = {"probable": "probable", "possible": "possible"}
"""The highest confidences that a rule can allow."""

MIN_DECISION = 10
"""Letters of the reason under ``decide``, at least."""

MAX_DECISION = 300
"""Letters of it, at most."""

_SLUG_TEXT = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_SLUG = parsed(
    "id",
    lambda text: text if _SLUG_TEXT.match(text) else None,
    "a-z, 0-9 and single hyphens",
    pattern="[a-z0-9]+(-[a-z0-9]+)*",
    empty="",
)

_IN_PLACE_OF_OTHERS = "one of three"


@dataclass(slots=True, eq=False, repr=False)
class PackEntryKeys:
    """The keys of an entry of ``bans`` that names a pack. None means the pack's value."""

    pack: str = key(TEXT, "the id of a shipped ban", words="id", required="the id of a shipped ban")
    severity: Severity | None = key(_SEVERITY, _SEVERITIES, shown="the pack's")
    min_confidence: Confidence | None = key(
        _CONFIDENCE,
        f"confidence from which an incident is reported: {_CONFIDENCES}",
        shown="the pack's",
    )
    networks: tuple[str, ...] = key(_NAMES, "networks in which the ban applies", shown="the pack's")
    bypass: str | None = key(_BYPASS, "as in a ban that is written out", shown="the pack's")


@dataclass(slots=True, eq=False, repr=False)
class PeriodKeys:
    """The keys of a period of a ban."""

    from_: date | None = key(DAY, "first day; only the first period may be without", shown="open")
    until: date | None = key(DAY, "last day; only the last period may be without", shown="open")
    basis: str = key(TEXT, "the decision that it rests on, shown in alerts", shown="empty")
    kind: str = key(
        choice(("ban", "advice")),
        "`ban` or `advice`: with `advice` the classes under `forbids` give advisories",
        "ban",
    )


def _period(found: PeriodKeys, fields: Fields, _: Path) -> BanPeriod:
    check_days(fields, found.from_, found.until)
    return BanPeriod(found.from_, found.until, found.basis, found.kind == "advice")


@dataclass(slots=True, eq=False, repr=False)
class TextKeys:
    """The keys of a ban's words in a language."""

    authority: str = key(TEXT, "who issued the ban", shown="the ban's")
    legal_basis: str = key(TEXT, "its legal basis", shown="the ban's")
    bases: tuple[str, ...] = key(
        texts(),
        "the `basis` of each period, in the order of `periods`",
        shown="the periods'",
    )


def _read_texts(entry: Fields, declared: Key, base: Path) -> tuple[BanTexts, ...] | None:
    listed = entry.nested(declared.name, declared.name)
    if listed is None:
        return None
    periods = entry.mapping.get("periods")
    count = len(periods) if isinstance(periods, list) else 1
    found = []
    for language in LANGUAGES:
        words = listed.nested(language, "a text")
        if words is None:
            continue
        keys = read_section(TextKeys, words, base)
        found.append(BanTexts(language, keys.authority, keys.legal_basis, keys.bases))
        if keys.bases and len(keys.bases) != count:
            expected = f"expected a text for each of the {count} periods, found {len(keys.bases)}"
            words.add_problem("bases", f"'bases': {expected}")
    listed.reject_unknown()
    return tuple(found)


_TEXTS = Kind(
    "mapping",
    {"type": "object", "propertyNames": {"enum": [*LANGUAGES]}},
    _read_texts,
    empty=(),
    below=TextKeys,
    place=".*",
)


@dataclass(slots=True, eq=False, repr=False)
class BanKeys:
    """The keys of an entry of ``bans`` that defines a ban. `apps` have their lines."""

    id: str = key(
        TEXT, "a unique name, shown in alerts", required="a unique name, which alerts show"
    )
    authority: str = key(TEXT, "who issued the ban", required="who issued the ban")
    apps: tuple[tuple[int, str], ...] = key(
        with_lines(),
        "the banned apps, at least one: app ids, `vendor:…` and `category:…`",
        required="the banned apps: ids, vendor:… or category:…",
    )
    forbids: tuple[str, ...] = key(
        _CLASSES,
        "classes of devices whose contacts are violations: `service`, `personal`, `guest`",
        ("service",),
        shown="`[service]`",
    )
    advises: tuple[str, ...] = key(
        _CLASSES,
        "classes of devices whose contacts are advisories; a class must not be in both lists",
    )
    from_: date | None = key(DAY, "first day in force, `YYYY-MM-DD`, in `timezone`", shown="open")
    until: date | None = key(DAY, "last day in force, `YYYY-MM-DD`, in `timezone`", shown="open")
    periods: tuple[BanPeriod, ...] | None = key(
        mappings(PeriodKeys, "a period", _period, "list of periods", empty=None),
        "instead of `from` and `until`: the periods in which the ban is in force, in order; "
        "between two of them it is not",
        shown="from `from` and `until`",
    )
    review: date | None = key(DAY, "day on which the ban is to be reviewed, shown in alerts")
    timezone: str = key(TIMEZONE, "time zone in which its days begin and end", UTC_ZONE)
    legal_basis: str = key(TEXT, "shown in alerts", shown="empty")
    min_confidence: Confidence = key(
        _CONFIDENCE,
        f"{_CONFIDENCES}: incidents with weaker evidence are counted, but not reported",
        "probable",
    )
    severity: Severity = key(_SEVERITY, _SEVERITIES, "high")
    networks: tuple[str, ...] = key(
        _NAMES, "networks in which the ban applies", shown="all networks"
    )
    bypass: str = key(
        _BYPASS,
        "`alert`: the ban also covers every app that hides names (VPN, relay, Tor, encrypted "
        "DNS). `count`: flows of such apps are only counted as blind spots",
        "count",
    )
    texts: tuple[BanTexts, ...] = key(
        _TEXTS,
        "its words in other languages, for reports and pages: under `en`, `fr`, `nl` and `de`",
    )


@dataclass(slots=True, eq=False, repr=False)
class PackKeys(BanKeys):
    """The keys of a shipped pack's file."""

    jurisdiction: str = key(TEXT, "ISO 3166 code (`BE`, `US-TX`), `EU` or `NATO`", shown="empty")
    announced: date | None = key(DAY, "day on which the ban was announced")
    clean_by: date | None = key(DAY, "day by which devices had to be without the apps")
    scope: str = key(TEXT, "whom the ban covers, in words", shown="empty")
    status: str = key(
        TEXT,
        "whether it is still in force, and what about it is not known or not confirmed",
        shown="empty",
    )
    unconfirmed: tuple[str, ...] = key(
        words_of(UNCONFIRMED),
        "what no source confirms, as `status` explains: `announced`, `from`, `until`, "
        "`in_force`, `legal_basis` or `scope`",
    )
    notes: str = key(TEXT, "further remarks", shown="empty")
    sources: tuple[str, ...] = key(texts(), "where the ban was published or described")


def periods_of(found: BanKeys, fields: Fields) -> tuple[BanPeriod, ...]:
    """The periods of a ban, at least one; without any key it is open at both ends. Mistakes are
    noted."""
    start, end = found.from_, found.until
    check_days(fields, start, end)
    if not fields.has("periods"):
        return (BanPeriod(start, end),)
    if fields.is_set("from") or fields.is_set("until"):
        fields.add_problem(
            "periods", "a ban: expected either 'periods' or 'from' and 'until', found both"
        )
    listed = fields.mapping["periods"]
    if listed in (None, []):
        fields.add_problem("periods", "'periods': expected at least one period, found none")
    periods = found.periods or ()
    if isinstance(listed, YamlSequence) and len(listed) == len(periods):
        _check_order(fields, listed.lines, periods)
    return periods or (BanPeriod(None, None),)


def check_days(fields: Fields, start: date | None, end: date | None) -> None:
    """Note if the keys ``from`` and ``until`` are in the wrong order."""
    if start and end and end < start:
        fields.add_problem(
            "until", f"'until': expected a day not before 'from' ({start}), found {end}"
        )


def _check_order(fields: Fields, lines: Sequence[int], periods: Sequence[BanPeriod]) -> None:
    """Note if periods, each with its line, are not in order, or overlap."""
    for line, (earlier, later) in zip(lines[1:], pairwise(periods), strict=True):
        if earlier.end is None:
            message = "expected only the last period without 'until', found another one behind it"
        elif later.start is None:
            message = "expected 'from' in every period but the first, found none"
        elif later.start <= earlier.end:
            message = (
                f"expected a period from a day after {earlier.end}, on which the one before it"
                f" ends, found {later.start}"
            )
        else:
            continue
        fields.problems.add(fields.file, line, f"'periods': {message}")


def _read_decision(entry: Fields, declared: Key, _: Path) -> str | None:
    text = entry.text(declared.name)
    is_text = isinstance(entry.mapping.get(declared.name), str)
    if is_text and not MIN_DECISION <= len(text) <= MAX_DECISION:
        expected = f"a reason of {MIN_DECISION} to {MAX_DECISION} letters"
        entry.add_mismatch(declared.name, expected)
    return text or None


_DECISION = Kind("text", TEXT.schema, _read_decision, empty="")


@dataclass(slots=True, eq=False, repr=False)
class DomainKeys:
    """The keys of a rule."""

    suffix: str = key(
        TEXT,
        "matches the name itself and all names below it",
        words="name",
        shown=_IN_PLACE_OF_OTHERS,
    )
    host: str = key(TEXT, "matches exactly this name", words="name", shown=_IN_PLACE_OF_OTHERS)
    glob: str = key(
        TEXT,
        "matches names with as many labels; `*` is any text inside one label, and is not "
        "allowed in the last two labels",
        words="name with `*`",
        shown=_IN_PLACE_OF_OTHERS,
    )
    role: Role | None = key(
        choice(ROLES),
        "`exclusive`, `vendor`, `embed` or `cdn`",
        required=f"one of {', '.join(ROLES)}",
    )
    confidence: Confidence | None = key(
        choice(CAPS, "`probable` or `possible`"),
        "the highest [grade](../concepts/confidence.md#the-grade-of-a-rule) of the rule",
    )
    verified: bool = key(
        BOOLEAN,
        "`false` if the owner of the name is not confirmed; the grade is then at most `probable`",
        True,
        words="true or false",
    )
    embed_reachable: bool = key(
        BOOLEAN,
        "`true` if pages or other apps call the name too; the grade is then one step less",
        False,
        words="true or false",
    )
    sources: tuple[str, ...] = key(
        texts(),
        "tags of the sources that list this name",
        required="at least one tag of a source that lists the name",
    )
    decide: str = key(
        _DECISION,
        "why the app may claim a name that most devices contact, that belongs to a government, a "
        "public resolver or an update service, or that is private; written by a person",
        shown="required in a common zone",
    )


@dataclass(slots=True, eq=False, repr=False)
class AsnKeys:
    """The keys of an autonomous system."""

    number: int | None = key(
        number(1, (1 << 32) - 1, "1 to 4294967295 (RFC 6793)"),
        "the AS number, 1 to 4294967295",
        required="the AS number, without AS before it",
    )
    name: str = key(TEXT, "the holder of the AS", required="the holder of the AS")


@dataclass(slots=True, eq=False, repr=False)
class ExampleKeys:
    """The keys of ``tests``."""

    match: tuple[tuple[int, str], ...] = key(
        with_lines("list of names"), "names that must match the app"
    )
    ignore: tuple[tuple[int, str], ...] = key(
        with_lines("list of names"), "names that must not match the app"
    )


def _check_list(entry: Fields, declared: Key, _: Path) -> YamlSequence | None:
    """The items as written. There may be a million of them, so each is read on access."""
    entry.items(declared.name, declared.required)
    written = entry.mapping.get(declared.name)
    return written if isinstance(written, YamlSequence) else None


_DOMAINS = Kind(
    "list of mappings",
    {"type": "array", "items": {"type": "object"}},
    _check_list,
    below=DomainKeys,
    place="[]",
)


@dataclass(slots=True, eq=False, repr=False)
class SignatureKeys:
    """The keys of a signature file."""

    app: str = key(
        _SLUG,
        "the app's id: a-z, 0-9 and single hyphens; names the file",
        required="the app's id, a word like tiktok",
    )
    name: str = key(
        TEXT, "the app's name as people write it", required="the app's name as people write it"
    )
    vendor: str = key(
        _SLUG, "the group that bans name as `vendor:…`", required="a word like bytedance"
    )
    category: str = key(
        _SLUG, "the group that bans name as `category:…`", required="a word like video"
    )
    domains: YamlSequence | None = key(
        _DOMAINS, "the rules, at least one", required="the names of the app, at least one"
    )
    aliases: tuple[tuple[int, str], ...] = key(
        with_lines("list of names"),
        "CDN tails under which the zones of the app appear: with `edgesuite.net`, the "
        "suffix `tiktokcdn.com` also matches `tiktokcdn.com.edgesuite.net` and all names "
        "below it. Only a `suffix` whose role is `exclusive` or `vendor` has aliases",
    )
    asns: tuple[AsnKeys, ...] = key(
        mappings(AsnKeys, "an AS"),
        "autonomous systems that only the vendor uses; shown, but not part of a verdict",
    )
    addresses: tuple[tuple[int, str], ...] = key(
        with_lines("list of IP addresses"),
        "addresses of the app's servers. They classify flows without a name to apps that "
        "hide names, and are not part of a verdict",
    )
    tests: ExampleKeys = key(
        nested(ExampleKeys, "the tests", empty=ExampleKeys()),
        "names that the rules must and must not match",
    )
