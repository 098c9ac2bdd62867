"""The documents of a controller: filled in from the configuration, in every language."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from netwatch.cli import main
from netwatch.cli.policy_document import DOCUMENTS
from netwatch.config import Config, load
from netwatch.explain.documents import BLANK, MAX_ROWS, documents, markdown
from netwatch.explain.subject import CATALOGUES
from netwatch.language.language import LANGUAGES, language
from netwatch.privacy import write_new_key
from netwatch.store.options import Retention

CONFIGURATION = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service}
  - {name: guests, cidrs: [10.40.0.0/16], class: guest}
bans: [{pack: be-fed-tiktok-2023}]
store: {path: store}
retention: {observations: 30d, incidents: 2y, evidence: 1y, personal: 7d}
privacy: {pseudonyms: [guest], key: {file: key}}
data_protection: {controller: City of Example, contact: dpo@city.example, supervisor: DPA}
outputs: [{name: siem, type: file, path: alerts.jsonl}]
spool: {path: spool}
"""
ALL = [(document, code) for document in DOCUMENTS for code in LANGUAGES]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_new_key(tmp_path / "key")
    return tmp_path


def configured(text: str = CONFIGURATION) -> Config:
    Path("netwatch.yaml").write_text(text, encoding="utf-8")
    return load("netwatch.yaml")


def made(document: str, config: Config, code: str = "en") -> list[str]:
    spoken = language(code, CATALOGUES)
    return list(markdown(documents()[document](config, spoken), spoken))


def cells(lines: list[str]) -> list[str]:
    return [cell for line in lines if line.startswith("| ") for cell in line[2:-2].split(" | ")]


def test_the_command_has_all_documents() -> None:
    assert (*documents(),) == DOCUMENTS


@pytest.mark.parametrize(("document", "code"), ALL)
def test_what_the_configuration_says_is_in_every_language(document: str, code: str) -> None:
    text = "\n".join(made(document, configured(), code))
    spoken = language(code, CATALOGUES)
    day = 86_400
    for seconds in (30 * day, 2 * 365 * day, 365 * day, 7 * day):
        assert spoken.duration(seconds) in text
    for word in ("City of Example", "dpo@city.example", "hq", "guests", "siem (file)", "716"):
        assert word in text, word


@pytest.mark.parametrize(("document", "code"), ALL)
def test_each_says_that_no_lawyer_has_read_it(document: str, code: str) -> None:
    words = {"en": "No lawyer", "fr": "ucun juriste", "nl": "een jurist", "de": "ein Jurist"}
    text = " ".join(made(document, configured(), code)[:4])
    assert words[code].lower() in text.lower()


@pytest.mark.parametrize(("document", "code"), [each for each in ALL if each[1] != "en"])
def test_nothing_stays_in_english(document: str, code: str) -> None:
    config = configured()
    english = [cell for cell in cells(made(document, config)) if re.search("[a-z]{3}", cell)]
    same = set(english) & set(cells(made(document, config, code)))
    proper = {"City of Example", "dpo@city.example", "Incidents", "Information", "Pseudonyms"}
    assert same <= proper | {"Question"}


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("key", [each.name for each in fields(Retention)])
def test_every_period_of_the_configuration_is_told(document: str, key: str) -> None:
    retention = {"observations": "30d", "incidents": "2y", "evidence": "1y", "personal": "7d"}
    assert retention.keys() == {each.name for each in fields(Retention)}
    changed = CONFIGURATION.replace(f"{key}: {retention[key]}", f"{key}: 3d")
    assert changed != CONFIGURATION
    assert made(document, configured(changed)) != made(document, configured())
    assert "3 days" in "\n".join(made(document, configured(changed)))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_is_not_configured_is_a_blank_or_without_limit(document: str) -> None:
    text = "\n".join(made(document, configured("version: 1\n")))
    assert text.count("without limit") == 7
    assert "No devices have pseudonyms" in text
    assert "no other system receives alerts" in text
    assert BLANK in text
    assert document == "record" or "no store is configured" in text.lower()


def test_pseudonyms_and_the_shorter_period_are_those_of_the_configuration() -> None:
    text = "\n".join(made("notice", configured()))
    assert "These devices appear under a pseudonym: devices of guests." in text
    assert "| The same of personal and guest devices | 7 days |" in text
    days = "| Days on which devices hid their lookups | 2 years |\n"
    assert f"{days}| The same of personal and guest devices | 7 days |" in text
    longer = CONFIGURATION.replace("personal: 7d", "personal: 60d")
    assert "personal and guest devices | 30 days |" in "\n".join(made("notice", configured(longer)))


def test_a_text_cannot_leave_its_cell() -> None:
    hostile = r'controller: "A | B\n# <b>heading</b>"'
    config = configured(CONFIGURATION.replace("controller: City of Example", hostile))
    lines = made("record", config)
    assert "# <b>heading" not in "\n".join(lines)
    (line,) = [line for line in lines if "(a) Responsible body" in line]
    assert r"A \| B" in line
    assert "&lt;b>heading" in line


def test_many_networks_are_counted() -> None:
    rows = "".join(f"  - {{name: n{n}, cidrs: [10.9.{n}.0/24], class: guest}}\n" for n in range(60))
    text = "\n".join(made("notice", configured(f"version: 1\nnetworks:\n{rows}")))
    assert f"{60 - MAX_ROWS} more" in text
    assert "n59" not in text


def test_the_command_writes_a_document(capsys: pytest.CaptureFixture[str]) -> None:
    configured()
    assert main(["policy", "document", "dpia", "--lang", "nl", "-o", "dpia.md"]) == 0
    text = Path("dpia.md").read_text(encoding="utf-8")
    assert text.startswith("# Gegevensbeschermingseffectbeoordeling")
    assert "Formulier voor de ondernemingsraad" in text
    assert capsys.readouterr().out == ""
    with pytest.raises(SystemExit, match="2"):
        main(["policy", "document", "dpai"])
    assert "did you mean 'dpia'?" in capsys.readouterr().err
