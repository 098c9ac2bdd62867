"""Lint rules of the shipped signatures, each with files that break it; a site's own files with the
same content are not at fault."""

import importlib
from collections.abc import Callable
from pathlib import Path

import pytest

from netwatch.rules.lint import lint
from netwatch.rules.lint_shipped import EMBEDDED_HOSTS, MIN_IGNORED
from netwatch.rules.load import BUILTIN, load_signatures

HEAD = "app: clips\nname: Clips\nvendor: maker\ncategory: {}\n"
IGNORED = ", ".join(f"x{number}.example" for number in range(MIN_IGNORED))
Check = Callable[..., list[str]]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    """The findings for one shipped app with these domains, which begin in line 6: the same whether
    it is named as a file or among all. The same file as a site's own has none of them. A VPN may
    have whole zones that prove it."""
    came, own = tmp_path / "shipped" / "apps", tmp_path / "own"
    came.mkdir(parents=True)
    own.mkdir()
    load = importlib.import_module("netwatch.rules.load")
    monkeypatch.setattr(load, "shipped", lambda: came.parent)

    def _check(
        *domains: str, rest: str = "", ignored: str = IGNORED, category: str = "vpn"
    ) -> list[str]:
        lines = "".join(f"  - {{{domain}}}\n" for domain in domains)
        tests = f"tests: {{ignore: [{ignored}]}}\n"
        for folder in (came, own):
            text = f"{HEAD.format(category)}domains:\n{lines}{rest}{tests}"
            (folder / "clips.yaml").write_text(text)
        assert lint(load_signatures([own], tmp_path)) == []
        found = lint(load_signatures([BUILTIN], tmp_path))
        for source in (came, came / "clips.yaml", "shipped/apps/clips.yaml"):
            assert lint(load_signatures([source], tmp_path)) == found
        return [f"{each.line}: {each.message}" for each in found]

    return _check


GOOD = "suffix: clips.com, role: exclusive, sources: [v2fly, nextdns]"


def test_a_good_file_has_no_findings(check: Check) -> None:
    assert check(GOOD) == []


def test_sources_must_be_known(check: Check) -> None:
    (found,) = check(GOOD, "suffix: b.com, role: exclusive, sources: [v2fli, nextdns]")
    assert found.startswith("7: suffix b.com names the unknown source 'v2fli'")
    assert found.endswith("did you mean 'v2fly'? [unknown-source]")


@pytest.mark.parametrize(
    ("sources", "fault"),
    [
        ("v2fly, nextdns", True),
        ("v2fly", False),
        ("hagezi, adguard, hagezi-2022", False),
        ("danhorton7, blocklistproject", False),
        ("danhorton7, hagezi", True),
    ],
)
def test_several_independent_sources_confirm_an_owner(
    check: Check, sources: str, fault: bool
) -> None:
    found = check(GOOD, f"suffix: b.com, role: exclusive, verified: false, sources: [{sources}]")
    assert ["[verified-by-many]" in each for each in found] == [True] * fault


def test_a_shipped_app_needs_names_that_it_must_not_match(check: Check) -> None:
    few = ", ".join(["x.example"] * MIN_IGNORED)
    (found,) = check(GOOD, ignored=few)
    assert found.startswith(
        "1: app 'clips' has 1 names under 'tests: ignore'; expected at least 10"
    )
    assert found.endswith("[few-ignore-tests]")


@pytest.mark.parametrize(
    ("domain", "fault"),
    [
        ("suffix: clips.com.edgesuite.net, role: exclusive, sources: [v2fly, nextdns]", True),
        ("suffix: a.clips.com.edgesuite.net, role: exclusive, sources: [v2fly, nextdns]", True),
        ("host: a.clips.com.edgesuite.net, role: exclusive, sources: [nextdns]", True),
        # another role, a mark of its own, a tail that the app does not have
        ("suffix: clips.com.edgesuite.net, role: cdn, sources: [v2fly, nextdns]", False),
        (
            "host: a.clips.com.edgesuite.net, role: exclusive, embed_reachable: true,"
            " sources: [v2fly, nextdns]",
            False,
        ),
        ("suffix: clips.com.edgekey.net, role: exclusive, sources: [v2fly, nextdns]", False),
        ("suffix: notclips.com.edgesuite.net, role: exclusive, sources: [v2fly]", False),
    ],
)
def test_a_rule_that_an_alias_covers_is_not_needed(check: Check, domain: str, fault: bool) -> None:
    found = check(GOOD, domain, rest="aliases: [edgesuite.net]\n")
    assert ["[alias-covered]" in each for each in found] == [True] * fault
    assert all(each.startswith("7: ") for each in found)
    assert all("suffix clips.com under the CDN tail edgesuite.net" in each for each in found)


def test_a_rule_under_a_tail_that_is_stronger_than_its_zone_is_needed(check: Check) -> None:
    zone = "suffix: clips.com, role: exclusive, sources: [nextdns]"
    name = "suffix: a.clips.com.edgesuite.net, role: exclusive, sources: [nextdns, v2fly]"
    assert check(zone, name, rest="aliases: [edgesuite.net]\n") == []


@pytest.mark.parametrize(
    ("host", "marks", "fault"),
    [
        ("www.tiktok.com", "", True),
        ("www.tiktok.com", "embed_reachable: true, ", False),
        ("www.tiktok.com", "confidence: probable, ", False),
        ("analytics.tiktok.com", "embed_reachable: true, ", True),
        ("analytics.tiktok.com", "confidence: possible, ", False),
        ("api16-normal.tiktokv.com", "", False),
    ],
)
def test_a_host_that_others_call_must_not_accuse(
    check: Check, host: str, marks: str, fault: bool
) -> None:
    found = check(f"suffix: {host}, role: exclusive, {marks}sources: [v2fly, nextdns]")
    assert ["[embedded-host]" in each for each in found] == [True] * fault
    assert all(f"6: suffix {host} gives {host} the grade " in each for each in found)


def test_the_hosts_that_others_call_are_of_every_kind() -> None:
    assert len(EMBEDDED_HOSTS) >= 90
    assert 0 < sum(row.most == "probable" for row in EMBEDDED_HOSTS.values()) <= 12
    assert all(row.most != "confirmed" for row in EMBEDDED_HOSTS.values())


@pytest.mark.parametrize(
    ("domain", "category", "fault"),
    [
        ("suffix: clips.com, role: exclusive, sources: [v2fly, nextdns]", "video", True),
        # with another source, a name in it would be confirmed
        ("suffix: clips.com, role: exclusive, sources: [v2fly]", "video", True),
        ("suffix: clips.co.uk, role: exclusive, sources: [v2fly, nextdns]", "video", True),
        # a part of a zone, one name, what is marked, another role, a zone of a VPN
        ("suffix: api.clips.com, role: exclusive, sources: [v2fly, nextdns]", "video", False),
        ("host: clips.com, role: exclusive, sources: [v2fly, nextdns]", "video", False),
        (
            "suffix: clips.com, role: exclusive, embed_reachable: true, sources: [v2fly, nextdns]",
            "video",
            False,
        ),
        (
            "suffix: clips.com, role: exclusive, confidence: probable, sources: [v2fly, nextdns]",
            "video",
            False,
        ),
        ("suffix: clips.com, role: vendor, sources: [v2fly, nextdns]", "video", False),
        ("suffix: clips.com, role: exclusive, sources: [v2fly, nextdns]", "vpn", False),
    ],
)
def test_no_whole_zone_proves_an_app(check: Check, domain: str, category: str, fault: bool) -> None:
    found = check(domain, category=category)
    assert ["[unproved-zone]" in each for each in found] == [True] * fault
    assert all("expected 'embed_reachable: true'" in each for each in found)
