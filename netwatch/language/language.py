"""One language: its texts, and how it writes dates, times, numbers and durations.

A text with values names them, ``say("%(count)s packets", count="12")``, so that a translation can
put them in another order. What `say` and `say_count` are given is extracted by ``make
messages``.
"""

import gettext
import io
import re
from collections.abc import Iterable
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

LANGUAGES = ("en", "fr", "nl", "de")
"""The languages of texts for people; English is that of the source."""

DOMAIN = "netwatch.po"
"""The name of a catalogue."""

_YEAR = 365 * 86_400
_DURATIONS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
_SIZES = (("kilobyte", 10**3), ("megabyte", 10**6), ("gigabyte", 10**9), ("terabyte", 10**12))


@lru_cache(4096)
def _decimal(value: float, locale: Locale) -> str:
    """A number with its separators: pages show the same small ones again and again."""
    return str(format_decimal(value, locale=locale))


@dataclass(frozen=True, slots=True)
class Language:
    """A language by its code, with its translations. English is as a European administration writes
    it: days before months, and hours up to 24."""

    code: str
    locale: Locale
    translations: gettext.NullTranslations

    def say(self, text: str, /, **values: str) -> str:
        """A text with its values."""
        return self.translations.gettext(text) % values

    def say_count(self, one: str, many: str, count: int, /, **values: str) -> str:
        """A text for a number, which is its value `count`, in the form that the number needs."""
        text = self.translations.ngettext(one, many, count)
        return text % {"count": self.number(count), **values}

    def number(self, value: float) -> str:
        """A number with its separators."""
        return _decimal(value, self.locale)

    def seconds(self, value: float) -> str:
        """A number of seconds that may be negative, with its sign and to the millisecond, such as
        ``+3.000 s``: with the separators of the language, in which a point may be one of thousands.
        """
        text = format_decimal(value, "+#,##0.000;-#,##0.000", locale=self.locale)
        return f"{text}\N{NO-BREAK SPACE}s"

    def size(self, octets: int) -> str:
        """A number of bytes in the largest decimal unit of which there is at least one."""
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
        """The day of a moment with its weekday, in a time zone."""
        local = moment.astimezone(zone)
        return self._first(str(format_date(local, "full", locale=self.locale)), local.day)

    def _first(self, text: str, day: int) -> str:
        """A day as text; French has an ordinal for the first of a month, which Babel lacks."""
        return re.sub(r"\b1\b", "1er", text, count=1) if self.code == "fr" and day == 1 else text

    def time(self, moment: datetime, zone: tzinfo) -> str:
        """The time of day of a moment in a time zone, to the second."""
        return str(format_time(moment, "medium", tzinfo=zone, locale=self.locale))

    def offset(self, moment: datetime, zone: tzinfo) -> str:
        """The offset of a time zone from UTC at a moment, such as ``UTC+01:00``."""
        return f"UTC{get_timezone_gmt(moment.astimezone(zone), 'iso8601', locale=self.locale)}"

    def duration(self, seconds: float) -> str:
        """A duration in the one unit that fits best: seconds up to years."""
        whole = max(1, round(seconds))
        if whole >= 2 * _YEAR or not whole % _YEAR:
            return self._unit(round(whole / _YEAR), "duration-year", "long")
        unit, size = next((unit, size) for unit, size in _DURATIONS if whole >= size)
        return self._unit(round(whole / size), f"duration-{unit}", "long")

    def amount(self, value: float, unit: str) -> str:
        """A number with the abbreviation of a unit of CLDR, such as ``duration-minute``."""
        return self._unit(value, unit, "short")

    def share(self, share: float) -> str:
        """A share in percent with one decimal; 0 and 100 only where that is exact."""
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
    """A language of `LANGUAGES` with the catalogues in ``FOLDER/locale``; of several, the first
    that has a text gives it. Raises `KeyError` for another language."""
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
