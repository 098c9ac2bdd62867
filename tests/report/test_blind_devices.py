"""How many contacts could be hidden: from the records of a store to a number, or why there is
none."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from report.stores import Office

from netwatch.report import words
from netwatch.report.blind_devices import REASONS
from netwatch.report.collect import Wanted, collect
from netwatch.report.files import record
from netwatch.report.page import report_language
from netwatch.report.values import BanReport, Reason

MARCH = date(2023, 3, 13), date(2023, 3, 19)


def fill(office: Office, devices: Mapping[str, Mapping[str, int]], network: str = "hq") -> None:
    """A capture of March with flows of devices by reason."""
    run = office.run()
    office.capture(run, "2023-02-01", "2023-04-01")
    total: dict[str, int] = {}
    for counts in devices.values():
        for reason, count in counts.items():
            total[reason] = total.get(reason, 0) + count
    office.coverage(run, "2023-02-01", "2023-04-01", {network: total}, devices={network: devices})


def made(office: Office, **more: Any) -> BanReport:
    (ban,) = collect(office.catalogue, office.config, Wanted(*MARCH, **more)).bans
    return ban


def test_where_little_is_hidden_no_contact_is(office: Office) -> None:
    fill(office, {f"ws-{n}": {"named": 970, "ech": 30, "no-data": 500} for n in range(20)})
    bound = made(office).bound
    assert bound is not None
    assert (bound.contacts, bound.named, bound.unread) == (0, 19_400, 600)


def test_a_device_that_hides_a_fifth_may_hide_its_contacts(office: Office) -> None:
    fill(office, {"ws-1": {"named": 980, "ech": 20}, "ws-2": {"named": 80, "ech": 15, "no-sni": 5}})
    bound = made(office).bound
    assert bound is not None
    assert bound.contacts == 20


def test_of_a_device_with_an_incident_all_that_it_hides_counts(office: Office) -> None:
    fill(office, {"ws-1": {"named": 985, "ech": 15}, "ws-2": {"named": 970, "ech": 30}})
    office.incident(1, "2023-03-14T10:00", device="ws-1")
    bound = made(office).bound
    assert bound is not None
    assert bound.contacts == 15


def test_devices_that_the_ban_is_not_about_do_not_count(office: Office) -> None:
    fill(office, {"phone": {"named": 10, "ech": 900}}, "byod")
    ban = made(office)
    assert ban.bound is None
    assert ban.bound_reason == Reason("no-names", {"flows": 0})


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"no-sni": 40}, Reason("hides-all", {"devices": 1, "flows": 40})),
        ({"named": 40, "vpn": 2}, Reason("tunnels", {"devices": 1, "flows": 2})),
    ],
)
def test_where_it_cannot_be_said_the_report_says_why(
    office: Office, counts: dict[str, int], expected: Reason
) -> None:
    fill(office, {"ws-1": {"named": 1000}, "ws-2": counts})
    ban = made(office)
    assert ban.bound is None
    assert ban.bound_reason == expected
    written = record(collect(office.catalogue, office.config, Wanted(*MARCH)))["bans"][0]
    assert written["bound"] is None
    assert written["bound_reason"] == {"code": expected.code, "values": expected.values}


def test_devices_beyond_the_limit_of_a_record_are_no_number(office: Office) -> None:
    fill(office, {"ws-1": {"named": 1000}})
    run = office.run()
    network = {"name": "hq", "class": "service", "flows": 9, "named": 9, "unnamed": {}}
    rest = {"flows": 9, "named": 9, "unnamed": {}}
    text = json.dumps(
        {
            "packets": {"seen": 1, "cut": 0, "dropped": 0, "unreadable": {}},
            "networks": [{**network, "devices": [], "rest": rest}],
        },
        separators=(",", ":"),
    )
    begin = 1_678_700_000_000_000_000
    office.catalogue.add_coverage(run, 0, begin, begin + 1, text)
    assert made(office).bound_reason == Reason("not-all-devices", {})


@pytest.mark.parametrize("code", ["en", "fr", "nl", "de"])
def test_every_reason_has_a_sentence(office: Office, code: str) -> None:
    fill(office, {"ws-1": {"named": 980, "ech": 20}, "ws-2": {"named": 80, "ech": 20}})
    ban, used = made(office), report_language(code)
    said = words.bound(ban, used)
    for number in (r"1.?060", "40", "20", "95"):
        assert re.search(rf"\b{number}\b", said)
    for each in set(REASONS) - {"not-in-force", "not-counted"}:
        without = _without(ban, Reason(each, {"devices": 3, "flows": 12}))
        assert len(words.bound(without, used)) > 40


def _without(ban: BanReport, reason: Reason) -> BanReport:
    return replace(ban, bound=None, bound_reason=reason)


def test_the_console_does_not_wait_for_it(office: Office) -> None:
    fill(office, {"ws-1": {"named": 1000}})
    ban = made(office, counts_devices=False)
    assert ban.bound_reason == Reason("not-counted", {})
    assert not words.bound(ban, report_language("en"))
