import json
from pathlib import Path

import pytest
from support.paths import ROOT

from netwatch.cli import main
from netwatch.rules import bans as packs
from netwatch.rules import load as catalog_load

CONFIG = """\
version: 1
bans:
  - {pack: be-flanders-tiktok-2023, severity: low}
  - {pack: be-fed-deepseek-2025}
  - id: our-rule
    authority: City
    apps: [tiktok, wechat]
    review: 2023-09-10
    timezone: Europe/Brussels
    periods:
      - {from: 2023-03-10, until: 2023-09-16, basis: Decision 12}
      - {from: 2023-09-26, until: 2024-03-26, basis: Decision 34}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in (packs, catalog_load):
        monkeypatch.setattr(module, "shipped", lambda: ROOT / "signatures")
    Path("site.yaml").write_text(CONFIG)


@pytest.fixture
def run(capsys):
    def run(*words):
        try:
            status = main(["bans", *words])
        except SystemExit as error:
            status = error.code
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def records(run):
    def records(*words):
        status, out, err = run(*words, "--format", "jsonl")
        assert (status, err) == (0, "")
        return [json.loads(line) for line in out.splitlines()]

    return records


def ids(found):
    return [each["id"] for each in found]


def test_what_was_in_force_on_a_day(records):
    before, after = records("list", "--on", "2023-03-08"), records("list", "--on", "2023-03-09")
    assert "be-flanders-tiktok-2023" not in ids(before)
    assert "be-flanders-tiktok-2023" in ids(after)
    assert {each["state"] for each in after} == {"in force"}
    assert {each["on"] for each in after} == {"2023-03-09"}
    assert {each["configured"] for each in after} == {None}
    assert "default" not in ids(after)


def test_a_list_of_all_bans_has_their_state(records):
    found = records("list", "--all", "--on", "2023-03-09")
    states = {each["id"]: each["state"] for each in found}
    assert set(states) == set(packs.pack_ids()) - {"default"}
    assert states["be-fed-tiktok-2023"] == "not yet"
    assert states["eu-council-tiktok-2023"] == "in force"


def test_a_list_by_app_and_jurisdiction(records, run):
    found = records("list", "--app", "deepseek", "--on", "2026-01-01")
    assert all("deepseek" in each["apps"] for each in found)
    assert {"ca-gov-deepseek-2025", "be-chamber-deepseek-2025"} <= set(ids(found))
    found = records("list", "--jurisdiction", "be", "--on", "2023-12-01")
    assert {each["jurisdiction"] for each in found} == {
        "BE",
        "BE-VLG",
        "BE-WAL",
        "BE-FWB",
        "BE-BRU",
    }
    found = records("list", "--jurisdiction", "BE-WAL", "--on", "2023-12-01")
    assert ids(found) == ["be-wallonia-tiktok-2023"]
    assert run("list", "--jurisdiction", "B", "--all")[:2] == (2, "")


def test_a_list_with_a_configuration_marks_its_bans(records, run):
    found = records("list", "-c", "site.yaml", "--on", "2023-04-01")
    assert ids(found)[:2] == ["be-flanders-tiktok-2023", "our-rule"]
    assert [each["configured"] for each in found[:3]] == [True, True, False]
    assert found[0]["severity"] == "low"
    assert found[1]["sources"] is None
    _, out, _ = run("list", "-c", "site.yaml", "--on", "2023-04-01")
    head, first, *_ = out.splitlines()
    assert head.split() == ["BAN", "PERIOD", "FORBIDS", "ADVISES", "APPS", "CONFIGURED"]
    assert first.endswith(" yes")
    assert "2023-03-09 to 2023-09-25" in first
    _, out, _ = run("list", "--on", "2023-04-01")
    assert "CONFIGURED" not in out


def test_a_gap_is_not_in_force(records):
    def state(day):
        found = records("list", "--all", "-c", "site.yaml", "--on", day)
        return next(each["state"] for each in found if each["id"] == "our-rule")

    assert state("2023-09-16") == "in force"
    assert state("2023-09-17") == "gap"
    assert state("2023-09-26") == "in force"
    assert state("2024-03-27") == "over"


def test_all_facts_of_a_pack(run):
    status, out, err = run("show", "be-wallonia-tiktok-2023")
    assert (status, err) == (0, "")
    lines = [line.split(None, 1) for line in out.splitlines()]
    assert out.startswith("be-wallonia-tiktok-2023: Walloon Government\n")
    periods = [text for key, text in lines if key == "period"]
    assert [each[:24] for each in periods] == [
        "2023-03-16 to 2023-09-16",
        "2023-09-17 to 2023-12-31",
        "2024-01-01 to open  exte",
    ]
    facts = dict(lines)
    assert (facts["announced"], facts["clean_by"]) == ("2023-03-06", "2023-03-31")
    assert facts["review"] == "2023-09-16"
    assert facts["jurisdiction"] == "BE-WAL"
    assert facts["source"].startswith("https://")
    assert "configured" not in facts
    assert facts["file"].endswith("be-wallonia-tiktok-2023.yaml")


def test_a_ban_of_the_configuration_is_shown_with_its_gap(run, records):
    _, out, _ = run("show", "our-rule", "-c", "site.yaml")
    assert "gap           2023-09-17 to 2023-09-25  not in force\n" in out
    assert "configured    yes\n" in out
    (record,) = records("show", "our-rule", "-c", "site.yaml")
    assert record["gaps"] == [{"from": "2023-09-17", "until": "2023-09-25"}]
    assert [each["basis"] for each in record["periods"]] == ["Decision 12", "Decision 34"]
    assert record["state"] == "over"


def test_a_period_of_advice_is_named_as_such(run):
    _, out, _ = run("show", "nl-central-tiktok-2023")
    assert "2023-03-21 to 2025-02-05  advice only, letter of" in out


def test_an_unknown_ban_is_an_error_with_a_near_id(run):
    status, out, err = run("show", "be-wallonia-tiktok")
    assert (status, out) == (2, "")
    assert "found 'be-wallonia-tiktok'; did you mean 'be-wallonia-tiktok-2023'?" in err


def test_the_review_of_a_configuration(records):
    found = records("review", "-c", "site.yaml", "--on", "2023-09-12")
    assert {each["ban"] for each in found} <= {
        "be-flanders-tiktok-2023",
        "be-fed-deepseek-2025",
        "our-rule",
    }
    kinds = {(each["ban"], each["finding"]): each["day"] for each in found}
    assert kinds["our-rule", "review"] == "2023-09-10"
    assert kinds["our-rule", "gap"] == "2023-09-17"
    assert kinds["be-fed-deepseek-2025", "not-yet"] == "2025-12-01"
    assert kinds["be-flanders-tiktok-2023", "unconfirmed"] is None
    later = records("review", "-c", "site.yaml", "--on", "2024-03-27")
    kinds = {(each["ban"], each["finding"]): each["day"] for each in later}
    assert kinds["our-rule", "expired"] == "2024-03-26"
    assert ("our-rule", "review") not in kinds
    assert kinds["be-flanders-tiktok-2023", "review"] == "2024-03-26"


def test_the_days_ahead_of_a_review(records, run):
    def due(within):
        found = records("review", "--on", "2023-08-01", "--within", within)
        return {each["ban"] for each in found if each["finding"] == "review"}

    assert "be-fed-tiktok-2023" in due("40")
    assert "be-fed-tiktok-2023" not in due("39")
    for wrong in ("-1", "4000", "soon", "\u0663"):
        status, _, err = run("review", f"--within={wrong}")
        assert status == 2
        assert "expected 0 to 3660 days" in err


def test_nothing_is_due(run):
    Path("quiet.yaml").write_text(
        "version: 1\nbans: [{id: quiet, authority: City, apps: [tiktok]}]\n"
    )
    assert run("review", "-c", "quiet.yaml") == (0, "nothing is due\n", "")


@pytest.mark.parametrize("day", ["2023-02-30", "today", "20.3.2023"])
def test_a_wrong_day_is_a_usage_error(run, day):
    status, _, err = run("list", "--on", day)
    assert status == 2
    assert "expected a day as YYYY-MM-DD" in err


def test_a_mistake_in_the_configuration_is_reported(run):
    Path("site.yaml").write_text(CONFIG.replace("2023-09-26", "2023-09-16"))
    status, out, err = run("review", "-c", "site.yaml")
    assert (status, out) == (2, "")
    assert "site.yaml:12: 'periods': expected a period from a day after 2023-09-16" in err
