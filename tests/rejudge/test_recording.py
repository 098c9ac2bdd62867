"""``rejudge --record``: the past is judged by the present bans, and the store says so."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from craft import Wire
from support.office import CONFIG, DURING, FAR, PERSONAL, SERVICE, capture, configured, hello

from netwatch.cli import main
from netwatch.rejudge.stored_runs import CompleteSpan, StoredCapture, StoredRun, complete_parts
from netwatch.store.fact_files import FactFiles
from netwatch.store.hour_counting import fill_hours, runs_without_hours
from netwatch.store.hour_rows import remove_hours
from netwatch.store.judged_coverage import judged_coverage
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

Run = Callable[..., str]

LATER = """
  - {id: later, authority: City, apps: [tiktok], forbids: [service], from: 2020-01-01}
"""
DAY = ("--from", "2023-04-03", "--to", "2023-04-03")


@pytest.fixture
def store(run: Run, tmp_path: Path) -> str:
    """A store in which a device contacts TikTok, when a ban on DeepSeek was all there was."""
    wire = Wire(DURING, 3)
    for client in (SERVICE, PERSONAL):
        hello(wire, client, FAR)
        wire.wait(5)
    text = CONFIG.replace("apps: [tiktok]", "apps: [deepseek]")
    common = ("-q", "-c", configured(tmp_path, text), "--store-path", str(tmp_path / "store"))
    assert run("scan", *common, "--store", capture(tmp_path / "day.pcap", wire)) == ""
    (tmp_path / "later.yaml").write_text(text.replace("exemptions:", f"{LATER}exemptions:"))
    return str(tmp_path / "store")


def report(run: Run, store: str) -> dict[str, Any]:
    """What a report says of the later ban."""
    folder = Path(store).parent
    target = folder / "report.json"
    config = str(folder / "later.yaml")
    run("report", "-c", config, "--store-path", store, *DAY, "--ban", "later", "-o",
        str(target))  # fmt: skip
    (ban,) = json.loads(target.read_text())["bans"]
    found: dict[str, Any] = ban
    return found


def codes(ban: dict[str, Any]) -> set[str]:
    return {each["code"] for each in ban["answer"]["reasons"]}


def again(store: str, *more: str) -> tuple[str, ...]:
    return ("rejudge", "-c", str(Path(store).parent / "later.yaml"), "--store-path", store, *more)


def test_a_ban_that_nobody_judged_by_is_judged_and_found_not_kept(
    run: Run, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = report(run, store)
    assert before["answer"]["word"] == "cannot-be-said"
    assert "not-judged" in codes(before)
    assert (before["coverage"]["captured"], before["coverage"]["judged"]) == (0.25, 0)
    (missing,) = [each for each in before["coverage"]["missing"] if each["command"]]
    command = "netwatch rejudge --record --since 2023-04-03 --until 2023-04-03"
    assert missing["command"] == command

    differences = run(*again(store, "--format", "jsonl", *command.split()[2:]))
    assert [json.loads(line)["change"] for line in differences.splitlines()] == ["new"]

    after = report(run, store)
    assert after["totals"]["all"]["violation"] == 1
    assert "not-judged" not in codes(after)
    assert after["coverage"]["judged"] == 0.25
    assert run(*again(store, "--record", "--format", "jsonl")) == ""


def test_without_it_nothing_is_recorded(run: Run, store: str) -> None:
    assert run(*again(store, "--format", "jsonl")) != ""
    assert "not-judged" in codes(report(run, store))


def test_what_would_be_withdrawn_stays(
    run: Run, store: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(*again(store, "--record"))
    config = Path(store).parent / "later.yaml"
    config.write_text(config.read_text().replace("apps: [tiktok]", "apps: [wechat]"))
    capsys.readouterr()
    assert main([*again(store, "--record")]) == 0
    assert "1 incident would be withdrawn, and stay" in capsys.readouterr().err
    assert report(run, store)["totals"]["all"]["violation"] == 1


@pytest.mark.parametrize("option", [["--at", "2023-04-03"], ["--all"]])
def test_what_does_not_say_how_the_past_is_judged_is_refused(
    store: str, option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*again(store, "--record", *option)]) == 2
    assert f"expected no {option[0]}" in capsys.readouterr().err


def test_hours_are_counted_from_facts_where_they_are_lost(run: Run, store: str) -> None:
    options = StoreOptions(store)
    with open_catalogue(options) as catalogue:
        known = judged_coverage(catalogue)
        with catalogue.database.writing() as connection:
            remove_hours(connection, 1)
        assert runs_without_hours(catalogue) == [1]
        assert fill_hours(catalogue, FactFiles(store)) == 1
        counted = judged_coverage(catalogue)
        assert fill_hours(catalogue, FactFiles(store)) == 0
    assert counted.captured_at_all == known.captured_at_all
    assert counted.networks() == known.networks() == ["byod", "hq"]
    for name in known.networks():
        assert counted.seen(name) == known.seen(name)
        assert counted.flows(name, 0, 1 << 62) == known.flows(name, 0, 1 << 62)
    assert "not-judged" in codes(report(run, store))


def span_of(*captures: int) -> dict[int, CompleteSpan]:
    return {number: CompleteSpan(None, None) for number in captures}


def test_of_which_parts_of_a_run_all_facts_are_there() -> None:
    captures = tuple(StoredCapture(number, True, 1, 2) for number in (5, 6))
    scan = StoredRun(1, "scan", "here", captures)
    assert complete_parts(scan, span_of(5)) == [(5, CompleteSpan(None, None))]
    live = StoredRun(2, "live", "here", captures)
    assert complete_parts(live, span_of(5)) == []
    spans = {5: CompleteSpan(3, None), 6: CompleteSpan(7, 90)}
    assert complete_parts(live, spans) == [(0, CompleteSpan(7, 90))]
    assert complete_parts(live, {**spans, 5: CompleteSpan(100, None)}) == []
