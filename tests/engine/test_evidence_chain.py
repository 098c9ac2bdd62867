"""What a piece of evidence says of its packet, from the packet to the record."""

import json
import random
from pathlib import Path
from typing import Any

import handshakes
import messages
import pytest
from craft import Conversation, Wire
from support.office import DURING, FAR, RESOLVER, SERVICE, capture, configured, hello

from netwatch.cli import main

ASKED = "metrics.news.example"
OTHER = "203.0.113.77"
APP_ONLY = "api16-normal-c-useast1a.tiktokv.com"


def scanned(folder: Path, wire: Wire, *words: str) -> list[dict[str, Any]]:
    """The alerts of a capture of a wire, by the configuration of the office."""
    out = folder / "alerts.jsonl"
    path = capture(folder / "a.pcap", wire)
    given = ("scan", path, "-q", "-c", configured(folder), "--format", "jsonl", "-o", str(out))
    assert main([*given, *words]) == 0
    return [json.loads(line) for line in out.read_text().splitlines()]


def pieces(alert: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [piece for piece in alert["evidence"] if piece["type"] == kind]


def answered(wire: Wire, name: str, records: list[messages.Record], rcode: int = 0) -> None:
    wire.udp(SERVICE, 50000, RESOLVER, 53, messages.query(7, name, "A"))
    wire.wait(0.01)
    wire.udp(RESOLVER, 53, SERVICE, 50000, messages.answer(7, name, "A", records, rcode))
    wire.wait(0.01)


def test_an_alias_has_the_path_from_the_name_that_was_asked_for(tmp_path: Path) -> None:
    wire = Wire(DURING, 1)
    records = [
        (ASKED, "CNAME", 300, "edge.news.example"),
        ("edge.news.example", "CNAME", 300, APP_ONLY.upper()),
        (APP_ONLY.upper(), "A", 42, FAR.ip),
    ]
    answered(wire, ASKED, records)
    (alert,) = scanned(tmp_path, wire)
    (piece,) = alert["evidence"]
    assert (piece["type"], piece["name"], piece["raw"]) == (
        "dns-cname",
        APP_ONLY,
        APP_ONLY.upper(),
    )
    assert piece["chain"] == [ASKED, "edge.news.example", APP_ONLY]
    assert piece["answer"] == {"address": FAR.ip, "ttl": 42, "rcode": "NOERROR"}
    assert piece["tls"] is None


def test_a_handshake_has_the_answer_that_led_to_its_server_and_its_ja4(tmp_path: Path) -> None:
    wire = Wire(DURING, 1)
    other = [("www.tiktok.com", "A", 9, "203.0.113.99")]
    answered(wire, "www.tiktok.com", other)
    answered(wire, "wWw.TikTok.com", [("wWw.TikTok.com", "A", 60, FAR.ip)])
    hello(wire, SERVICE, FAR)
    (alert,) = scanned(tmp_path, wire)
    (handshake,) = pieces(alert, "tls-sni")
    assert handshake["answer"] == {"address": FAR.ip, "ttl": 60, "rcode": "NOERROR"}
    assert handshake["tls"]["ja4"].startswith("t13d")
    assert handshake["raw"] == "www.tiktok.com"
    (answer,) = pieces(alert, "dns-answer")
    assert (answer["count"], answer["answer"]["ttl"]) == (2, 9)


@pytest.mark.parametrize("late", [False, True])
def test_an_answer_of_another_server_or_after_the_handshake_led_nowhere(
    tmp_path: Path, late: bool
) -> None:
    wire = Wire(DURING, 1)
    records = [("www.tiktok.com", "A", 60, FAR.ip if late else "203.0.113.99")]
    if not late:
        answered(wire, "www.tiktok.com", records)
    hello(wire, SERVICE, FAR)
    wire.wait(1.0)
    if late:
        answered(wire, "www.tiktok.com", records)
    (alert,) = scanned(tmp_path, wire)
    assert pieces(alert, "tls-sni")[0]["answer"] is None


def test_a_flow_without_a_name_has_the_answer_that_named_its_address(tmp_path: Path) -> None:
    wire = Wire(DURING, 1)
    first = ("www.tiktok.com", "A", 60, "203.0.113.99")
    answered(wire, "www.tiktok.com", [first, ("www.tiktok.com", "A", 77, FAR.ip)])
    talk = Conversation(wire, SERVICE, FAR, 4433)
    talk.exchange(400, 9000)
    talk.close()
    (alert,) = scanned(tmp_path, wire)
    (flow,) = pieces(alert, "ip-from-dns")
    assert flow["raw"] is None
    assert flow["answer"] == {"address": FAR.ip, "ttl": 77, "rcode": "NOERROR"}
    assert alert["duration"] > 0


def test_a_blocked_app_is_said_to_be_still_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wire = Wire(DURING, 1)
    for _ in range(3):
        answered(wire, APP_ONLY, [], rcode=3)
        wire.wait(60.0)
    (alert,) = scanned(tmp_path, wire)
    (answer,) = pieces(alert, "dns-answer")
    assert answer["answer"] == {"address": None, "ttl": None, "rcode": "NXDOMAIN"}
    assert alert["outcome"] == "blocked"
    alerts = str(tmp_path / "alerts.jsonl")
    assert main(["explain", alert["id"], "--alerts", alerts, "-c", configured(tmp_path)]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "The block works: TikTok was not reached (NXDOMAIN)." in page
    assert "The app is still installed" in page
    assert "NXDOMAIN, no address" in page


def test_letters_and_a_dot_of_a_hello_are_kept(tmp_path: Path) -> None:
    wire = Wire(DURING, 1)
    talk = Conversation(wire, SERVICE, FAR, 443)
    hello_ = handshakes.client_hello("WWW.TikTok.com.", random.Random(1))
    talk.ask(handshakes.records(hello_), "tls-sni", "www.tiktok.com")
    (alert,) = scanned(tmp_path, wire)
    (piece,) = pieces(alert, "tls-sni")
    assert (piece["name"], piece["raw"]) == ("www.tiktok.com", "WWW.TikTok.com.")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_rule_of_a_users_file_is_named_by_its_path(tmp_path: Path, jobs: str) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "tiktok.yaml").write_text(
        "app: tiktok\nname: TikTok\nvendor: bytedance\ncategory: video\ndomains:\n"
        "  - {suffix: clips.example, role: exclusive, sources: [observed]}\n"
    )
    config = Path(configured(tmp_path))
    config.write_text(config.read_text().replace("[builtin]", "[builtin, ./ours]"))
    wire = Wire(DURING, 1)
    hello(wire, SERVICE, FAR, "www.clips.example")
    path, out = capture(tmp_path / "a.pcap", wire), tmp_path / "out.jsonl"
    words = ("--format", "jsonl", "-o", str(out), "--jobs", jobs)
    assert main(["scan", path, "-q", "-c", str(config), *words]) == 0
    (piece,) = json.loads(out.read_text())["evidence"]
    assert piece["rule"] == {
        "text": "suffix clips.example",
        "file": str(tmp_path / "ours" / "tiktok.yaml"),
        "line": 6,
        "sources": ["observed"],
    }


def test_judging_again_gives_the_same_chain(tmp_path: Path) -> None:
    pytest.importorskip("duckdb")
    wire = Wire(DURING, 1)
    aliases = [(ASKED, "CNAME", 300, APP_ONLY.upper()), (APP_ONLY.upper(), "A", 42, FAR.ip)]
    answered(wire, ASKED, aliases)
    answered(wire, "wWw.TikTok.com", [("wWw.TikTok.com", "A", 60, OTHER)])
    hello(wire, SERVICE, FAR.at(OTHER), "WWW.TikTok.com.")
    talk = Conversation(wire, SERVICE, FAR, 4433)
    talk.exchange(400, 9000)
    talk.close()
    store = str(tmp_path / "store")
    (alert,) = scanned(tmp_path, wire, "--store-path", store)
    assert {piece["type"] for piece in alert["evidence"]} == {
        *("dns-query", "dns-answer", "dns-cname", "tls-sni", "ip-from-dns")
    }
    assert all(piece["raw"] != piece["name"] for piece in alert["evidence"])
    again = tmp_path / "again.jsonl"
    words = ("--all", "--store-path", store, "-c", str(tmp_path / "netwatch.yaml"), "-q")
    assert main(["rejudge", *words, "--format", "jsonl", "-o", str(again)]) == 0
    assert again.read_bytes() == (tmp_path / "alerts.jsonl").read_bytes()
