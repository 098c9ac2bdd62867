"""How numbers and months are written in pictures: locales of d3 from those of Babel.

They are passed with each rendering, because the renderer knows English only.
"""

from collections.abc import Mapping
from typing import Any

from babel.numbers import get_decimal_symbol, get_group_symbol

from netwatch.language.language import Language


def number_locale(language: Language) -> Mapping[str, Any]:
    """The locale of d3-format."""
    return {
        "decimal": get_decimal_symbol(language.locale),
        "thousands": get_group_symbol(language.locale),
        "grouping": [3],
        "currency": ["", ""],
        "percent": "\u00a0%",
    }


def time_locale(language: Language) -> Mapping[str, Any]:
    """The locale of d3-time-format."""
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
