"""Templates into HTML: every value escaped, every name defined, no inline style or script."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from netwatch.charts import FOLDER as CHARTS
from netwatch.charts.theme import dark_rules
from netwatch.console.sessions import form_token
from netwatch.console.texts import words
from netwatch.console.view import View
from netwatch.core.text import escaped
from netwatch.language.language import LANGUAGES, Language, language
from netwatch.language.translated import translated

FOLDER = Path(__file__).parent
"""Where templates, static files and translations are."""

_NAMES = {"en": "English", "fr": "Français", "nl": "Nederlands", "de": "Deutsch"}
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


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
        # Names from packets may hide or reorder the text beside them.
        finalize=lambda value: escaped(value) if type(value) is str else value,
    )
    environment.globals["static"] = _static
    return environment


def _static(name: str) -> str:
    return f"/static/{name}?v={static_files()[name].version}"


def render(template: str, view: View, values: Mapping[str, Any]) -> str:
    """A page as HTML."""
    return _environment().get_template(f"{template}.html").render({**_frame(view), **values})


def _frame(view: View) -> dict[str, Any]:
    """What every template has: texts, words, times, forms, and the menu."""
    from netwatch.console.routes import ROUTES, may

    say, csrf = view.language.say, form_token(view.token)
    menu: dict[str, list[dict[str, Any]]] = {}
    for route in ROUTES:
        if route.menu and view.identity and may(route, view.role):
            is_here = view.place == route.path or view.place.startswith(f"{route.path}/")
            entry = {"path": route.path, "text": say(route.menu), "is_here": is_here}
            menu.setdefault(say(route.group), []).append(entry)
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
        "instant": _instants(view.language),
        "identity": view.identity,
        "purpose": view.purpose,
        "place": view.place,
        "menu": menu,
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
