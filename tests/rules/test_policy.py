from dataclasses import replace
from datetime import UTC, date, datetime
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import bans
from support.decisions import decided

from netwatch.core.message import Evidence
from netwatch.core.period import period
from netwatch.core.verdict import (
    CONFIDENCE_RANK,
    App,
    BanPeriod,
    Confidence,
    Device,
    Exemption,
    Match,
    Network,
    Role,
)
from netwatch.rules.policy import Policy, confidence

SECOND = 10**9
TIKTOK = App("tiktok", "TikTok", "bytedance", "video")
MATCH = Match(TIKTOK, "suffix tiktok.com", "exclusive")
HQ = Network("hq", "service", "City of Example")
BAN = replace(
    bans.BAN,
    id="rule",
    authority="City of Example",
    periods=bans.until(date(2023, 9, 10)),
    review=date(2023, 9, 1),
)

UNTIL_11 = bans.until(date(2023, 3, 11))


def ns(text):
    return int(datetime.fromisoformat(text).timestamp()) * SECOND


NOON = ns("2023-04-03T12:00:00+02:00")


def device(kind="service", id="10.20.0.7", mac=None):
    return Device(id, "10.20.0.7", mac, None, None, kind)


def judge(
    bans=(BAN,),
    exemptions=(),
    time=NOON,
    evidence="tls-sni",
    match=MATCH,
    who=None,
    network=HQ,
):
    return decided(Policy(bans, exemptions), evidence, time, match, who or device(), network)


def only(**given):
    (verdict,) = judge(**given)
    return verdict


def leave(**changed):
    values = Exemption("rule", "lab-07", None, None, "forensic research", "CISO")
    return replace(values, **changed)


HANDSHAKES = ["tls-sni", "quic-sni", "dtls-sni", "http-host", "socks-host"]
LOOKUPS = ["dns-query", "dns-answer", "dns-cname"]
TABLE = {
    **{(kind, "exclusive"): "confirmed" for kind in HANDSHAKES},
    **{(kind, "vendor"): "probable" for kind in HANDSHAKES},
    **{(kind, role): "possible" for kind in HANDSHAKES for role in ("embed", "cdn")},
    **{(kind, "exclusive"): "probable" for kind in [*LOOKUPS, "tls-cert"]},
    **{
        (kind, role): "possible"
        for kind in [*LOOKUPS, "tls-cert"]
        for role in ("vendor", "embed", "cdn")
    },
    **{("ech-from-dns", role): "probable" for role in ("exclusive", "vendor")},
    **{("ech-from-dns", role): "possible" for role in ("embed", "cdn")},
    **{("ip-from-dns", role): "possible" for role in get_args(Role)},
    **{("ip-asn", role): None for role in get_args(Role)},
}


def test_the_table_names_every_evidence_and_role():
    assert set(TABLE) == {(kind, role) for kind in get_args(Evidence) for role in get_args(Role)}


@pytest.mark.parametrize(("evidence", "role"), TABLE)
def test_confidence(evidence, role):
    match = replace(MATCH, role=role)
    assert confidence(evidence, match) == TABLE[evidence, role]
    verdict = only(evidence=evidence, match=match)
    assert verdict.confidence == TABLE[evidence, role]
    assert verdict.kind == (None if evidence == "ip-asn" else "violation")


GRADES: tuple[Confidence, ...] = get_args(Confidence)


@pytest.mark.parametrize("grade", GRADES)
@pytest.mark.parametrize(("evidence", "role"), TABLE)
def test_no_evidence_gives_more_than_the_grade(evidence, role, grade):
    found = confidence(evidence, replace(MATCH, role=role, grade=grade))
    usual = TABLE[evidence, role]
    if evidence in HANDSHAKES:
        assert found == grade
    elif evidence == "ech-from-dns":  # It is a handshake that does not show its name.
        assert found == min("probable", grade, key=CONFIDENCE_RANK.__getitem__)
    elif usual is None:
        assert found is None
    else:
        assert found == min(usual, grade, key=CONFIDENCE_RANK.__getitem__)


@pytest.mark.parametrize(("grade", "alerted"), [("probable", True), ("possible", False)])
def test_an_app_that_carries_the_sdk_of_a_banned_vendor_is_only_recorded(grade, alerted):
    sdk = Match(
        App("sdk", "SDK", "bytedance", "infrastructure"), "suffix s.example", "vendor", grade
    )
    verdict = only(bans=(replace(BAN, apps=frozenset({"sdk"})),), match=sdk)
    assert verdict.kind == "violation"
    assert (CONFIDENCE_RANK[verdict.confidence] >= CONFIDENCE_RANK[BAN.min_confidence]) is alerted


def test_an_address_in_the_as_of_an_app_never_gives_a_verdict():
    verdict = only(evidence="ip-asn")
    assert verdict.kind is None
    assert "proves no contact" in verdict.clause


@pytest.mark.parametrize(
    ("time", "kind"),
    [
        ("2023-03-09T23:59:59+01:00", None),
        ("2023-03-10T00:00:00+01:00", "violation"),
        ("2023-09-10T23:59:59+02:00", "violation"),
        ("2023-09-11T00:00:00+02:00", None),
    ],
)
def test_a_ban_is_in_force_from_the_first_to_the_last_second_in_its_zone(time, kind):
    assert only(time=ns(time)).kind == kind


def test_the_last_nanosecond_of_the_last_day_counts():
    end = ns("2023-09-11T00:00:00+02:00")
    assert only(time=end - 1).kind == "violation"
    assert only(time=end).kind is None


def test_clauses_have_dates():
    early = only(time=ns("2023-03-09T12:00:00+01:00"))
    assert early.clause == "ban 'rule' is in force only from 2023-03-10 (Europe/Brussels)"
    late = only(time=ns("2023-10-01T12:00:00+02:00"))
    assert late.clause == "ban 'rule' was in force until 2023-09-10 (Europe/Brussels)"


def test_open_ends():
    ban = replace(BAN, periods=(BanPeriod(None, None),))
    assert only(bans=[ban], time=0).kind == "violation"
    assert only(bans=[ban], time=ns("2100-01-01T00:00:00+00:00")).kind == "violation"


@pytest.mark.parametrize(
    ("zone", "day", "first", "last"),
    [
        # 23 and 25 hours
        ("Europe/Brussels", date(2023, 3, 26), "2023-03-25T23:00:00", "2023-03-26T21:59:59"),
        ("Europe/Brussels", date(2023, 10, 29), "2023-10-28T22:00:00", "2023-10-29T22:59:59"),
        ("America/New_York", date(2023, 11, 5), "2023-11-05T04:00:00", "2023-11-06T04:59:59"),
        # midnight that does not exist: the day starts at one o'clock
        ("America/Santiago", date(2023, 9, 3), "2023-09-03T04:00:00", "2023-09-04T02:59:59"),
        # midnight that comes twice: the first counts
        ("America/Havana", date(2023, 11, 5), "2023-11-05T04:00:00", "2023-11-06T04:59:59"),
        ("Asia/Kolkata", date(2023, 1, 1), "2022-12-31T18:30:00", "2023-01-01T18:29:59"),
        ("UTC", date(2023, 1, 1), "2023-01-01T00:00:00", "2023-01-01T23:59:59"),
    ],
)
def test_a_day_of_any_length(zone, day, first, last):
    days = period(day, day, zone)
    assert days.start == ns(first + "+00:00")
    assert days.end == ns(last + "+00:00") + SECOND


@pytest.mark.parametrize("day", [date.min, date.max])
def test_days_at_the_ends_of_the_calendar(day):
    assert NOON not in period(day, day, "Pacific/Kiritimati")


@given(
    st.dates(date(1980, 1, 1), date(2035, 1, 1)),
    st.sampled_from(["Europe/Brussels", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut"]),
    st.integers(-200_000, 200_000),
)
def test_agrees_with_the_calendar_of_the_zone(day, zone, offset):
    days = period(day, day, zone)
    moment = datetime.fromtimestamp(days.start // SECOND + offset, UTC)
    local = moment.astimezone(ZoneInfo(zone)).date()
    assert (int(moment.timestamp()) * SECOND in days) == (local == day)


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("service", "violation"),
        ("personal", "advisory"),
        ("guest", None),
        ("infrastructure", None),
        ("unknown", None),
    ],
)
def test_classes_of_devices(kind, verdict):
    assert only(who=device(kind)).kind == verdict


def test_why_a_class_is_not_covered():
    assert only(who=device("guest")).clause == "ban 'rule' does not apply to devices of class guest"
    unknown = only(who=device("unknown")).clause
    assert unknown == "ban 'rule' does not apply to devices whose class is unknown"


@pytest.mark.parametrize("evidence", LOOKUPS)
def test_a_resolver_asks_for_others(evidence):
    ban = replace(BAN, forbids=frozenset({"service", "infrastructure"}))
    verdict = only(bans=[ban], who=device("infrastructure"), evidence=evidence)
    assert verdict.kind is None
    assert verdict.clause == "a resolver (class infrastructure) asks for others"
    reached = only(bans=[ban], who=device("infrastructure"), evidence="tls-sni")
    assert reached.kind == "violation"


def test_a_client_outside_violates_no_ban():
    verdict = only(network=None)
    assert verdict.kind is None
    assert verdict.clause == "the client is outside the configured networks"


def test_an_app_that_no_ban_covers():
    match = replace(MATCH, app=App("wechat", "WeChat", "tencent", "messaging"))
    assert only(match=match).clause == "no ban covers WeChat"
    assert only(bans=[]).kind is None


def test_a_ban_limited_to_networks():
    ban = replace(BAN, networks=frozenset({"hq"}))
    assert only(bans=[ban]).kind == "violation"
    away = only(bans=[ban], network=Network("lab", "service"))
    assert away.kind is None
    assert away.clause == "ban 'rule' does not apply in network 'lab'"


def test_the_clause_of_a_violation_and_an_advisory():
    assert only().clause == (
        "ban 'rule' forbids TikTok on devices of class service, in force from 2023-03-10"
        " (Europe/Brussels)"
    )
    advised = only(who=device("personal"), bans=[replace(BAN, periods=(BanPeriod(None, None),))])
    assert advised.clause == "ban 'rule' advises against TikTok on devices of class personal"


def test_min_confidence_is_left_to_the_incident():
    ban = replace(BAN, min_confidence="confirmed")
    verdict = only(bans=[ban], evidence="dns-query")
    assert (verdict.kind, verdict.confidence) == ("violation", "probable")


def test_each_ban_that_applies_has_its_verdict_in_order():
    bans = [
        replace(BAN, id="b", forbids=frozenset({"personal"}), advises=frozenset()),
        replace(BAN, id="over", periods=UNTIL_11),
        replace(BAN, id="a", forbids=frozenset({"guest"})),
    ]
    verdicts = judge(bans=bans, who=device("personal"))
    assert [(verdict.ban.id, verdict.kind) for verdict in verdicts] == [
        ("b", "violation"),
        ("a", "advisory"),
    ]


def test_without_a_verdict_all_reasons_are_given():
    bans = [replace(BAN, id="x", periods=UNTIL_11), replace(BAN, id="y", advises=frozenset())]
    verdict = only(bans=bans, who=device("guest"))
    assert verdict.ban is None
    assert verdict.clause == (
        "ban 'x' was in force until 2023-03-11 (Europe/Brussels); "
        "ban 'y' does not apply to devices of class guest"
    )


@pytest.mark.parametrize("kind", ["service", "personal"])
@pytest.mark.parametrize(
    ("written", "who"),
    [
        ("lab-07", {"id": "lab-07"}),
        ("10.20.0.7", {"id": "lab-07"}),
        ("02:00:00:00:00:07", {"id": "lab-07", "mac": "02:00:00:00:00:07"}),
    ],
)
def test_an_exemption_replaces_the_verdict(kind, written, who):
    verdict = only(exemptions=[leave(device=written)], who=device(kind, **who))
    assert verdict.kind == "exempt"
    assert verdict.exemption.reason == "forensic research"
    assert verdict.ban == BAN
    assert verdict.clause == f"ban 'rule' exempts '{written}': forensic research"


@pytest.mark.parametrize(
    ("changed", "id"),
    [({}, "lab-08"), ({"apps": frozenset({"capcut"})}, "lab-07"), ({"ban": "other"}, "lab-07")],
)
def test_an_exemption_of_something_else(changed, id):
    bans = [BAN, replace(BAN, id="other", apps=frozenset())]
    assert only(bans=bans, exemptions=[leave(**changed)], who=device(id=id)).kind == "violation"


def test_an_exemption_of_this_app():
    exemptions = [leave(apps=frozenset({"tiktok"}))]
    assert only(exemptions=exemptions, who=device(id="lab-07")).kind == "exempt"


def test_an_exemption_without_a_verdict_changes_nothing():
    assert only(exemptions=[leave()], who=device("guest", id="lab-07")).kind is None


@pytest.mark.parametrize(
    ("time", "kind"),
    [
        ("2023-05-31T23:59:59+02:00", "violation"),
        ("2023-06-01T00:00:00+02:00", "exempt"),
        ("2023-06-30T23:59:59+02:00", "exempt"),
        ("2023-07-01T00:00:00+02:00", "violation"),
    ],
)
def test_an_exemption_has_days_in_the_zone_of_its_ban(time, kind):
    exemptions = [leave(start=date(2023, 6, 1), end=date(2023, 6, 30))]
    verdict = only(exemptions=exemptions, who=device(id="lab-07"), time=ns(time))
    assert verdict.kind == kind
    if kind == "violation":
        assert "an exemption of 'lab-07' is in force only" in verdict.clause
    else:
        assert "until 2023-06-30 (Europe/Brussels)" in verdict.clause


def test_an_exemption_in_force_is_found_after_an_expired_one():
    exemptions = [leave(end=date(2023, 3, 31)), leave(start=date(2023, 4, 1), reason="again")]
    verdict = only(exemptions=exemptions, who=device(id="lab-07"))
    assert verdict.exemption.reason == "again"


def test_state():
    exemption = leave(start=date(2023, 4, 1), end=date(2023, 6, 30))
    policy = Policy([BAN], [leave(), exemption])
    for rule, first, last in [
        (BAN, "2023-03-10T00:00:00+01:00", "2023-09-10T23:59:59+02:00"),
        (exemption, "2023-04-01T00:00:00+02:00", "2023-06-30T23:59:59+02:00"),
    ]:
        assert policy.state(rule, ns(first) - 1) == "not yet"
        assert policy.state(rule, ns(first)) == "in force"
        assert policy.state(rule, ns(last)) == "in force"
        assert policy.state(rule, ns(last) + SECOND) == "over"


def test_explain_asks_every_ban():
    bans = [replace(BAN, id="other", apps=frozenset({"capcut"})), BAN]
    steps = Policy(bans).explain("tls-sni", NOON, MATCH, device(), HQ)
    assert [(step.ban.id, step.kind) for step in steps] == [("other", None), ("rule", "violation")]
    assert steps[0].clause == "ban 'other' does not cover TikTok"


def test_explain_stops_at_a_condition_for_all_bans():
    (step,) = Policy([BAN, BAN]).explain("tls-sni", NOON, MATCH, device(), None)
    assert step.ban is None
    assert "outside" in step.clause


SIX_MONTHS = BanPeriod(date(2023, 3, 10), date(2023, 9, 16), "the decision")
AGAIN = BanPeriod(date(2023, 9, 26), date(2024, 3, 26), "the first extension")
WITHOUT_END = BanPeriod(date(2024, 3, 27), None, "the second extension")
EXTENDED = replace(BAN, periods=(SIX_MONTHS, AGAIN, WITHOUT_END))


@pytest.mark.parametrize(
    ("time", "kind", "state", "clause"),
    [
        ("2023-03-09T23:59:59+01:00", None, "not yet", "is in force only from 2023-03-10"),
        ("2023-03-10T00:00:00+01:00", "violation", "in force", "in force from 2023-03-10"),
        ("2023-09-16T23:59:59+02:00", "violation", "in force", "in force from 2023-03-10"),
        (
            "2023-09-17T00:00:00+02:00",
            None,
            "gap",
            "was not in force between 2023-09-17 and 2023-09-25",
        ),
        (
            "2023-09-25T23:59:59+02:00",
            None,
            "gap",
            "was not in force between 2023-09-17 and 2023-09-25",
        ),
        ("2023-09-26T00:00:00+02:00", "violation", "in force", "in force from 2023-09-26"),
        ("2024-03-26T23:59:59+01:00", "violation", "in force", "in force from 2023-09-26"),
        ("2024-03-27T00:00:00+01:00", "violation", "in force", "in force from 2024-03-27"),
        ("2100-01-01T00:00:00+01:00", "violation", "in force", "in force from 2024-03-27"),
    ],
)
def test_a_ban_is_in_force_in_its_periods_and_not_between_them(time, kind, state, clause):
    verdict = only(bans=[EXTENDED], time=ns(time))
    assert verdict.kind == kind
    assert verdict.clause.endswith(f"{clause} (Europe/Brussels)")
    assert Policy([EXTENDED]).state(EXTENDED, ns(time)) == state


def test_after_the_last_of_several_periods_a_ban_is_over():
    ban = replace(EXTENDED, periods=(SIX_MONTHS, AGAIN))
    after = ns("2024-03-27T00:00:00+01:00")
    assert only(bans=[ban], time=after).clause == (
        "ban 'rule' was in force until 2024-03-26 (Europe/Brussels)"
    )
    assert Policy([ban]).state(ban, after) == "over"


def test_in_a_period_of_advice_what_is_forbidden_is_advised_against():
    advised = replace(SIX_MONTHS, advice=True)
    ban = replace(BAN, periods=(advised, AGAIN))
    first = only(bans=[ban], time=ns("2023-09-16T12:00:00+02:00"))
    assert first.kind == "advisory"
    assert first.clause.startswith("ban 'rule' advises against TikTok on devices of class service")
    assert only(bans=[ban], time=ns("2023-09-26T12:00:00+02:00")).kind == "violation"
    guest = only(bans=[ban], time=ns("2023-09-16T12:00:00+02:00"), who=device("guest"))
    assert guest.kind is None


def test_periods_that_follow_one_another_have_no_gap():
    assert EXTENDED.gaps == [(date(2023, 9, 17), date(2023, 9, 25))]
    assert replace(EXTENDED, periods=(AGAIN, WITHOUT_END)).gaps == []


DAYS = st.lists(
    st.dates(date(2023, 1, 1), date(2024, 12, 31)), min_size=2, max_size=8, unique=True
).map(sorted)


@given(DAYS, st.dates(date(2022, 12, 1), date(2025, 1, 31)), st.integers(0, 23))
def test_the_policy_agrees_with_the_calendar(days, day, hour):
    periods = tuple(
        BanPeriod(first, last) for first, last in zip(days[::2], days[1::2], strict=False)
    )
    zone = ZoneInfo("Europe/Brussels")
    time = int(datetime(day.year, day.month, day.day, hour, tzinfo=zone).timestamp()) * SECOND
    expected = any(each.start <= day <= each.end for each in periods)
    verdict = only(bans=[replace(BAN, periods=periods)], time=time)
    assert verdict.kind == ("violation" if expected else None)
