"""``netwatch explain`` as a user calls it, over captures from packet to page."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.paths import PCAPS, ROOT

from netwatch.cli import main
from netwatch.explain.page import WIDTH
from netwatch.rules import bans as packs
from netwatch.rules import load as catalog_load

CAPTURE = str(PCAPS / "office-day.pcap")
CONFIG = """\
version: 1
networks:
  - {name: office, cidrs: [10.20.0.0/16], class: service, authority: City of Example}
bans:
  - id: our-rule
    authority: City of Example
    apps: [tiktok]
    forbids: [service]
    legal_basis: Decision 2023/12 art. 3
    timezone: Europe/Brussels
    periods:
      - {from: 2023-03-10, until: 2023-09-10, basis: Decision 12}
      - {from: 2023-09-26, basis: Decision 34}
exemptions:
  - {ban: our-rule, device: 10.20.9.9, reason: forensic research, approved_by: CISO}
  - {ban: our-rule, device: 10.20.1.21, until: 2023-03-01, reason: press office, approved_by: CIO}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for module in (packs, catalog_load):
        monkeypatch.setattr(module, "shipped", lambda: ROOT / "signatures")
    Path("netwatch.yaml").write_text(CONFIG)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*words: str) -> tuple[int, str, str]:
        try:
            status = main(list(words))
        except SystemExit as error:
            status = int(error.code or 0)
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


@pytest.fixture
def alerts(run: Any) -> list[dict[str, Any]]:
    words = ("-q", "--format", "jsonl", "-o", "alerts.jsonl", "--evidence", "proof")
    assert run("scan", CAPTURE, *words)[0] == 0
    return [json.loads(line) for line in Path("alerts.jsonl").read_text().splitlines()]


def of_device(alerts: list[dict[str, Any]], device: str) -> dict[str, Any]:
    return next(each for each in alerts if each["device"]["ip"] == device)


def test_a_page_has_every_step_and_fits_a_terminal(run: Any, alerts: list[dict[str, Any]]) -> None:
    alert = of_device(alerts, "10.20.1.21")
    status, page, problems = run("explain", alert["id"][:8], "--alerts", "alerts.jsonl")
    assert (status, problems) == (0, "")
    assert max(map(len, page.splitlines())) <= WIDTH
    assert page.isascii()
    for piece in alert["evidence"]:
        rule = piece["rule"]
        assert rule["file"] == "signatures/apps/tiktok.yaml"
        line = (ROOT / rule["file"]).read_text().splitlines()[rule["line"] - 1]
        assert rule["text"].split()[1] in line
        assert all(source in line for source in rule["sources"])
        assert f"{rule['file']}:{rule['line']}" in " ".join(page.split())
        assert f"{piece['packet']:,} of" in page
        assert piece["raw"] == piece["name"]
    flat = " ".join(page.split())
    assert "www.tiktok.com > www.tiktok.com.edgesuite.net" in flat
    assert "TTL" in flat
    assert "which led to this server" in flat
    assert "t13d" in flat
    assert "our-rule forbids TikTok on devices of class service" in flat
    assert "from 2023-03-10 to 2023-09-10 (Decision 12)" in flat
    assert "forensic research, approved by CISO): names another device." in flat
    assert "press office, approved by CIO): was over." in flat
    assert "Who used 10.20.1.21" in flat
    assert "What would refute it" in flat
    assert alert["versions"]["configuration"] in flat
    assert all(each in page for each in alert["community_ids"])
    assert "bytes sent" in flat
    assert "not from the configuration that decided" not in flat


def test_community_ids_share_lines(run: Any, alerts: list[dict[str, Any]]) -> None:
    ids = [f"1:{n:02}AAAAAAAAAAAAAAAAAAAAAAAAAA=" for n in range(64)]
    Path("many.jsonl").write_text(json.dumps({**alerts[0], "community_ids": ids}) + "\n")
    _, page, _ = run("explain", alerts[0]["id"], "--alerts", "many.jsonl")
    lines = [line.split() for line in page.splitlines() if "AAAA=" in line]
    assert [word for words in lines for word in words if word != "community"] == ids
    assert len(lines) == 32


def test_another_configuration_is_said(run: Any, alerts: list[dict[str, Any]]) -> None:
    Path("other.yaml").write_text("version: 1\n")
    _, page, _ = run("explain", alerts[0]["id"], "--alerts", "alerts.jsonl", "-c", "other.yaml")
    assert "not from the configuration that decided" in " ".join(page.split())


def test_an_unknown_id_has_status_2(run: Any, alerts: list[dict[str, Any]]) -> None:
    status, page, problems = run("explain", "0" * 32, "--alerts", "alerts.jsonl")
    assert (status, page) == (2, "")
    assert "no incident" in problems
    assert run("explain", "x", "--alerts", "nowhere.jsonl")[0] == 1
    assert run("explain", "x", "--alerts", "alerts.jsonl", "--store-path", "s")[0] == 2


def test_the_packets_alone_give_the_same_steps(run: Any, alerts: list[dict[str, Any]]) -> None:
    alert = of_device(alerts, "10.20.1.21")
    (capture,) = Path("proof").glob(f"*{alert['id']}.pcapng")
    for words in ((str(capture),), (alert["id"][:8], str(capture))):
        status, text, problems = run("explain", *words, "--format", "jsonl")
        assert (status, problems) == (0, "")
        found = json.loads(text)["alert"]
        assert found["id"] == alert["id"]
        keys = ("type", "name", "raw", "chain", "answer", "rule", "source", "packet", "tls")
        assert [{key: each[key] for key in keys} for each in found["evidence"]] == [
            {key: each[key] for key in keys} for each in alert["evidence"]
        ]
    status, _, problems = run("explain", "ffffffff", str(capture))
    assert (status, "no incident" in problems) == (2, True)
    Path("broken.pcapng").write_bytes(b"no capture at all")
    assert run("explain", "broken.pcapng")[0] == 1


def test_a_record_of_an_earlier_version_has_a_page_too(
    run: Any, alerts: list[dict[str, Any]]
) -> None:
    old = dict(alerts[0])
    for key in ("kind", "outcome", "blocked_by", "confidence_reasons", "duration", "versions"):
        old.pop(key)
    new = ("raw", "chain", "answer", "tls")
    old["evidence"] = [
        {key: value for key, value in piece.items() if key not in new}
        | {"rule": piece["rule"]["text"]}
        for piece in old["evidence"]
    ]
    Path("old.jsonl").write_text(json.dumps(old) + "\n")
    status, page, problems = run("explain", old["id"], "--alerts", "old.jsonl")
    assert (status, problems) == (0, "")
    assert old["evidence"][0]["rule"] in page


def test_a_blocked_app_is_still_installed(run: Any, alerts: list[dict[str, Any]]) -> None:
    blocked = of_device(alerts, "10.20.5.7") | {"outcome": "blocked", "blocked_by": ["NXDOMAIN"]}
    Path("blocked.jsonl").write_text(json.dumps(blocked) + "\n")
    _, page, _ = run("explain", blocked["id"], "--alerts", "blocked.jsonl")
    flat = " ".join(page.split())
    assert "The block works: TikTok was not reached (NXDOMAIN)." in flat
    assert "The app is still installed" in flat


def test_a_store_knows_the_hash_of_the_file(run: Any) -> None:
    pytest.importorskip("sqlalchemy")
    assert run("scan", CAPTURE, "-q", "--store-path", "kept", "-o", "alerts.txt")[0] == 0
    status, text, problems = run(
        "store", "query", "incidents", "--store-path", "kept", "--format", "jsonl"
    )
    assert (status, problems) == (0, "")
    alert = json.loads(text.splitlines()[1])
    status, page, problems = run("explain", alert["id"][:10], "--store-path", "kept")
    assert (status, problems) == (0, "")
    assert "SHA-256" in page
    assert run("explain", "0000", "--store-path", "kept")[0] == 2
