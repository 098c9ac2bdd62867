"""Domain lists for firewalls. Nothing here can check them as PAN-OS and FortiOS do, so their lines
are compared with the documented ones."""

import re
from pathlib import Path

import pytest
from support.exported import example, shipped

from netwatch.exports.export_format import feeds


@pytest.mark.parametrize(
    ("feed", "lines"),
    [
        ("palo-alto", "^app.cdn.example ^video.example *.video.example"),
        ("fortigate", "app.cdn.example p16-*.cdn.example video.example *.video.example"),
    ],
)
def test_lines(feed: str, lines: str, tmp_path: Path) -> None:
    _, export = example(tmp_path)
    assert feeds()[feed].text(export).split() == lines.split()


def test_palo_alto_has_no_form_for_a_part_of_a_label(tmp_path: Path) -> None:
    _, export = example(tmp_path)
    rules = feeds()["palo-alto"].rules(export.selection, "none")
    assert [each.text for each in rules] == ["glob p16-*.cdn.example"]
    assert feeds()["fortigate"].read("p16-*.cdn.example\n").has("p16-a.b.cdn.example")


@pytest.mark.parametrize("feed", feeds())
def test_lists_of_a_shipped_ban_have_the_names_of_the_app(feed: str) -> None:
    config, export = shipped("be-fed-tiktok-2023")
    text = feeds()[feed].text(export)
    entries = text.splitlines()
    assert entries == list(dict.fromkeys(entries))
    # One name with at most the special characters of the format: a firewall skips others.
    assert all(re.fullmatch(r"\^?[a-z0-9_.*-]{1,253}", entry) for entry in entries)
    listed = feeds()[feed].read(text)
    names = [
        example.name
        for example in config.catalog.signatures["tiktok"].examples
        if example.name in export.selection.names
    ]
    assert len(names) >= 3
    assert all(map(listed.has, names))
