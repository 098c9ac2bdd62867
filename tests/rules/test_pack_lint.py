"""The rules for packs, each with a pack that breaks it, and the shipped packs, which break none."""

from dataclasses import replace
from datetime import date

import pytest

from netwatch.core.verdict import BanPeriod
from netwatch.rules.bans import DEFAULT_BAN, Pack, load_pack, pack_ids
from netwatch.rules.catalog import Catalog
from netwatch.rules.pack_lint import PACK_RULES, lint_pack, lint_packs

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
