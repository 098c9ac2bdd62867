"""Bans are looked up by app and interval: the answers are those of all bans asked one by one."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import bans
from support.decisions import decided

from netwatch.core.verdict import (
    App,
    Ban,
    BanPeriod,
    Decision,
    Device,
    Exemption,
    Match,
    Network,
)
from netwatch.rules import ban_index, policy
from netwatch.rules.policy import Policy

DAY = 86_400_000_000_000
START = date(2023, 3, 10)
NOON = 1_678_449_600_000_000_000
"""2023-03-10T12:00:00Z."""
TIKTOK = Match(App("tiktok", "TikTok", "bytedance", "video"), "suffix tiktok.com", "exclusive")
CAPCUT = Match(App("capcut", "CapCut", "bytedance", "video"), "suffix capcut.com", "exclusive")
NETWORKS = [Network(name, "service") for name in ("hq", "site", "lab")]
CLASSES = ["service", "personal", "guest", "unknown", "infrastructure"]


def day(number: int) -> date:
    return START + timedelta(days=number)


@st.composite
def periods(draw: st.DrawFn) -> tuple[BanPeriod, ...]:
    """Periods in order and apart, the first and the last perhaps open."""
    days = sorted(draw(st.sets(st.integers(0, 20), min_size=2, max_size=6)))
    spans = list(zip(days[::2], days[1::2], strict=False))
    found = [BanPeriod(day(a), day(b), "", draw(st.booleans())) for a, b in spans]
    if draw(st.booleans()):
        found[0] = replace(found[0], start=None)
    if draw(st.booleans()):
        found[-1] = replace(found[-1], end=None)
    return tuple(found)


@st.composite
def all_bans(draw: st.DrawFn) -> list[Ban]:
    classes = st.frozensets(st.sampled_from(CLASSES[:3]), max_size=2)
    return [
        replace(
            bans.BAN,
            id=f"ban-{number}",
            apps=draw(st.sampled_from([frozenset({"tiktok"}), frozenset({"tiktok", "capcut"})])),
            bypass=draw(st.sampled_from([frozenset(), frozenset({"capcut"})])),
            forbids=draw(classes),
            advises=draw(classes),
            networks=draw(st.frozensets(st.sampled_from(["hq", "site"]), max_size=2)),
            timezone=draw(st.sampled_from(["UTC", "Europe/Brussels", "Pacific/Auckland"])),
            periods=draw(periods()),
        )
        for number in range(draw(st.integers(1, 6)))
    ]


@st.composite
def exemptions(draw: st.DrawFn, ids: list[str]) -> list[Exemption]:
    days = st.none() | st.integers(0, 20).map(day)
    return [
        Exemption(
            draw(st.sampled_from(ids)),
            draw(st.sampled_from(["lab-07", "10.20.0.7", "02:00:00:00:00:01"])),
            draw(days),
            draw(days),
            "research",
            "CISO",
            draw(st.sampled_from([frozenset(), frozenset({"tiktok"})])),
        )
        for _ in range(draw(st.integers(0, 4)))
    ]


@given(data=st.data())
def test_a_decision_is_what_all_bans_say(data: st.DataObject) -> None:
    made = data.draw(all_bans())
    rules = Policy(made, data.draw(exemptions([ban.id for ban in made])))
    for _ in range(data.draw(st.integers(1, 12))):
        time = NOON + data.draw(st.integers(-48, 22 * 24)) * DAY // 24
        device = Device(
            data.draw(st.sampled_from(["lab-07", "laptop-1"])),
            data.draw(st.sampled_from(["10.20.0.7", "10.20.0.8"])),
            data.draw(st.sampled_from([None, "02:00:00:00:00:01"])),
            None,
            None,
            data.draw(st.sampled_from(CLASSES)),
        )
        contact = (
            data.draw(st.sampled_from([TIKTOK, CAPCUT])),
            device,
            data.draw(st.sampled_from(NETWORKS)),
        )
        decided(rules, "tls-sni", time, *contact)
        decision = rules.decide("tls-sni", time, *contact)
        for other in (decision.since, decision.until - 1):
            # Nothing changes between the two ends: a group of contacts needs no other answer.
            assert rules.decide("tls-sni", other, *contact) == decision


def many(number: int) -> list[Ban]:
    """One ban that applies at noon of the first day, and others that do not any more."""
    over = (BanPeriod(date(2020, 1, 1), date(2021, 1, 1)),)
    old = [replace(bans.BAN, id=f"old-{each}", periods=over) for each in range(number)]
    return [*old, replace(bans.BAN, id="now")]


def test_a_contact_asks_no_ban_that_is_not_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    ask = Policy._ask
    monkeypatch.setattr(Policy, "_ask", lambda *given_: asked.append(given_[1].id) or ask(*given_))
    rules = Policy(many(1000))
    device = Device("a", "10.20.0.7", None, None, None, "service")
    for hour in range(5):
        decision = rules.decide("tls-sni", NOON + hour, TIKTOK, device, NETWORKS[0])
        assert [each.ban.id for each in decision.rulings] == ["now"]
    assert asked == ["now"]


def test_the_reasons_of_many_bans_are_told_in_part() -> None:
    rules = Policy(many(1000)[:-1])
    device = Device("a", "10.20.0.7", None, None, None, "service")
    decision = rules.decide("tls-sni", NOON, TIKTOK, device, NETWORKS[0])
    assert decision.clause.count("was in force until 2021-01-01") == ban_index.MAX_REASONS
    assert decision.clause.endswith("; and 980 more bans do not apply")


def test_decisions_that_were_forgotten_are_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ban_index, "DECISION_LIMIT", 2)
    rules = Policy([bans.BAN], [Exemption(bans.BAN.id, "10.20.0.7", None, None, "", "")])
    for _ in range(2):
        for kind in CLASSES[:4]:
            for ip in ("10.20.0.7", "10.20.0.8"):
                device = Device(ip, ip, None, None, None, kind)
                decided(rules, "tls-sni", NOON, TIKTOK, device, NETWORKS[0])
    assert len(rules._decided["tiktok"]._decisions) <= 2


def test_the_key_tells_bans_and_kinds_apart() -> None:
    rules = Policy([bans.BAN, replace(bans.BAN, id="other")])
    device = Device("a", "10.20.0.7", None, None, None, "service")
    both = rules.decide("tls-sni", NOON, TIKTOK, device, NETWORKS[0])
    keys = {both.key, *(Decision.of([each]).key for each in both.rulings)}
    assert len(keys) == 3
    assert rules.decide("tls-sni", NOON, TIKTOK, device, None).clause == policy.OUTSIDE
