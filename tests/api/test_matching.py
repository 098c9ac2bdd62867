"""`netwatch.match` says what the command says."""

import json
from pathlib import Path
from typing import Any

import pytest

import netwatch
from netwatch.cli import main

NAMES = [
    "www.tiktok.com",
    "nottiktok.com",
    "TikTok.com.",
    "v16-webapp.tiktok.com",
    "bücher.example",
]


def test_matches_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["signatures", "match", "--format", "jsonl", *NAMES]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [each.json() for each in netwatch.match(NAMES)] == lines
    assert [netwatch.match(name).json() for name in NAMES] == lines


def test_a_match_has_the_rule_and_the_reason() -> None:
    found = netwatch.match("www.tiktok.com")
    assert found
    assert found.app is not None
    assert (found.app.id, found.app.category) == ("tiktok", "video")
    assert (found.rule, found.role, found.grade) == ("suffix tiktok.com", "exclusive", "probable")
    assert "v2fly" in found.sources
    assert found.why == "the name is below tiktok.com at a label boundary"
    assert found.record() == json.loads(found.json())


def test_a_name_that_no_rule_takes() -> None:
    found = netwatch.match("nottiktok.com")
    assert not found
    assert (found.app, found.rule, found.sources) == (None, None, ())
    assert "only the end of the label 'nottiktok'" in found.why


def test_many_names_are_matched_one_by_one() -> None:
    endless = iter(lambda: "tiktok.com", None)
    assert next(netwatch.match(endless)).name == "tiktok.com"


def test_signatures_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(
        "app: mine\nname: Mine\nvendor: us\ncategory: video\n"
        "domains: [{suffix: example.org, role: exclusive, sources: [observed]}]\n"
    )
    assert netwatch.match("a.example.org", signatures=mine)
    assert not netwatch.match("www.tiktok.com", signatures=[mine])
    assert netwatch.match("www.tiktok.com", signatures=["builtin", mine])
    config = tmp_path / "netwatch.yaml"
    config.write_text("version: 1\nsignatures: [mine.yaml]\n")
    assert netwatch.match("a.example.org", config)
    assert not netwatch.match("a.example.org", config, signatures="builtin")
    mine.write_text("app: mine\n")
    with pytest.raises(netwatch.ConfigError, match=r"mine\.yaml:1: "):
        netwatch.match("a.example.org", config)


@pytest.mark.parametrize("name", [3, None, b"tiktok.com", [3], [b"tiktok.com"], ["a", None], True])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(netwatch.ConfigError) as caught:
        list(netwatch.match(name))
    assert str(caught.value).startswith("name: expected a host name as a str, or several, found ")
