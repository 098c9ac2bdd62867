"""A ban with ``bypass: alert`` judges what hides names by the same clauses as its apps."""

from dataclasses import replace
from datetime import date, datetime

import pytest
from support import bans
from support.decisions import decided

from netwatch.core.message import Evidence
from netwatch.core.verdict import App, Ban, Device, Exemption, Match, Network, Role, Verdict
from netwatch.rules.policy import Policy

SILENT = replace(
    bans.BAN,
    id="rule",
    authority="City of Example",
    periods=bans.until(date(2023, 9, 10)),
    legal_basis="",
)
ALERTING = replace(SILENT, bypass=frozenset({"tor", "vpn"}))
TOR = App("tor", "Tor", "tor-project", "tor")
HQ = Network("hq", "service")
DURING = "2023-04-03T12:00:00+02:00"


def decide(
    ban: Ban,
    *,
    moment: str = DURING,
    kind: str = "service",
    app: App = TOR,
    evidence: Evidence = "tls-sni",
    role: Role = "exclusive",
    leaves: tuple[Exemption, ...] = (),
) -> Verdict:
    device = Device("lab-07", "10.20.0.7", None, None, None, kind)  # type: ignore[arg-type]
    time = int(datetime.fromisoformat(moment).timestamp()) * 10**9
    match = Match(app, "suffix torproject.org", role)
    (verdict,) = decided(Policy([ban], leaves), evidence, time, match, device, HQ)
    return verdict


def test_a_ban_without_bypass_covers_no_bypass_app() -> None:
    verdict = decide(SILENT)
    assert (verdict.kind, verdict.clause) == (None, "no ban covers Tor")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("service", "violation"), ("personal", "advisory"), ("guest", None), ("unknown", None)],
)
def test_the_class_of_the_device_decides(kind: str, expected: str | None) -> None:
    assert decide(ALERTING, kind=kind).kind == expected


def test_the_clause_says_why_the_app_is_covered() -> None:
    assert decide(ALERTING).clause == (
        "ban 'rule' forbids Tor (bypass: alert) on devices of class service,"
        " in force from 2023-03-10 (Europe/Brussels)"
    )
    named = replace(ALERTING, apps=frozenset({"tor"}))
    assert "bypass" not in decide(named).clause


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2023-03-09T23:59:59+01:00", None),
        ("2023-03-10T00:00:00+01:00", "violation"),
        ("2023-09-10T23:59:59+02:00", "violation"),
        ("2023-09-11T00:00:00+02:00", None),
    ],
)
def test_days_apply_to_bypass_apps(moment: str, expected: str | None) -> None:
    assert decide(ALERTING, moment=moment).kind == expected


def test_networks_apply_to_bypass_apps() -> None:
    assert decide(replace(ALERTING, networks=frozenset({"elsewhere"}))).kind is None
    assert decide(replace(ALERTING, networks=frozenset({"hq"}))).kind == "violation"


def test_exemptions_apply_to_bypass_apps() -> None:
    leave = Exemption("rule", "lab-07", None, None, "research", "CISO")
    assert decide(ALERTING, leaves=(leave,)).kind == "exempt"
    assert decide(ALERTING, leaves=(replace(leave, apps=frozenset({"tor"})),)).kind == "exempt"
    other = replace(leave, apps=frozenset({"tiktok"}))
    assert decide(ALERTING, leaves=(other,)).kind == "violation"


@pytest.mark.parametrize(
    ("evidence", "role", "confidence"),
    [
        ("tls-sni", "exclusive", "confirmed"),
        ("dns-query", "exclusive", "probable"),
        ("dns-query", "embed", "possible"),
    ],
)
def test_confidence_is_the_same_as_for_other_apps(
    evidence: Evidence, role: Role, confidence: str
) -> None:
    assert decide(ALERTING, evidence=evidence, role=role).confidence == confidence


def test_other_apps_are_not_covered() -> None:
    assert decide(ALERTING, app=App("wechat", "WeChat", "tencent", "chat")).kind is None
