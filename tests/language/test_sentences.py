"""The sentences of records: each is found by its words again, and is in every language."""

import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from support.paths import ROOT

from netwatch.config import load
from netwatch.incidents.kind_thresholds import THRESHOLDS, limit
from netwatch.language.language import (
    CATALOGUES,
    LANGUAGES,
    MAX_SENTENCE,
    Translated,
    language,
    translated,
)
from netwatch.language.sentences import TEXTS, sentence
from netwatch.watch.health import Thresholds, troubles
from netwatch.watch.snapshot import OutboxBacklog, Snapshot

OTHERS = [code for code in LANGUAGES if code != "en"]
PARAMETER = re.compile(r"%\((\w+)\)s")
VALUES = {
    **dict.fromkeys(("contacts", "least"), "1,234 contacts"),
    **dict.fromkeys(("lookups",), "1 lookup"),
    **dict.fromkeys(("bursts",), "4 bursts of lookups"),
    **dict.fromkeys(("times",), "2 times"),
    **dict.fromkeys(("time", "least_time", "long_time"), "1.5 h"),
    **dict.fromkeys(("least_in", "least_out", "least_use", "long_in"), "32,768 bytes"),
    "stacks": "5",
    **dict.fromkeys(("least_rate",), "6,144 bytes/min"),
    **dict.fromkeys(("least_minutes",), "4 minutes"),
    **dict.fromkeys(("waiting", "lost"), "2 alerts"),
    **dict.fromkeys(("received", "sent", "use", "most", "rate", "minutes", "count"), "1,257,625"),
    **dict.fromkeys(("variation", "most_variation"), "35%"),
    **dict.fromkeys(("grade", "cap"), "probable"),
    **dict.fromkeys(("name", "second"), "v16-webapp.tiktok.com"),
    "hosts": "a.tiktokv.com, b.tiktokv.com and 2 more",
    "rule": "glob v*-web*.tiktok.com",
    "reason": "two devices have its MAC at this time",
    "reasons": "the domain is this app's own (role exclusive): confirmed; the owner of the"
    " domain is not confirmed (verified: false): at most probable",
}


def values_of(text: str) -> dict[str, str]:
    return {name: VALUES.get(name, f"<{name}>") for name in PARAMETER.findall(text)}


@pytest.mark.parametrize("code", OTHERS)
def test_every_sentence_is_found_by_its_words_and_translated(code: str) -> None:
    used = language(code, CATALOGUES)
    for name, text in TEXTS.items():
        values = values_of(text)
        found = translated(sentence(name, **values), code)
        assert found.language == code, name
        pattern = re.escape(used.say(text, **dict.fromkeys(values, "\0"))).replace("\0", "(.+)")
        match = re.fullmatch(pattern, found.text)
        assert match is not None, (name, found.text)
        for value in values.values():
            if value.startswith(("<", "v16-", "glob ")):
                assert value in found.text, name
        for english in ("contacts (", " alerts", "probable;", "two devices", "and 2 more"):
            assert english not in found.text, (name, found.text)


@pytest.mark.parametrize("code", OTHERS)
def test_every_text_is_translated_with_its_values(code: str) -> None:
    path = ROOT / "netwatch/language/locale" / code / "LC_MESSAGES/netwatch.po"
    with path.open("rb") as stream:
        catalogue = read_po(stream, locale=code, abort_invalid=True)
    assert {*TEXTS.values()} <= {each.id for each in catalogue}
    for message in catalogue:
        if not message.id:
            continue
        assert not message.fuzzy, message.id
        originals = [message.id] if isinstance(message.id, str) else message.id
        forms = [message.string] if isinstance(message.string, str) else message.string
        for form in forms:
            assert form, f"{originals[0]!r} is not translated"
            assert {*PARAMETER.findall(form)} == {*PARAMETER.findall(originals[-1])}, form


def test_numbers_are_written_as_the_language_does() -> None:
    text = sentence("in-browser-volume", received="1,257,625", sent="809", least_in="1 byte")
    assert "1.257.625 bytes en verzond het er 809" in translated(text, "nl").text
    text = sentence("regular", bursts="1 burst", time="1.5 h", variation="7%", most_variation="35%")
    assert "1,5 Std." in translated(text, "de").text
    assert "7\u202f%" in translated(text, "fr").text or "7\u00a0%" in translated(text, "fr").text


@pytest.mark.parametrize("text", ["", "Of another version.", "a" * (MAX_SENTENCE + 1), "1 contact"])
def test_what_is_no_sentence_of_the_table_stays_english_and_says_so(text: str) -> None:
    assert translated(text, "nl") == Translated(text, "en")


def test_hostile_values_are_found_in_a_bounded_time() -> None:
    for filling in ("x) and y (listed by ", "a, ", "; ", "%(name)s "):
        name = filling * (3000 // len(filling))
        for code, text in TEXTS.items():
            values = values_of(text) | dict.fromkeys(PARAMETER.findall(text), name)
            assert translated(sentence(code, **values), "nl").text


def test_all_thresholds_and_troubles_are_in_words_of_the_table() -> None:
    for row in THRESHOLDS:
        if row.unit != "ratio":
            text = sentence("one-way-volume", sent="1", least_out=limit(row.name))
            assert translated(text, "nl").language == "nl", row
    snapshot = Snapshot(
        now=10_000.0, started=0.0, version="1", signatures="x", interfaces=("eth0",),
        interfaces_down=("eth0",), dropped=5, last_drop=9_999.0, records_problem="disk; full",
        outbox=OutboxBacklog(problem="no space", waiting=1, lost=2),
    )  # fmt: skip
    found = troubles(snapshot, Thresholds())
    assert len(found) >= 5
    for trouble in found:
        assert translated(trouble.message, "nl").language == "nl", trouble


def test_notes_of_a_configuration_are_in_words_of_the_table(tmp_path: Path) -> None:
    path = tmp_path / "netwatch.yaml"
    path.write_text("version: 1\nexemptions: [{ban: default, device: lab-07}]\n")
    notes = load(str(path)).notes
    assert len(notes) >= 3
    for note in notes:
        assert translated(note, "fr").language == "fr", note
