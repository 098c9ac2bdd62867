"""Templates into HTML: every value escaped, every name defined, no inline style or script; with the
words of records in each language, and pictures as the SVG of both widths and the table of the data
below it.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from netwatch.charts import FOLDER as CHARTS
from netwatch.charts.picture import Picture, Table, dark_rules
from netwatch.console.sessions import form_token
from netwatch.console.view import View
from netwatch.core.errors import NetwatchError
from netwatch.core.text import escaped
from netwatch.core.verdict import Ban
from netwatch.explain.subject import CATALOGUES, period_text
from netwatch.language.language import LANGUAGES, Language, language, translated

_NAMES = {"en": "English", "fr": "Français", "nl": "Nederlands", "de": "Deutsch"}
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture as the macro ``figure`` takes it. `wide` and `narrow` are empty if the picture
    could not be rendered: the table has the same data."""

    name: str
    title: str
    summary: str
    wide: Markup
    narrow: Markup
    table: Table


def figure(view: View, picture: Picture, prefix: str = "") -> Figure:
    """A picture for a page; `prefix` tells it from others of the same name there."""
    renderer = view.console.renderer
    try:
        # The only HTML that is not escaped: netwatch.charts made it, and escapes what is in it.
        wide = Markup(renderer.svg(picture, "wide", view.language, prefix))
        narrow = Markup(renderer.svg(picture, "narrow", view.language, prefix))
    except NetwatchError as error:
        view.console.report(str(error))
        wide = narrow = Markup()
    name = f"{prefix}{picture.name}"
    return Figure(name, picture.title, picture.summary, wide, narrow, picture.table)


def periods_of(ban: Ban, used: Language) -> str:
    """The days on which a ban is in force, in words, with the time zone that they are of."""
    texts = language(used.code, CATALOGUES)
    spans = [
        period_text(first.isoformat() if first else None, last.isoformat() if last else None, texts)
        for first, last in ban.days
    ]
    return f"{'; '.join(spans)} ({ban.timezone})"


def words(language: Language) -> Mapping[str, str]:
    """The words of verdicts, confidences, kinds, outcomes, states, roles, classes, and actions
    of the audit."""
    say = language.say
    return {
        "violation": say("violation"),
        "advisory": say("advisory"),
        "exempt": say("exempt"),
        "confirmed": say("confirmed"),
        "probable": say("probable"),
        "possible": say("possible"),
        "session": say("session"),
        "background": say("background"),
        "embed": say("embed"),
        "lookup": say("lookup"),
        "reached": say("reached"),
        "attempted": say("attempted"),
        "blocked": say("blocked"),
        "unknown": say("unknown"),
        "open": say("open"),
        "update": say("updated"),
        "closed": say("closed"),
        "not yet": say("not yet in force"),
        "in force": say("in force"),
        "gap": say("between two periods"),
        "over": say("over"),
        "erase": say("erased"),
        "prune": say("deleted by age"),
        "critical": say("critical"),
        "high": say("high"),
        "medium": say("medium"),
        "low": say("low"),
        "community_id": say("shared flows"),
        "time": say("device and time only"),
        "healthy": say("healthy"),
        "unhealthy": say("UNHEALTHY"),
        "silent": say("silent"),
        "new": say("not heard yet"),
        "admin": say("administrator"),
        "analyst": say("analyst"),
        "auditor": say("auditor"),
        "dpo": say("data protection officer"),
        "service": say("service"),
        "personal": say("personal"),
        "guest": say("guest"),
        "infrastructure": say("infrastructure"),
        "incident": say("incident"),
        "case": say("case"),
        "plain words": say("plain words"),
        "device": say("device"),
        "person": say("person"),
        "list": say("filtered list"),
        "export": say("export"),
        "identify": say("re-identification"),
        "triage": say("triage"),
        "exemption draft": say("draft of an exemption"),
        "netwatch": "netwatch",
        "signatures": say("signatures"),
        "bans": say("bans"),
        "configuration": say("configuration"),
        "set": say("set of signatures"),
        "purpose": say("purpose"),
        "sign-in": say("sign-in"),
        "sign-in failed": say("sign-in failed"),
        "sign-in limited": say("sign-in limited"),
        "sign-out": say("sign-out"),
        "sign-out everywhere": say("sign-out everywhere"),
        "password changed": say("password changed"),
        "account added": say("account added"),
        "account removed": say("account removed"),
        "role changed": say("role changed"),
        "filter shared": say("filter shared"),
        "filter unshared": say("filter no longer shared"),
        "token added": say("token added"),
        "token removed": say("token removed"),
    }


FOLDER = Path(__file__).parent
"""Where templates, static files and translations are."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file that browsers may keep: its content, media type, and the hash of its version."""

    content: bytes
    media_type: str
    version: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """The files of ``static/`` by name, and `charts.css`, the colours of pictures in the dark. They
    are read once; no other file can be asked for."""
    contents = {
        path.name: path.read_bytes()
        for path in sorted((FOLDER / "static").iterdir())
        if path.suffix in _TYPES
    }
    dark = f"@media screen and (prefers-color-scheme: dark) {{\n{dark_rules('svg.chart')}\n}}\n"
    contents["charts.css"] = dark.encode()
    return {
        name: StaticFile(content, _TYPES[Path(name).suffix], _version(content))
        for name, content in contents.items()
    }


def _version(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


@cache
def texts_of(code: str) -> Language:
    """A language with the texts of the console."""
    return language(code, FOLDER, CHARTS)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader([FOLDER / "templates", CHARTS / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Names from packets may hide or reorder the text next to them.
        finalize=lambda value: escaped(value) if type(value) is str else value,
    )
    environment.globals["static"] = _static
    # The usual filter leaves a slash as it is, and what has one would be another path.
    environment.filters["urlencode"] = lambda text: quote(text, safe="")
    return environment


def _static(name: str) -> str:
    return f"/static/{name}?v={static_files()[name].version}"


def render(template: str, view: View, values: Mapping[str, Any]) -> str:
    """A page as HTML; `values` have the ``menu``, too."""
    return _environment().get_template(f"{template}.html").render({**_frame(view), **values})


def _frame(view: View) -> dict[str, Any]:
    """What every template has: texts, words, times and forms."""
    say, csrf = view.language.say, form_token(view.token)
    return {
        "say": say,
        "say_count": view.language.say_count,
        "number": view.language.number,
        "duration": view.language.duration,
        "seconds": view.language.seconds,
        "words": words(view.language),
        "translated": lambda text: translated(text, view.language.code),
        "lang": view.language.code,
        "languages": [
            {"code": code, "name": _NAMES[code], "address": _with_language(view, code)}
            for code in LANGUAGES
        ],
        "zone": view.zone,
        "has_zone": view.has_zone,
        "instant": _instants(view.language),
        "identity": view.identity,
        "purpose": view.purpose,
        "place": view.place,
        "csrf": csrf,
        "csrf_field": lambda: Markup('<input type="hidden" name="csrf" value="{}">').format(csrf),
        "address_of": address_of,
    }


def _with_language(view: View, code: str) -> str:
    """The address of this page in another language."""
    pairs = [(name, value) for name, value in view.query.pairs if name != "lang"]
    return address_of(view.place, [*pairs, ("lang", code)])


def address_of(path: str, pairs: list[tuple[str, str]]) -> str:
    """A path with values behind it."""
    return f"{path}?{urlencode(pairs)}" if pairs else path


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment in words: in a time zone with its offset, in UTC, and for programs."""

    machine: str
    day: str
    time: str
    offset: str
    utc: str
    is_utc: bool


def _instants(texts: Language) -> Callable[[int | str, ZoneInfo], Instant]:
    def instant(moment: int | str, zone: ZoneInfo) -> Instant:
        """A moment (ns, or RFC 3339 in UTC) in a zone."""
        if isinstance(moment, int):
            at = datetime.fromtimestamp(moment // 1_000_000_000, UTC)
        else:
            at = datetime.fromisoformat(moment[:19]).replace(tzinfo=UTC)
        local = at.astimezone(zone)
        return Instant(
            at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            local.strftime("%Y-%m-%d"),
            local.strftime("%H:%M:%S"),
            texts.offset(at, zone),
            at.strftime("%H:%M:%S" if local.date() == at.date() else "%Y-%m-%d %H:%M:%S"),
            not local.utcoffset(),
        )

    return instant
