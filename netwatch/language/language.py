"""One language: its texts, and its formats of dates, times, numbers and durations.

A text with values names them, ``say("%(count)s packets", count="12")``, so that a translation can
reorder them. The arguments of `say` and `say_count` are extracted by ``make messages``.

Sentences in records are translated when they are shown. Records are in English, including those of
earlier versions and of other machines, so a sentence is recognised by its words: each of `TEXTS` is
a pattern whose values have kinds. A number is formatted for the language, a count gets its noun,
and a sentence within another one is translated as well. A sentence that is not recognised stays in
English, and is marked as English.
"""

import gettext
import io
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from babel import Locale
from babel.dates import format_date, format_time, get_timezone_gmt
from babel.lists import format_list
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent
from babel.units import format_unit

from netwatch.language.sentences import TEXTS

LANGUAGES = ("en", "fr", "nl", "de")
"""The languages of texts for people; English is that of the source."""

DOMAIN = "netwatch.po"
"""The name of a catalogue."""

_YEAR = 365 * 86_400
_DURATIONS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
_SIZES = (("kilobyte", 10**3), ("megabyte", 10**6), ("gigabyte", 10**9), ("terabyte", 10**12))


@lru_cache(4096)
def _decimal(value: float, locale: Locale) -> str:
    """A formatted number; cached, because pages show the same small numbers again and again."""
    return str(format_decimal(value, locale=locale))


@dataclass(frozen=True, slots=True)
class Language:
    """A language by its code, with its translations. English is written as in a European
    administration: days before months, and the 24-hour clock."""

    code: str
    locale: Locale
    translations: gettext.NullTranslations

    def say(self, text: str, /, **values: str) -> str:
        """A text with its values."""
        return self.translations.gettext(text) % values

    def say_count(self, one: str, many: str, count: int, /, **values: str) -> str:
        """A text for a number, which is its value `count`, in the plural form that the number
        needs."""
        text = self.translations.ngettext(one, many, count)
        return text % {"count": self.number(count), **values}

    def number(self, value: float) -> str:
        """A number with its separators."""
        return _decimal(value, self.locale)

    def seconds(self, value: float) -> str:
        """A number of seconds, possibly negative, with its sign and to the millisecond, such as
        ``+3.000 s``: with the separators of the language, because a point may separate thousands
        there."""
        text = format_decimal(value, "+#,##0.000;-#,##0.000", locale=self.locale)
        return f"{text}\N{NO-BREAK SPACE}s"

    def size(self, octets: int) -> str:
        """A number of bytes in the largest decimal unit that is not greater than it."""
        unit, factor = "byte", 1
        for name, value in _SIZES:
            if octets >= value:
                unit, factor = name, value
        shown = round(octets / factor, 0 if octets >= 100 * factor else 1)
        return self._unit(shown, f"digital-{unit}", "long" if unit == "byte" else "short")

    def day(self, day: date) -> str:
        """A day, such as ``20 March 2023``."""
        return self._first(str(format_date(day, "long", locale=self.locale)), day.day)

    def weekday(self, moment: datetime, zone: tzinfo) -> str:
        """The day of a time with its weekday, in a time zone."""
        local = moment.astimezone(zone)
        return self._first(str(format_date(local, "full", locale=self.locale)), local.day)

    def _first(self, text: str, day: int) -> str:
        """A day as text; French has an ordinal for the first of a month, which Babel does not
        support."""
        return re.sub(r"\b1\b", "1er", text, count=1) if self.code == "fr" and day == 1 else text

    def time(self, moment: datetime, zone: tzinfo) -> str:
        """The time of day in a time zone, to the second."""
        return str(format_time(moment, "medium", tzinfo=zone, locale=self.locale))

    def offset(self, moment: datetime, zone: tzinfo) -> str:
        """The offset of a time zone from UTC at a time, such as ``UTC+01:00``."""
        return f"UTC{get_timezone_gmt(moment.astimezone(zone), 'iso8601', locale=self.locale)}"

    def duration(self, seconds: float) -> str:
        """A duration in the one unit that fits best: seconds up to years."""
        whole = max(1, round(seconds))
        if whole >= 2 * _YEAR or not whole % _YEAR:
            return self._unit(round(whole / _YEAR), "duration-year", "long")
        unit, size = next((unit, size) for unit, size in _DURATIONS if whole >= size)
        return self._unit(round(whole / size), f"duration-{unit}", "long")

    def amount(self, value: float, unit: str) -> str:
        """A number with the abbreviation of a CLDR unit, such as ``duration-minute``."""
        return self._unit(value, unit, "short")

    def share(self, share: float) -> str:
        """A share in percent with one decimal; 0 and 100 only if that is exact."""
        percent = round(100 * share, 1)
        if percent in (0, 100) and share not in (0, 1):
            percent = 0.1 if percent == 0 else 99.9
        return f"{self.number(percent)}\u00a0%"

    def percent(self, share: float) -> str:
        """A share as a whole number of percent."""
        return str(format_percent(share, locale=self.locale))

    def _unit(self, value: float, unit: str, length: Literal["short", "long"]) -> str:
        return str(format_unit(value, unit, length, locale=self.locale))

    def listed(self, parts: Iterable[str]) -> str:
        """Parts as a list in a sentence."""
        return str(format_list(list(parts), locale=self.locale))


def language(code: str, *folders: Path) -> Language:
    """A language of `LANGUAGES` with the catalogues in ``FOLDER/locale``; of several folders, the
    first with a translation is used. Raises `KeyError` for any other language."""
    if code not in LANGUAGES:
        raise KeyError(code)
    # British English writes days before months.
    locale = Locale.parse("en_GB" if code == "en" else code)
    translations = gettext.NullTranslations()
    for folder in reversed(folders if code != "en" else ()):
        compiled = _compiled(folder / "locale" / code / "LC_MESSAGES" / DOMAIN, code)
        found = gettext.GNUTranslations(io.BytesIO(compiled))
        found.add_fallback(translations)
        translations = found
    return Language(code, locale, translations)


@cache
def _compiled(file: Path, code: str) -> bytes:
    with file.open("rb") as stream:
        catalogue = read_po(stream, locale=code, abort_invalid=True)
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    return compiled.getvalue()


CATALOGUES = Path(__file__).parent
"""The folder whose ``locale`` has the translations."""

MAX_SENTENCE = 4000
"""Characters of a sentence that is translated; a longer one stays as it is."""

_NUMBER = r"\d[\d,]*(?:\.\d+)?"
_UNITS = (
    "bytes/min", "bursts of lookups", "bursts", "burst", "contacts", "contact", "lookups", "lookup",
    "alerts", "alert", "lists", "list", "minutes", "bytes", "byte", "times", "time",
    "rows", "row", "min", "s", "h",
)  # fmt: skip
_QUANTITY = rf"{_NUMBER} (?:{'|'.join(_UNITS)})"
_HOST = r"[^\s,]+"
_HOSTS = rf"{_HOST}(?:, {_HOST})*(?: and \d[\d,]* more)?"
_WORD = "confirmed|probable|possible"
_SPANS = {"s": "second", "min": "minute", "h": "hour"}
_PARAMETER = re.compile(r"%\((\w+)\)s")


@dataclass(frozen=True, slots=True)
class Translated:
    """A sentence, and the code of its language."""

    text: str
    language: str


def translated(text: str, code: str) -> Translated:
    """A sentence of a record in a language of `netwatch.language.language.LANGUAGES`."""
    if code == "en":
        return Translated(text, code)
    found = _translation(text, code)
    return Translated(text, "en") if found is None else Translated(found, code)


@lru_cache(maxsize=2048)
def _translation(text: str, code: str) -> str | None:
    """The translation; None if this is not a sentence of the table."""
    if len(text) > MAX_SENTENCE:
        return None
    for original, pattern in _patterns():
        match = pattern.fullmatch(text)
        if match is not None:
            used = language(code, CATALOGUES)
            values = {name: _value(name, value, used) for name, value in match.groupdict().items()}
            return used.say(original, **values)
    return None


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """The sentences with their patterns, those with the most words of their own first: a text of
    the system at the end of one may look like the end of another."""
    originals = sorted(TEXTS.values(), key=lambda text: -len(_PARAMETER.sub("", text)))
    return [(original, _pattern(original)) for original in originals]


def _pattern(original: str) -> re.Pattern[str]:
    parts = _PARAMETER.split(original)
    texts = [re.escape(part) for part in parts[::2]]
    groups = [f"(?P<{name}>{_KINDS[name].pattern})" for name in parts[1::2]]
    return re.compile("".join(a + b for a, b in zip(texts, [*groups, ""], strict=True)))


def _value(name: str, value: str, used: Language) -> str:
    return _KINDS[name].say(value, used)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of value: its pattern in English, and how to write it in a language."""

    pattern: str
    say: Callable[[str, Language], str]


def _number(text: str) -> int | float:
    digits = text.replace(",", "")
    return float(digits) if "." in digits else int(digits)


def _quantity(text: str, used: Language) -> str:
    """A number with its unit or noun."""
    digits, _, unit = text.partition(" ")
    value = _number(digits)
    if unit in _SPANS:
        return used.amount(value, f"duration-{_SPANS[unit]}")
    if unit == "bytes/min":
        return used.say("%(count)s bytes a minute", count=used.number(value))
    count = int(value)
    nouns: dict[str, Callable[[], str]] = {
        "contact": lambda: used.say_count("%(count)s contact", "%(count)s contacts", count),
        "lookup": lambda: used.say_count("%(count)s lookup", "%(count)s lookups", count),
        "burst": lambda: used.say_count("%(count)s burst", "%(count)s bursts", count),
        "bursts of lookup": lambda: used.say_count(
            "%(count)s burst of lookups", "%(count)s bursts of lookups", count
        ),
        "alert": lambda: used.say_count("%(count)s alert", "%(count)s alerts", count),
        "minute": lambda: used.say_count("%(count)s minute", "%(count)s minutes", count),
        "byte": lambda: used.say_count("%(count)s byte", "%(count)s bytes", count),
        "time": lambda: used.say_count("%(count)s time", "%(count)s times", count),
        "list": lambda: used.say_count("%(count)s list", "%(count)s lists", count),
        "row": lambda: used.say_count("%(count)s row", "%(count)s rows", count),
    }
    return nouns[unit.removesuffix("s")]()


def _hosts(text: str, used: Language) -> str:
    """Names; if there are many, some are only counted."""
    names, more, count = text.partition(" and ")
    if not more:
        return names
    return used.say_count(
        "%(names)s and %(count)s more",
        "%(names)s and %(count)s more",
        int(count.removesuffix(" more").replace(",", "")),
        names=names,
    )


def _percent(text: str, used: Language) -> str:
    return used.percent(int(text.removesuffix("%")) / 100)


def _word(text: str, used: Language) -> str:
    return {
        "confirmed": used.say("confirmed"),
        "probable": used.say("probable"),
        "possible": used.say("possible"),
    }[text]


def _sentences(text: str, used: Language) -> str:
    """Sentences within a sentence; one that is not recognised stays as it is."""
    return "; ".join(_translation(part, used.code) or part for part in text.split("; "))


def _sentence(text: str, used: Language) -> str:
    return _translation(text, used.code) or text


def _as_it_is(text: str, used: Language) -> str:
    return text


_COUNTS = _Kind(_NUMBER, lambda text, used: used.number(_number(text)))
_QUANTITIES = _Kind(_QUANTITY, _quantity)
_PERCENTS = _Kind(r"\d+%", _percent)
_WORDS = _Kind(_WORD, _word)
_NAMES = _Kind(_HOST, _as_it_is)
_TEXTS = _Kind(".+", _as_it_is)

_KINDS: Mapping[str, _Kind] = {
    **dict.fromkeys(
        (
            "contacts", "lookups", "bursts", "times", "time", "least", "least_time", "least_in",
            "least_out", "least_rate", "least_use", "least_minutes", "long_in", "long_time",
            "waiting", "lost",
        ),
        _QUANTITIES,
    ),
    **dict.fromkeys(("received", "sent", "use", "most", "rate", "minutes", "count"), _COUNTS),
    "stacks": _COUNTS,
    **dict.fromkeys(("variation", "most_variation"), _PERCENTS),
    **dict.fromkeys(("grade", "cap"), _WORDS),
    **dict.fromkeys(("name", "second", "shown", "evidence"), _NAMES),
    **dict.fromkeys(("family", "second_family", "moment"), _NAMES),
    **dict.fromkeys(("mac", "bound", "other"), _NAMES),
    **dict.fromkeys(("ban", "device", "similar", "folder", "interface", "log", "output"), _TEXTS),
    **dict.fromkeys(("problem", "version", "sources", "format", "by", "file"), _TEXTS),
    **dict.fromkeys(("owner", "place"), _TEXTS),
    "rule": _Kind(r"\w+ \S+", _as_it_is),
    "hosts": _Kind(_HOSTS, _hosts),
    "reason": _Kind(".+", _sentence),
    "reasons": _Kind(".+", _sentences),
}  # fmt: skip
"""The kinds of a sentence's values, by name."""
