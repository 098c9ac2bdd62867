"""Domain lists for firewalls: what they block, and what they leave alone."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from netwatch.exports.firewall import FORMATS, domain_list
from netwatch.exports.names import blocked_rules

from netwatch.config import Config, load
from netwatch.core.verdict import Ban

SIGNATURE = """
app: tiktok
name: TikTok
vendor: bytedance
category: video
domains:
  - {suffix: tiktok.example, role: exclusive, sources: [a]}
  - {host: www.tiktok.example, role: exclusive, sources: [a]}
  - {suffix: analytics.tiktok.example, role: embed, sources: [a]}
  - {host: app.cdn.example, role: exclusive, sources: [a]}
  - {glob: "p16-*.cdn.example", role: exclusive, sources: [a]}
  - {glob: "p17-*.tiktok.example", role: exclusive, sources: [a]}
  - {suffix: vendor.example, role: vendor, sources: [a]}
tests:
  match: [tiktok.example]
  ignore: [other.example]
"""


@pytest.fixture
def ban(tmp_path: Path) -> tuple[Config, Ban]:
    (tmp_path / "tiktok.yaml").write_text(SIGNATURE, encoding="utf-8")
    file = tmp_path / "netwatch.yaml"
    file.write_text(
        "version: 1\nsignatures: [tiktok.yaml]\nbans:\n"
        "  - {id: b, authority: A, legal_basis: L, apps: [tiktok], forbids: [service]}\n",
        encoding="utf-8",
    )
    config = load(str(file))
    return config, config.policy.bans[0]


def test_only_names_of_the_app_alone_are_blocked(ban: tuple[Config, Ban]) -> None:
    config, rule = ban
    rules = blocked_rules(config.catalog, rule)
    assert [each.text for each in rules] == [
        "host app.cdn.example", "glob p16-*.cdn.example", "suffix tiktok.example"
    ]  # fmt: skip


def test_palo_alto_has_no_form_for_a_part_of_a_label(ban: tuple[Config, Ban]) -> None:
    config, rule = ban
    found = domain_list(blocked_rules(config.catalog, rule), "palo-alto")
    assert found.text == "^app.cdn.example\n^tiktok.example\n*.tiktok.example\n"
    assert [each.text for each in found.left_out] == ["glob p16-*.cdn.example"]


def test_fortigate(ban: tuple[Config, Ban]) -> None:
    config, rule = ban
    found = domain_list(blocked_rules(config.catalog, rule), "fortigate")
    assert found.text == "app.cdn.example\np16-*.cdn.example\ntiktok.example\n*.tiktok.example\n"
    assert not found.left_out


@pytest.mark.parametrize("form", FORMATS)
def test_lists_of_a_shipped_ban_have_the_names_of_the_app(form: str) -> None:
    config = load(None)
    (rule,) = (each for each in config.policy.bans if "tiktok" in each.apps)
    signature = config.catalog.signatures["tiktok"]
    found = domain_list(blocked_rules(config.catalog, rule), form)
    entries = found.text.splitlines()
    assert entries == list(dict.fromkeys(entries))
    # One name with at most the special characters of the format: a firewall skips others.
    assert all(re.fullmatch(r"\^?[a-z0-9_.*-]{1,253}", entry) for entry in entries)
    # A name below the tail of a CDN is an alias, which a client does not ask for by itself.
    tails = tuple(f".{alias.tail}" for alias in signature.aliases)
    left_out = {each.text for each in found.left_out}
    listed = 0
    for example in signature.examples:
        match = config.catalog.match(example.name)
        if match is None or match.role != "exclusive" or example.name.endswith(tails):
            continue
        if match.rule not in left_out:
            assert any(_matches(entry, example.name) for entry in entries), example.name
            listed += 1
    assert listed >= 3


def _matches(entry: str, name: str) -> bool:
    return entry[1:] == name if entry[0] == "^" else fnmatchcase(name, entry)
