"""The page for the person concerned: whole, on one sheet, in every language, and respectful."""

import itertools
import json
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from support.evidence import scan_alerts
from support.paths import PCAPS, ROOT

from netwatch.config import load
from netwatch.core.alert import AlertRecord
from netwatch.explain.sheet import WIDTH, contradictions
from netwatch.explain.sources import explanation
from netwatch.explain.steps import Explanation
from netwatch.explain.subject import CATALOGUES, LINES, Notice, subject_page
from netwatch.explain.wording import NOT_PROVED, REFUTATIONS
from netwatch.formats.jsonl import alert_record
from netwatch.language.language import LANGUAGES, language

BRUSSELS = ZoneInfo("Europe/Brussels")
TRANSLATED = [code for code in LANGUAGES if code != "en"]
YEAR = 365 * 86_400
NOTICE = Notice("City of Example", "dpo@example.org", "Data Protection Authority", 2 * YEAR, YEAR)


@pytest.fixture(scope="module")
def records() -> list[AlertRecord]:
    """The alerts of all sample captures, read back from their lines."""
    site = load(str(PCAPS / "netwatch.yaml"))
    return [json.loads(json.dumps(alert_record(alert))) for alert in scan_alerts(site, PCAPS)]


def page(record: AlertRecord, code: str, notice: Notice = NOTICE) -> list[str]:
    incident = explanation(record)
    return list(subject_page(incident, notice, BRUSSELS, language(code, CATALOGUES)))


def catalogue(code: str) -> Catalog:
    path = CATALOGUES / "locale" / code / "LC_MESSAGES" / "netwatch.po"
    with path.open("rb") as stream:
        return read_po(stream, locale=code, abort_invalid=True)


def messages() -> set[tuple[str, ...]]:
    """The texts of the source, each with its form for many."""
    keywords = {"say": None, "say_count": (1, 2), "mark": None}
    found = set()
    for _, _, message, _, _ in extract_from_dir(ROOT / "netwatch/explain", keywords=keywords):
        found.add((message,) if isinstance(message, str) else tuple(message))
    return found


def forms(text: object) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_text_is_translated(code: str) -> None:
    source, translated = messages(), catalogue(code)
    assert len(source) > 50
    assert {forms(each.id) for each in translated if each.id} == source
    assert not translated.obsolete
    for each in translated:
        if not each.id:
            continue
        assert not each.fuzzy, each.id
        for form in forms(each.string):
            assert form.strip(), each.id
            # A label may be the same word in two languages; a sentence may not.
            assert form not in each.id or len(form) < 20, each.id
        for error in each.check(translated):
            raise error


@pytest.mark.parametrize("code", TRANSLATED)
def test_translations_have_the_same_values(code: str) -> None:
    for each in catalogue(code):
        for form in forms(each.string) if each.id else ():
            wanted = set(re.findall(r"%\((\w+)\)s", forms(each.id)[-1]))
            found = set(re.findall(r"%\((\w+)\)s", form))
            assert found == wanted or (
                form == forms(each.string)[0] and wanted - found == {"count"}
            )
            assert "%" not in re.sub(r"%\(\w+\)s", "", form)


@pytest.mark.parametrize(
    ("code", "intimate", "formal"),
    [
        ("fr", r"\b(tu|te|toi|ton|ta|tes|t')\b", "vous pouvez"),
        ("nl", r"\b(je|jij|jou|jouw|jullie)\b", "kunt u"),
        ("de", r"\b(du|dich|dir|dein\w*|ihr|euch)\b", "können Sie"),
    ],
)
def test_the_register_is_formal(code: str, intimate: str, formal: str) -> None:
    texts = " ".join(form for each in catalogue(code) for form in forms(each.string) if each.id)
    assert not re.search(intimate, texts), re.search(intimate, texts)
    assert formal in texts


def test_no_accusation(records: list[AlertRecord]) -> None:
    """Nobody is addressed before the rights, and no word judges."""
    for record in records:
        text = " ".join(page(record, "en"))
        before = text.partition("YOUR RIGHTS")[0]
        assert not re.search(r"\b(you|your|violat\w*|breach\w*|guilt\w*|offen\w*)\b", before, re.I)
        assert "neither an accusation nor a decision" in before
        for jargon in ("SNI", "DNS", "TLS", "QUIC", "handshake", "pcap", "community"):
            assert jargon not in text


TERMS = {
    "nl": ("betrokkene", "Verwerkingsverantwoordelijke", "inzage", "rectificatie",
           "gegevenswissing", "bezwaar maken", "Rechtsgrond", "Bewaartermijn",
           "Toezichthoudende autoriteit"),
    "fr": ("personne concernée", "Responsable du traitement", "accès à vos données à caractère",
           "rectification", "effacement", "vous opposer au traitement", "Base juridique",
           "Durée de conservation", "Autorité de contrôle", "introduire une réclamation"),
    "de": ("betroffene Person", "Verantwortlicher", "Auskunft", "Berichtigung", "Löschung",
           "Widerspruch", "Rechtsgrundlage", "Dauer der Speicherung", "Aufsichtsbehörde",
           "Beschwerde einlegen"),
}  # fmt: skip
"""The words of Regulation (EU) 2016/679 in each language: Articles 4, 6, 13, 15 to 17, 21, 77."""


@pytest.mark.parametrize("code", TERMS)
def test_the_terms_are_those_of_the_regulation(code: str) -> None:
    texts = " ".join(form for each in catalogue(code) for form in forms(each.string) if each.id)
    assert [term for term in TERMS[code] if term not in texts] == []


@pytest.mark.parametrize("code", LANGUAGES)
def test_pages_of_the_samples(code: str, records: list[AlertRecord]) -> None:
    assert len(records) == 24
    for record in records:
        lines = page(record, code)
        assert len(lines) <= LINES - 4
        assert max(map(len, lines)) <= WIDTH
        text = "\n".join(lines)
        assert "%(" not in text
        for told in (record["id"], record["device"]["ip"], "City of Example", "dpo@example.org"):
            assert told in text


def widest(record: AlertRecord, verdict: str, kind: str, outcome: str) -> AlertRecord:
    """An incident whose texts are as long as they may be."""
    long = "long words and " * 30
    word = "W" * 300
    device = {
        "id": word,
        "ip": "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
        "mac": "02:00:00:00:00:01",
    }
    evidence = [{**record["evidence"][0], "name": f"{at}.{word}"} for at in range(9)]
    evidence[0] |= {"type": "ip-from-dns"}
    evidence[1] |= {"type": "dns-query", "count": 10**9}
    return {
        **record,
        "verdict": verdict,
        "kind": {"value": kind, "reasons": []},
        "outcome": outcome,
        "last_seen": "2024-12-31T23:59:59.999999Z",
        "app": {"id": "app", "name": word, "vendor": "vendor"},
        "ban": {**record["ban"], "authority": long, "legal_basis": long},
        "device": {**record["device"], **device, "hostname": word[:-1], "owner": long},
        "binding": None,
        "evidence": evidence,
        "counts": {**record["counts"], "flows": 10**9, "bytes_out": 10**14},
    }


VERDICTS = ("violation", "advisory", "exempt")
KINDS = ("session", "background", "embed", "lookup")
OUTCOMES = ("reached", "attempted", "blocked", "unknown")


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_page_is_longer_than_a_page(code: str, records: list[AlertRecord]) -> None:
    long = "an office with a long name " * 20
    notice = Notice(long, long, long, None, None)
    for verdict, kind, outcome in itertools.product(VERDICTS, KINDS, OUTCOMES):
        for record in (records[0], records[-1]):
            lines = page(widest(record, verdict, kind, outcome), code, notice)
            assert len(lines) <= LINES, (verdict, kind, outcome)
            assert max(map(len, lines)) <= WIDTH


def made(record: AlertRecord, **changes: object) -> Explanation:
    return explanation({**record, **changes})


def test_what_depends_on_the_incident(records: list[AlertRecord]) -> None:
    record = records[0]
    assert "The rule advises against TikTok" in " ".join(
        page({**record, "verdict": "advisory"}, "en")
    )
    exempt = " ".join(page({**record, "verdict": "exempt"}, "en"))
    assert "A registered exemption covers this device" in exempt
    text = " ".join(page(record, "en"))
    # Two queries, two answers and an alias are two questions.
    assert record["counts"]["lookups"] == 2
    assert "This device asked 2 times for the network address of a server of TikTok." in text
    assert "This device began 2 connections to servers of TikTok." in text
    counts = {**record["counts"], "lookups": 1, "handshakes": 0, "flows": 0}
    query = next(each for each in record["evidence"] if each["type"] == "dns-query")
    text = " ".join(page({**record, "counts": counts, "evidence": [query]}, "en"))
    assert "This device asked once for the network address of a server of TikTok." in text
    assert "No connection was recorded." in text
    assert "only an address was asked for" in text
    flow = {**query, "type": "ip-from-dns"}
    text = " ".join(page({**record, "counts": counts, "evidence": [query, flow]}, "en"))
    assert "A connection was recorded that seems to belong to TikTok" in text
    assert "No connection was recorded." not in text
    assert "only an address was asked for" not in text
    blocked = " ".join(page({**record, "outcome": "blocked"}, "en"))
    assert "The contact was blocked before a server answered." in blocked
    assert "That a contact with TikTok succeeded." in blocked


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_innocent_explanations_are_always_there(code: str, records: list[AlertRecord]) -> None:
    """A shared device, an address that changed hands, an app by itself; and a page with a video,
    where pages call the names."""
    words = {
        "en": (
            "web page that contains a video",
            "can be shared",
            "can pass from one",
            "background",
        ),
        "fr": ("page web contenant une vidéo", "être partagé", "peut passer d'un", "arrière-plan"),
        "nl": ("webpagina met een video", "worden gedeeld", "overgaan", "op de achtergrond"),
        "de": ("Webseite mit einem Video", "mehreren Personen", "übergehen", "im Hintergrund"),
    }[code]
    for record in records:
        text = " ".join(line.strip() for line in page(record, code))
        for word in words[1:]:
            assert word in text
        assert (words[0] in text) == explanation(record).is_page_possible
    for role, app_only, is_possible in (
        ("exclusive", True, False), ("exclusive", False, True), ("embed", False, True),
        ("cdn", False, True), ("vendor", False, False),
    ):  # fmt: skip
        evidence = [{**each, "role": role, "app_only": app_only} for each in records[0]["evidence"]]
        text = " ".join(line.strip() for line in page({**records[0], "evidence": evidence}, code))
        assert (words[0] in text) == is_possible, role


def test_times_are_those_of_the_ban(records: list[AlertRecord]) -> None:
    record = {
        **records[0],
        "first_seen": "2023-03-31T22:30:00Z",
        "last_seen": "2023-03-31T22:30:00Z",
    }
    assert any("samedi 1er avril 2023 à 00:30:00" in line for line in page(record, "fr"))
    incident = explanation(record)
    lines = subject_page(incident, NOTICE, ZoneInfo("UTC"), language("fr", CATALOGUES))
    assert any("vendredi 31 mars 2023 à 22:30:00 (UTC" in line for line in lines)


def test_what_is_not_configured_is_a_blank(records: list[AlertRecord]) -> None:
    text = "\n".join(page(records[0], "en", Notice()))
    assert text.count("." * 40) == 5
    assert "2 years" in "\n".join(page(records[0], "en"))


def test_hostile_texts_are_escaped(records: list[AlertRecord]) -> None:
    record = {**records[0], "app": {"id": "x", "name": "a\x1b[31m\u202eb\nc", "vendor": "v"}}
    text = "".join(page(record, "en"))
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_codes_of_doubt_are_known() -> None:
    """A code that is added has to be worded here, or to be left to the page for experts."""
    source = Path(ROOT / "netwatch/explain/subject.py").read_text()
    worded = set(re.findall(r'"([a-z-]+)" in codes', source))
    worded |= {code for code, _ in contradictions(language("en", CATALOGUES))}
    # Said of every incident, in the same words.
    always = {
        "person",
        "content",
        "embed",
        "other-apps",
        "unattended",
        "binding",
        "class",
        "period",
        "translation",
    }
    experts = {"server", "clock", "left-out", "packet", "file-hash", "rule", "sinkhole"}
    experts |= {
        "log-clock",
        "log-truth",
        "log-lacks",
        "sampled",
        "log-denied",
        "log-line",
        "log-packets",
    }
    assert worded <= {*NOT_PROVED, *REFUTATIONS}
    assert {*NOT_PROVED, *REFUTATIONS} == worded | always | experts
