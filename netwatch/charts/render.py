"""Renders charts as SVG in a worker process that is kept running, prepares the SVG for a page, and
caches the results.

Charts are cached by a hash of their specification and locales. A worker that does not answer in
time is killed, and the next chart starts a new one.

Numbers and months are formatted by d3 locales made from Babel's. They are passed with each
rendering, because the renderer knows English only.

Marks get tooltips, the chart gets an accessible name; style attributes, scripts and English labels
are removed, and ids differ from those of other charts on the page.

The worker is ``python -m netwatch.charts.render``. It reads requests from standard input, one per
line of JSON: the specification with its locales. It answers on standard output with a line of JSON:
``svg``, or ``error``. The library starts a JavaScript engine, which takes seconds once, and holds
the interpreter lock while it renders; hence a separate process, which ends when its input does.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import select
import subprocess
import sys
import threading
from collections.abc import Mapping
from typing import Any, Self
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from babel.numbers import get_decimal_symbol, get_group_symbol

from netwatch.charts.picture import FONT_SIZE, HATCH, LINE, SHADE, Picture, Size
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.installing import install_command
from netwatch.core.limited_dict import LimitedDict
from netwatch.language.language import Language, language

SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_TITLE = f"{{{SVG}}}title"
_DROPPED = ("style", "role", "aria-roledescription", "aria-label", "aria-hidden", "pointer-events")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")

TIME_LIMIT = 60.0
"""Seconds for one chart, including the start of the worker."""

CACHED = 256
"""SVGs in the cache."""

MAX_SVG_BYTES = 8 << 20
"""Bytes of an answer of the worker."""

_WORKER = [sys.executable, "-P", "-m", "netwatch.charts.render"]

VERSION = "6.4"
"""The version of Vega-Lite."""

NO_ADDRESS = ["netwatch:"]
"""The only base URL that a specification may load data from: a scheme that does not exist."""


def number_locale(language: Language) -> Mapping[str, Any]:
    """The d3-format locale."""
    return {
        "decimal": get_decimal_symbol(language.locale),
        "thousands": get_group_symbol(language.locale),
        "grouping": [3],
        "currency": ["", ""],
        "percent": "\u00a0%",
    }


def time_locale(language: Language) -> Mapping[str, Any]:
    """The d3-time-format locale."""
    locale = language.locale

    def names(kind: str, width: str, count: int) -> list[str]:
        values = getattr(locale, kind)["format"][width]
        return [values[number] for number in range(count)]

    sunday_first = [6, 0, 1, 2, 3, 4, 5]
    days = names("days", "wide", 7)
    short_days = names("days", "abbreviated", 7)
    months = locale.months["format"]
    return {
        "dateTime": "%-d %B %Y %H:%M:%S",
        "date": "%-d %B %Y",
        "time": "%H:%M:%S",
        "periods": ["", ""],
        "days": [days[number] for number in sunday_first],
        "shortDays": [short_days[number] for number in sunday_first],
        "months": [months["wide"][number] for number in range(1, 13)],
        "shortMonths": [months["abbreviated"][number] for number in range(1, 13)],
    }


ElementTree.register_namespace("", SVG)


def for_page(text: str, name: str, title: str, summary: str) -> str:
    """An SVG for a page. `name` is the prefix of its ids and must be unique on the page; `title` is
    its accessible name, `summary` its description."""
    root = ElementTree.fromstring(text)
    _clean(root, name)
    _hatch(root, f"{name}-hatch")
    description = ElementTree.Element(f"{{{SVG}}}desc", {"id": f"{name}-description"})
    description.text = summary
    root.insert(0, description)
    # A title element of the whole chart would be its tooltip wherever there is no mark.
    root.attrib |= {
        "class": "chart",
        "role": "img",
        "aria-label": title,
        "aria-describedby": f"{name}-description",
    }
    root.attrib.pop("version", None)
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: Element, name: str) -> None:
    """Remove what a page must not have or does not need, and turn labels of marks into titles."""
    for child in [*element]:
        if _is_needless(child):
            element.remove(child)
        else:
            _clean(child, name)
    if "font-size" in element.attrib:
        element.attrib["font-size"] = f"{FONT_SIZE}px"
    is_mark = element.get("role") == "graphics-symbol" and not len(element)
    label = element.get("aria-label")
    for attribute in [*element.attrib]:
        if attribute in _DROPPED or attribute.startswith(("on", f"{{{_XLINK}}}")):
            del element.attrib[attribute]
    if is_mark and label:
        title = ElementTree.SubElement(element, _TITLE)
        title.text = label
    for attribute, value in element.attrib.items():
        element.attrib[attribute] = _REFERENCE.sub(rf"url(#{name}-\1)", _rounded(value))
    if "id" in element.attrib:
        element.attrib["id"] = f"{name}-{element.attrib['id']}"


def _hatch(root: Element, name: str) -> None:
    """Hatch the marks that have the colour for it: the renderer has no patterns."""
    marks = [mark for mark in root.iter() if mark.get("fill") == HATCH]
    if not marks:
        return
    for mark in marks:
        mark.set("fill", f"url(#{name})")
    size = {"width": "7", "height": "7"}
    pattern = ElementTree.Element(
        f"{{{SVG}}}pattern", {"id": name, "patternUnits": "userSpaceOnUse", **size}
    )
    ElementTree.SubElement(pattern, f"{{{SVG}}}path", {"d": "M0 0H7V7H0Z", "fill": SHADE})
    line = {"d": "M-1 8L8 -1M-1 1L1 -1M6 8L8 6", "stroke": LINE, "stroke-width": "0.6"}
    ElementTree.SubElement(pattern, f"{{{SVG}}}path", line)
    root.insert(0, pattern)


def _is_needless(element: Element) -> bool:
    tag = element.tag.removeprefix(f"{{{SVG}}}")
    if tag == "script" or element.get("display") == "none":
        return True
    if tag == "text":
        return element.get("opacity") == "0"
    return tag == "path" and element.get("class") in ("foreground", "background")


def _rounded(value: str) -> str:
    return _LONG_NUMBER.sub(lambda match: f"{float(match[0]):.2f}".rstrip("0").rstrip("."), value)


def require_renderer(command: str, extra: str) -> None:
    """Raise `ConfigError` for a command if the rendering library is not installed."""
    if importlib.util.find_spec("vl_convert") is None:
        message = f"pictures need an extra: {install_command(extra)}"
        raise ConfigError.of(command, message)


class Renderer:
    """Renders charts, one at a time, for any number of threads; a context that ends the worker."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._known: LimitedDict[tuple[str, ...], str] = LimitedDict(CACHED)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def warm(self) -> None:
        """Start the worker and render something, so that the first chart does not have to wait;
        meant for a thread at the start of a service. Raises `NetwatchError`."""
        mark = {"data": {"values": [{}]}, "mark": "point"}
        request = _request(mark, language("en"))
        self._rendered(request, ("warm", "", ""))

    def svg(self, picture: Picture, size: Size, used: Language, prefix: str = "") -> str:
        """A chart as SVG for a page; `prefix` distinguishes it from others of the same name there.
        Raises `NetwatchError` if it cannot be rendered."""
        request = _request(picture.specifications[size], used)
        name = f"{prefix}{picture.name}-{size}"
        return self._rendered(request, (name, picture.title, picture.summary))

    def close(self) -> None:
        """End the worker."""
        with self._lock:
            self._stop()

    def _rendered(self, request: str, texts: tuple[str, str, str]) -> str:
        """The SVG for a request, from the cache or the worker, prepared for a page with a name, a
        title and a summary."""
        key = hashlib.sha256(request.encode()).hexdigest(), *texts
        with self._lock:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            text = self._known[key] = for_page(self._ask(request), *texts)
            return text

    def _ask(self, request: str) -> str:
        process = self._running()
        assert process.stdin is not None
        try:
            process.stdin.write(request.encode() + b"\n")
            process.stdin.flush()
            answer = json.loads(self._line(process))
        except (OSError, ValueError) as error:
            self._stop()
            raise NetwatchError(f"a picture could not be rendered: {error}") from None
        if "error" in answer:
            raise NetwatchError(f"a picture could not be rendered: {answer['error']}")
        return str(answer["svg"])

    def _line(self, process: subprocess.Popen[bytes]) -> bytes:
        """The next line from the worker. Raises `OSError` and `ValueError`."""
        assert process.stdout is not None
        parts: list[bytes] = []
        size = 0
        while not parts or not parts[-1].endswith(b"\n"):
            ready, _, _ = select.select([process.stdout], [], [], TIME_LIMIT)
            if not ready:
                raise ValueError(f"no answer within {TIME_LIMIT:.0f} s")
            part = process.stdout.read1(1 << 16)  # type: ignore[attr-defined]
            size += len(part)
            if not part:
                raise ValueError("the renderer ended")
            if size > MAX_SVG_BYTES:
                raise ValueError(f"more than {MAX_SVG_BYTES:,} bytes")
            parts.append(part)
        return b"".join(parts)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is not None:
            self._stop()
        if self._process is None:
            self._process = subprocess.Popen(
                _WORKER, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        return self._process

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):  # what was not sent cannot be sent any more
                        stream.close()


def _request(specification: Any, used: Language) -> str:
    """A request for the worker, as one line of JSON."""
    request = {
        "specification": specification,
        "numbers": number_locale(used),
        "times": time_locale(used),
    }
    return json.dumps(request, sort_keys=True)


def _render(request: Mapping[str, Any]) -> str:
    """The SVG for a request. Raises `ValueError` for an invalid specification."""
    import vl_convert

    return vl_convert.vegalite_to_svg(
        request["specification"],
        vl_version=VERSION,
        allowed_base_urls=NO_ADDRESS,
        format_locale=request["numbers"],
        time_format_locale=request["times"],
    )


def main() -> None:
    """Answer requests until the input ends."""
    # Whatever the library prints must not get into the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        try:
            answer = {"svg": _render(json.loads(line))}
        except (ValueError, KeyError, TypeError) as error:
            answer = {"error": str(error)}
        answers.write(f"{json.dumps(answer)}\n")
        answers.flush()


if __name__ == "__main__":
    main()
