"""How each language writes what stands in a text."""

import datetime
import re
from datetime import UTC, date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from netwatch.language.language import LANGUAGES, language

BRUSSELS = ZoneInfo("Europe/Brussels")
MOMENT = datetime.datetime(2023, 2, 28, 23, 30, 5, tzinfo=UTC)


@pytest.fixture
def catalogues(tmp_path: Path) -> Path:
    """Catalogues of two texts, one with two forms."""
    plurals = {"fr": "(n > 1)", "nl": "(n != 1)", "de": "(n != 1)"}
    texts = {
        "fr": ("%(b)s avant %(a)s", "%(count)s paquet", "%(count)s paquets"),
        "nl": ("%(b)s voor %(a)s", "%(count)s pakket", "%(count)s pakketten"),
        "de": ("%(b)s vor %(a)s", "%(count)s Paket", "%(count)s Pakete"),
    }
    for code, (text, one, many) in texts.items():
        path = tmp_path / "locale" / code / "LC_MESSAGES" / "netwatch.po"
        path.parent.mkdir(parents=True)
        path.write_text(
            f'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
            f'"Plural-Forms: nplurals=2; plural={plurals[code]};\\n"\n\n'
            f'msgid "%(a)s after %(b)s"\nmsgstr "{text}"\n\n'
            f'msgid "%(count)s packet"\nmsgid_plural "%(count)s packets"\n'
            f'msgstr[0] "{one}"\nmsgstr[1] "{many}"\n'
        )
    return tmp_path


def test_texts_and_plural_forms(catalogues: Path) -> None:
    said = {}
    for code in LANGUAGES:
        used = language(code, catalogues)
        counts = [used.say_count("%(count)s packet", "%(count)s packets", n) for n in (0, 1, 1200)]
        said[code] = [used.say("%(a)s after %(b)s", a="x", b="y"), *counts]
    assert said == {
        "en": ["x after y", "0 packets", "1 packet", "1,200 packets"],
        "fr": ["y avant x", "0 paquet", "1 paquet", "1\u202f200 paquets"],
        "nl": ["y voor x", "0 pakketten", "1 pakket", "1.200 pakketten"],
        "de": ["y vor x", "0 Pakete", "1 Paket", "1.200 Pakete"],
    }


def test_a_text_without_a_translation_is_english(catalogues: Path) -> None:
    assert language("fr", catalogues).say("nothing of that") == "nothing of that"


def test_the_first_catalogue_that_has_a_text_gives_it(catalogues: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    path = other / "locale" / "nl" / "LC_MESSAGES" / "netwatch.po"
    path.parent.mkdir(parents=True)
    path.write_text('msgid "%(a)s after %(b)s"\nmsgstr "%(b)s, dan %(a)s"\n')
    both = language("nl", other, catalogues)
    assert both.say("%(a)s after %(b)s", a="x", b="y") == "y, dan x"
    assert both.say_count("%(count)s packet", "%(count)s packets", 2) == "2 pakketten"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("en", "Wednesday, 1 March 2023 00:30:05 UTC+01:00"),
        ("fr", "mercredi 1er mars 2023 00:30:05 UTC+01:00"),
        ("nl", "woensdag 1 maart 2023 00:30:05 UTC+01:00"),
        ("de", "Mittwoch, 1. März 2023 00:30:05 UTC+01:00"),
    ],
)
def test_a_moment_in_the_time_zone(code: str, expected: str) -> None:
    used = language(code)
    parts = [each(MOMENT, BRUSSELS) for each in (used.weekday, used.time, used.offset)]
    assert " ".join(parts) == expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("en", "11 March 2023 8.4 kB 1 byte 30 days 2 years 1 year 2 minutes 1 second a, b and c"),
        ("fr", "11 mars 2023 8,4 ko 1 octet 30 jours 2 ans 1 an 2 minutes 1 seconde a, b et c"),
        ("nl", "11 maart 2023 8,4 kB 1 byte 30 dagen 2 jaar 1 jaar 2 minuten 1 seconde a, b en c"),
        ("de", "11. März 2023 8,4 kB 1 Byte 30 Tage 2 Jahre 1 Jahr 2 Minuten 1 Sekunde a, b und c"),
    ],
)  # fmt: skip
def test_days_sizes_durations_and_lists(code: str, expected: str) -> None:
    used = language(code)
    year = 365 * 86_400
    durations = map(used.duration, (30 * 86_400, 2 * year, year, 125, 0.2))
    parts = [used.day(date(2023, 3, 11)), used.size(8386), used.size(1), *durations]
    said = " ".join([*parts, used.listed(["a", "b", "c"])])
    # Between a number and its unit no line may be broken, in the languages that care.
    assert re.sub("[\u00a0\u202f]", " ", said) == expected
    assert used.size(123_456_789).startswith("123")


@pytest.mark.parametrize(
    ("code", "expected"),
    [("en", "+1,203.000 s -0.002 s"), ("fr", "+1\u202f203,000 s -0,002 s"),
     ("nl", "+1.203,000 s -0,002 s"), ("de", "+1.203,000 s -0,002 s")],
)  # fmt: skip
def test_how_far_a_clock_is_off(code: str, expected: str) -> None:
    used = language(code)
    said = f"{used.seconds(1203)} {used.seconds(-0.0021)}"
    assert said.replace("\N{NO-BREAK SPACE}", " ") == expected


def test_another_language() -> None:
    with pytest.raises(KeyError):
        language("xx")
