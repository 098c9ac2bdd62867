"""A walk through all pages of a console, as every role, and what is left of English in them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from html.parser import HTMLParser
from typing import Any

from babel.messages.pofile import read_po
from support.consoles import NAMES, Visitor
from support.fleets import FLEET_CASE, fill_fleet
from support.paths import ROOT

from netwatch.console.console import Console
from netwatch.console.routes import ROUTES, Route, may
from netwatch.watch.health import Thresholds, status_record, troubles
from netwatch.watch.snapshot import OutboxBacklog, OutputQueue, Snapshot

PACKAGES = ("charts", "console", "explain", "language", "report")
"""The packages that have texts for people."""

PERIOD = "from=2023-03-01&to=2023-03-31"
_DAYS = ("/overview", "/bans/{id}", "/blind-spots", "/exemptions", "/reports")
_HIDDEN = frozenset({"code", "script", "style"})
_ATTRIBUTES = frozenset({"aria-label", "title", "placeholder", "alt", "data-label"})


@dataclass(frozen=True, slots=True)
class Step:
    """A page as a role saw it."""

    role: str
    route: Route
    place: str
    answer: Any


def prepare(console: Console) -> None:
    """What a store of captures lacks: a sensor in trouble, and rows of the journal."""
    now = console.now() / 1e9
    snapshot = Snapshot(
        now=now, started=now - 900, version="1", signatures="x", interfaces=("eth0", "eth1"),
        interfaces_down=("eth1",), packets=10, dropped=5, last_drop=now - 1,
        records_problem="No space left on device",
        outputs={"siem": OutputQueue(3, now - 800, lost=1)},
        outbox=OutboxBacklog("disk I/O error", 1, 2),
    )  # fmt: skip
    assert len(troubles(snapshot, Thresholds())) >= 5
    fill_fleet(console.catalogue, console.now())
    console.catalogue.set_sensor_status("gate", status_record(snapshot, None, Thresholds()))
    for action in ("identify", "prune", "erase"):
        console.catalogue.add_journal("root", action, {})


def walk(console: Console, code: str, incident: str, left_out: frozenset[str]) -> Iterator[Step]:
    """Every page, as every role in turn, in a language; `left_out` are paths of routes."""
    for role, name in NAMES.items():
        visitor = Visitor(console)
        visitor.get(f"/sign-in?lang={code}")
        assert visitor.sign_in(name).status_code == 303
        for route in ROUTES:
            if route.method != "GET" or route.path in left_out or route.operation is not None:
                continue
            place = _place(route, incident)
            is_seen = may(route, role) and route.roles is not None
            if is_seen and (route.purpose is not None or "device=" in place):
                yield Step(role, route, place, visitor.get(place))
            yield Step(role, route, place, visitor.open(place) if is_seen else visitor.get(place))


def _place(route: Route, incident: str) -> str:
    ids = {
        "/cases/{id}": FLEET_CASE,
        "/devices/{id:path}": "ws-021",
        "/bans/{id}": "be-fed-tiktok-2023",
    }
    path = (
        route.path.replace(":path}", "}")
        .replace("{id}", ids.get(route.path, incident))
        .replace("{name}", "liege")
        .replace("{ban}", "be-fed-tiktok-2023")
        .replace("{file}", "fortigate.txt")
    )
    if route.path.startswith(_DAYS):
        return f"{path}?{PERIOD}"
    return f"{path}?device=ws-021" if route.path in ("/person", "/person.json") else path


class _Texts(HTMLParser):
    """The texts of a page that are in its language."""

    def __init__(self, code: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self._code = code
        self._open: list[tuple[str, bool]] = [("", True)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        is_shown = self._open[-1][1] and tag not in _HIDDEN
        is_shown = is_shown and given.get("lang", self._code) == self._code
        if is_shown:
            self.found += [value for name, value in attrs if name in _ATTRIBUTES and value]
        if tag not in ("br", "input", "link", "meta", "img", "hr"):
            self._open.append((tag, is_shown))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag such as those of SVG has no content."""

    def handle_endtag(self, tag: str) -> None:
        if any(name == tag for name, _ in self._open):
            while self._open.pop()[0] != tag:
                pass

    def handle_data(self, data: str) -> None:
        text = " ".join(data.split())
        if text and self._open[-1][1]:
            self.found.append(text)


def english_in(html: str, code: str) -> list[str]:
    """The texts of a page in a language that are English sentences or words of the catalogues."""
    texts = _Texts(code)
    texts.feed(html)
    return [text for text in dict.fromkeys(texts.found) if _is_english(text, code)]


@cache
def _is_english(text: str, code: str) -> bool:
    words, sentences = _english(code)
    return text in words or any(each.fullmatch(text) for each in sentences)


@cache
def _english(code: str) -> tuple[set[str], list[re.Pattern[str]]]:
    """The texts that are written otherwise in a language: those without values, and patterns of
    those with values."""
    originals: set[str] = set()
    same: set[str] = set()
    for package in PACKAGES:
        path = ROOT / f"netwatch/{package}/locale/{code}/LC_MESSAGES/netwatch.po"
        with path.open("rb") as stream:
            for message in read_po(stream, locale=code):
                if message.id:
                    originals |= {message.id} if isinstance(message.id, str) else {*message.id}
                    strings = message.string
                    same |= {strings} if isinstance(strings, str) else {*strings}
    value = re.compile(r"%\(\w+\)s|\{\w+\}")
    fixed = {text for text in originals - same if not value.search(text)}
    patterns = [
        re.compile(".+?".join(re.escape(part) for part in value.split(text)))
        for text in originals - same
        if value.search(text) and len(re.findall(r"[A-Za-z]{2,}", value.sub("", text))) > 1
    ]
    return fixed, patterns
