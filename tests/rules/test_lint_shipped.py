"""Lint rules of the shipped signatures, each with files that break it; a site's own files with the
same content are not at fault.

The rules for packs, each with a pack that breaks it, and the shipped packs, which break none.
"""

import importlib
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from netwatch.core.verdict import BanPeriod
from netwatch.rules.bans import DEFAULT_BAN, Pack, load_pack, pack_ids
from netwatch.rules.catalog import Catalog
from netwatch.rules.lint import lint
from netwatch.rules.lint_shipped import (
    EMBEDDED_HOSTS,
    MIN_IGNORED,
    PACK_RULES,
    lint_pack,
    lint_packs,
)
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


AUTHORITIES = {
    "eu-commission-tiktok-2023": ("2023-02-23", "2023-03-15", 1),
    "be-fed-tiktok-2023": ("2023-03-10", "2023-03-10", 3),
    "be-flanders-tiktok-2023": ("2023-03-09", "2023-03-09", 2),
    "be-wallonia-tiktok-2023": ("2023-03-06", "2023-03-16", 3),
    "be-fwb-tiktok-2023": ("2023-03-10", "2023-03-16", 1),
    "be-brussels-tiktok-2023": ("2023-03-10", "2023-03-17", 1),
}
"""Authorities that have a pack in any case: announced, first day, periods."""


@pytest.fixture
def pack(shipped_catalog: Catalog) -> Pack:
    return load_pack("be-wallonia-tiktok-2023", shipped_catalog)


def found(pack: Pack) -> list[str]:
    return [problem.message.rpartition(" ")[2].strip("[]") for problem in lint_pack(pack)]


def test_the_shipped_packs_are_clean(shipped_catalog: Catalog) -> None:
    assert lint_packs(shipped_catalog) == []
    assert len(pack_ids()) >= 57


def test_each_rule_finds_something(pack: Pack) -> None:
    first = pack.ban.periods[0]
    broken = {
        "pack-source": replace(pack, sources=("http://press.example/1",)),
        "pack-announced": replace(pack, announced=date(2023, 3, 20)),
        "pack-legal-basis": replace(pack, ban=replace(pack.ban, legal_basis="")),
        "pack-status": replace(pack, status=""),
        "pack-basis": replace(
            pack,
            ban=replace(
                pack.ban,
                periods=(replace(first, basis=""), BanPeriod(date(2023, 9, 17), None, "again")),
            ),
        ),
        "pack-background": replace(pack, ban=replace(pack.ban, timezone="UTC")),
    }
    assert list(broken) == [rule.id for rule in PACK_RULES]
    for rule, each in broken.items():
        assert found(each) == [rule]


def test_a_pack_announced_after_its_first_day_says_so(pack: Pack) -> None:
    late = replace(pack, announced=date(2023, 3, 20))
    assert "after its first day 2023-03-16" in lint_pack(late)[0].message
    assert found(replace(late, notes="Decided before, announced on 2023-03-20.")) == []


def test_an_unknown_announcement_is_said(pack: Pack) -> None:
    unknown = replace(pack, announced=None, unconfirmed=())
    assert "pack-announced" in found(unknown)
    assert found(replace(unknown, unconfirmed=("announced",))) == []


def test_a_pack_without_legal_basis_says_that_none_was_published(pack: Pack) -> None:
    bare = replace(pack, ban=replace(pack.ban, legal_basis=""))
    status = f"{pack.status}; no legal basis was published"
    assert found(replace(bare, status=status)) == []


def test_what_the_status_does_not_confirm_is_listed(pack: Pack) -> None:
    assert found(replace(pack, unconfirmed=())) == ["pack-status"]


def test_every_pack_forbids_or_advises_with_a_day_and_a_scope(shipped_catalog: Catalog) -> None:
    for ban_id in set(pack_ids()) - {DEFAULT_BAN}:
        ban = load_pack(ban_id, shipped_catalog).ban
        assert ban.forbids or ban.advises
        assert ban.start


@pytest.mark.parametrize("ban_id", AUTHORITIES)
def test_the_authorities_of_the_first_bans_have_a_pack(
    shipped_catalog: Catalog, ban_id: str
) -> None:
    announced, first, periods = AUTHORITIES[ban_id]
    pack = load_pack(ban_id, shipped_catalog)
    assert (str(pack.announced), str(pack.ban.start)) == (announced, first)
    assert len(pack.ban.periods) == periods
    assert pack.ban.end is None
    assert pack.ban.gaps == []
    assert all(each.basis for each in pack.ban.periods)
    assert pack.ban.review or "review" in pack.status


def test_national_blocks_are_no_packs(shipped_catalog: Catalog) -> None:
    ids = pack_ids()
    assert not [each for each in ids if each.startswith("it-")]
    assert [each for each in ids if each.startswith("in-")] == ["in-finance-deepseek-2025"]
