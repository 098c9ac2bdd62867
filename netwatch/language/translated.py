"""A sentence of a record in the language of its reader.

Records are in English, those of earlier versions and of other machines too, so a sentence is found
by its words: each of `TEXTS` is a pattern, whose values have kinds. A number is written as the
language does it, a count gets its noun, and a sentence within another one is translated as well.
What is not found stays in English, and says so.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from netwatch.language.language import Language, language
from netwatch.language.sentences import TEXTS

CATALOGUES = Path(__file__).parent
"""The folder whose ``locale`` has the translations."""

MAX_SENTENCE = 4000
"""Characters of a sentence that is looked for; a longer one stays as it is."""

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
    """A sentence, and the code of the language that it is in."""

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
    """The translation, None where this is no sentence of the table."""
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
    """A kind of value: how it is written in English, and how to write it in a language."""

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
    """Names, of which some may only be counted."""
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
    """Sentences within a sentence; one that is not found stays as it is."""
    return "; ".join(_translation(each, used.code) or each for each in text.split("; "))


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
    **dict.fromkeys(("problem", "version", "sources", "format", "by", "file", "owner"), _TEXTS),
    "rule": _Kind(r"\w+ \S+", _as_it_is),
    "hosts": _Kind(_HOSTS, _hosts),
    "reason": _Kind(".+", _sentence),
    "reasons": _Kind(".+", _sentences),
}  # fmt: skip
"""The kind of each value of a sentence, by its name."""
