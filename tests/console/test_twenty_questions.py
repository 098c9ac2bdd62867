"""Twenty questions to one store: the report, the console, its API, `store query` and SQL give the
same numbers."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from support.asked_answers import BAN, FIRST, LAST, LATER_BAN, Answers, lines_of
from support.asked_stores import run
from support.consoles import copied

from netwatch.config import load
from netwatch.config.console_section import ConsoleOptions
from netwatch.console.console import Console
from netwatch.report.answer import weight

ZONE = ZoneInfo("Europe/Brussels")

ERASED = "ws-052"
"""A device of which all that is known is of later days."""

NONE = {"violation": 0, "advisory": 0, "exempt": 0}


def _all(counts: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """The incidents of all verdicts by a property."""
    return {
        word: each["violation"] + each["advisory"] + each["exempt"] for word, each in counts.items()
    }


def _day(time: str) -> date:
    return datetime.fromisoformat(time).astimezone(ZONE).date()


@pytest.fixture(scope="module")
def store(sample_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """The store of the sample captures, from which a person was erased."""
    folder = tmp_path_factory.mktemp("asked")
    options = copied(sample_store, folder)
    answers = Answers(folder, Path(options.path))
    erasure = ["--device", ERASED, "--yes", "--state", str(folder / "live.sqlite")]
    ran = run("store", "erase", *erasure, "-c", str(answers.config), *answers.place)
    assert ran.status == 0, ran.errors
    console = Console(load(str(answers.config)), options, ConsoleOptions())
    answers.meet(console)
    yield answers
    console.close()


def test_how_many_incidents_there_are(store: Answers) -> None:
    count = sum(_all({"": store.ban()["totals"]["all"]}).values())
    assert count > 10
    assert count == len(store.ban()["incidents"]) == len(store.shown_ban()["incidents"])
    count += store.ban()["totals"]["merged"]
    assert count == len(store.incidents) == len(store.listed()) == len(store.table)
    assert count == sum(store.counted("ban").values())


def test_which_incidents_these_are(store: Answers) -> None:
    ids = {each["id"] for each in store.incidents}
    assert ids == {each["id"] for each in store.ban()["incidents"]}
    assert ids == {each["id"] for each in store.listed()} == {each["id"] for each in store.table}


@pytest.mark.parametrize("verdict", ["violation", "advisory", "exempt"])
def test_how_many_have_a_verdict(store: Answers, verdict: str) -> None:
    count = store.ban()["totals"]["all"][verdict]
    assert count > 0
    assert count == len(store.query("incidents", "--verdict", verdict))
    assert count == len(store.listed(verdict=verdict)) == store.counted("verdict")[verdict]
    assert count == len(store.asked("incidents", verdict=verdict))


def test_how_many_are_of_each_app(store: Answers) -> None:
    counts = _all(store.ban()["totals"]["app"])
    assert counts == Counter(each["app"]["name"] for each in store.query("incidents"))
    assert counts == Counter(each["app"] for each in store.table)
    assert counts["TikTok"] == store.counted("app")["tiktok"] == len(store.listed(app="tiktok"))
    assert counts["TikTok"] == len(store.query("incidents", "--app", "tiktok"))
    assert counts["TikTok"] == len(store.asked("incidents", app="tiktok"))


@pytest.mark.parametrize(
    ("name", "word", "of"),
    [
        ("network", "hq", lambda each: each["network"]["name"]),
        ("verdict", "violation", lambda each: each["verdict"]),
        ("severity", "medium", lambda each: each["severity"]),
        ("confidence", "confirmed", lambda each: each["confidence"]),
        ("kind", "lookup", lambda each: (each["kind"] or {}).get("value")),
        ("outcome", "reached", lambda each: each["outcome"]),
        ("device", "ws-021", lambda each: each["device"]["id"]),
    ],
)
def test_how_many_are_left_without_a_value(
    store: Answers, name: str, word: str, of: Callable[[Mapping[str, Any]], object]
) -> None:
    left = [each["id"] for each in store.incidents if of(each) != word]
    assert 0 < len(left) < len(store.incidents)
    asked = {f"not-{name}": word}
    assert left == [each["id"] for each in store.query("incidents", f"--not-{name}", word)]
    assert left == [each["id"] for each in store.asked("incidents", **asked)]
    assert sorted(left) == sorted(each["id"] for each in store.listed(**asked))


@pytest.mark.parametrize("network", ["hq", "byod", "guest"])
def test_how_many_are_of_a_network(store: Answers, network: str) -> None:
    count = _all(store.ban()["totals"]["network"]).get(network, 0)
    assert (count > 0) == (network != "guest")
    assert count == len(store.query("incidents", "--network", network))
    assert count == len(store.listed(network=network))
    assert count == len(store.asked("incidents", network=network))
    assert count == store.counted("network").get(network, 0)


@pytest.mark.parametrize("ban", [BAN, LATER_BAN])
def test_how_many_are_of_a_ban(store: Answers, ban: str) -> None:
    count = len(store.ban(ban)["incidents"])
    assert (count > 0) == (ban == BAN)
    assert count == len(store.query("incidents", "--ban", ban)) == len(store.listed(ban=ban))
    assert count == len(store.asked("incidents", ban=ban))
    assert count == store.counted("ban").get(ban, 0)


def test_how_many_are_of_each_device(store: Answers) -> None:
    counts = _all({each["device"]: each["counts"] for each in store.ban()["devices"]})
    assert counts == Counter(each["device"]["id"] for each in store.incidents)
    assert counts == store.counted("device")
    one = max(counts, key=lambda device: (counts[device], device))
    assert counts[one] == len(store.query("incidents", "--device", one))
    assert counts[one] == len(store.listed(device=one))
    assert counts[one] == len(store.asked("incidents", device=one))
    # The auditor sees pseudonyms, which are others in each report and in the list.
    sizes = sorted(counts.values())
    assert sizes == sorted(Counter(each["device"] for each in store.table).values())
    assert sizes == sorted(
        _all({each["device"]: each["counts"] for each in store.shown_ban()["devices"]}).values()
    )


@pytest.mark.parametrize("what", ["kind", "outcome", "confidence"])
def test_what_the_incidents_are_like(store: Answers, what: str) -> None:
    counts = _all(store.ban()["totals"][what])
    assert len(counts) > 1
    assert counts == store.counted(what)
    assert counts == Counter(each[what] for each in store.table)
    for word, count in counts.items():
        assert count == len(store.query("incidents", f"--{what}", word))
        assert count == len(store.listed(**{what: word}))
        assert count == len(store.asked("incidents", **{what: word}))


def test_how_many_began_in_each_week(store: Answers) -> None:
    weeks = store.ban()["weeks"]
    assert weeks == store.shown_ban()["weeks"]
    counts = {each["monday"]: sum(_all({"": each["counts"] or NONE}).values()) for each in weeks}
    days = [_day(each["first_seen"]) for each in store.incidents]
    found = Counter((day - timedelta(days=day.weekday())).isoformat() for day in days)
    assert {monday: count for monday, count in counts.items() if count} == found
    assert len(found) > 1


def test_how_often_a_name_was_looked_up(store: Answers) -> None:
    """By the record, its reasons, the pages and SQL."""
    one = next(each for each in store.incidents if each["kind"]["value"] == "lookup")
    lookups, address = one["counts"]["lookups"], one["device"]["ip"]
    assert lookups > 0
    assert one["kind"]["reasons"][0].startswith(f"{lookups} lookup")
    rows = store.sql(
        f"SELECT count(*) AS lookups FROM observation WHERE client_ip = '{address}'"
        f" AND name IN {(*one['names'], '')} AND evidence = 'dns-query' AND $time"
    )
    assert rows == [{"lookups": lookups}]
    page = store.page("analyst", f"/incidents/{one['id']}", has_days=False)
    assert f"Lookups {lookups} Handshakes" in page
    assert f"{lookups} lookup" in store.command("explain", one["id"])


def test_how_many_flows_each_network_had(store: Answers) -> None:
    networks = store.report["coverage"]["networks"]
    assert networks == store.shown["coverage"]["networks"]
    flows = {each["network"]: each["flows"] for each in networks}
    assert sum(flows.values()) > 50
    by_hour: Counter[str] = Counter()
    for each in store.hours:
        by_hour[each["network"]] += each["flows"]
    assert flows == +by_hour
    assert flows == {each["network"]: each["flows"] for each in _flows(store)}
    table = store.page("auditor", "/blind-spots")
    for network, count in flows.items():
        assert f" {network} {count} " in table
    assert f"of {sum(flows.values())} flows" in table


def test_how_many_flows_had_no_readable_name(store: Answers) -> None:
    unnamed = {
        each["network"]: each["flows"] - each["named"]
        for each in store.report["coverage"]["networks"]
    }
    assert sum(unnamed.values()) == sum(
        count for each in store.report["coverage"]["networks"] for count in each["unnamed"].values()
    )
    assert unnamed["hq"] > 0
    by_hour: Counter[str] = Counter()
    for each in store.hours:
        by_hour[each["network"]] += sum(each["unnamed"].values())
    assert +Counter(unnamed) == +by_hour
    assert unnamed == {each["network"]: each["unnamed"] for each in _flows(store)}
    answer = store.ban()["answer"]
    assert answer["unnamed"] == unnamed["hq"]
    page = store.page("auditor", f"/bans/{BAN}")
    share = f"{100 * unnamed['hq'] / answer['flows']:.1f} % of {answer['flows']} flows"
    assert f"not readable: {share}" in page


def test_how_many_flows_were_of_no_network(store: Answers) -> None:
    """In the records of coverage, which count as a whole, as the page says."""
    (row,) = store.sql(
        "SELECT count(*) AS flows FROM flow WHERE server_port <> 53 AND client_network IS NULL"
    )
    assert row["flows"] == sum(each["outside"]["flows"] for each in store.coverage) > 0
    page = store.page("auditor", "/blind-spots")
    beyond = "1 record of coverage reaches beyond these days and counts as a whole."
    assert f"{row['flows']} flows were of no configured network. {beyond}" in page


def _flows(store: Answers) -> list[dict[str, Any]]:
    """The flows of networks by SQL. Those of DNS are not counted: all of them have names."""
    return store.sql(
        "SELECT client_network AS network, count(*) AS flows,"
        " count(*) FILTER (name_status <> 'named') AS unnamed FROM flow"
        " WHERE $first AND server_port <> 53 AND client_network <> '' GROUP BY 1"
    )


def test_for_how_many_hours_there_was_a_capture(store: Answers) -> None:
    hours = store.report["coverage"]["hours"]
    assert hours > 5
    by_hour = {each["hour"]: each["captured"] for each in store.hours}
    assert hours == sum(by_hour.values())
    for ban in (BAN, LATER_BAN):
        assert hours == sum(each["hours_captured"] for each in store.ban(ban)["weeks"])
        assert hours == store.ban(ban)["change"]["hours_after"]
        assert f"{hours:g} of 527 hours" in store.page("auditor", f"/bans/{ban}")
    assert hours == store.shown["coverage"]["hours"]
    gaps = sum(each["hours"] for each in store.report["coverage"]["gaps"])
    # What is neither is shorter than an hour each time.
    assert gaps <= store.report["coverage"]["hours_of_period"] - hours


def test_on_which_days_nothing_was_captured(store: Answers) -> None:
    captured = {_day(each["hour"]) for each in store.hours}
    every = {date.fromisoformat(FIRST) + timedelta(days=number) for number in range(22)}
    missing = {day.isoformat() for day in every - captured}
    assert len(missing) > 10
    assert missing == {day for each in store.ban()["weeks"] for day in each["missing"]}
    assert f"{len(missing)} of them were not captured" in store.page("auditor", "/blind-spots")
    assert f"{len(missing)} days were not captured" in store.page("auditor", f"/bans/{BAN}")


@pytest.mark.parametrize("ban", [BAN, LATER_BAN])
def test_for_how_many_hours_a_ban_judged(store: Answers, ban: str) -> None:
    coverage = store.ban(ban)["coverage"]
    assert coverage == store.shown_ban(ban)["coverage"] == store.answer(ban)["coverage"]
    own = [each for each in store.hours if each["network"] == "hq"]
    captured = sum(each["captured"] for each in own)
    judged = sum(each["captured"] for each in own if ban in each["judged_by"])
    if ban == BAN:
        assert judged == captured
        assert coverage["judged"] == coverage["captured"] >= captured
    else:
        assert judged == coverage["judged"] == 0


@pytest.mark.parametrize("ban", [BAN, LATER_BAN])
def test_how_many_hours_are_missing_for_which_reason(store: Answers, ban: str) -> None:
    found = store.ban(ban)
    missing: defaultdict[str, float] = defaultdict(float)
    for each in found["coverage"]["missing"]:
        begin, end = (datetime.fromisoformat(each[name]) for name in ("from", "until"))
        missing[each["reason"]] += (end - begin) / timedelta(hours=1)
    coverage = found["coverage"]
    assert missing["not-captured"] == coverage["hours"] - coverage["captured"]
    assert missing["not-judged"] == coverage["captured"] - coverage["judged"]
    assert (missing["not-judged"] > 0) == (ban == LATER_BAN)
    said = {each["code"]: each["values"] for each in found["answer"]["reasons"]}
    assert said["gaps"]["hours"] == pytest.approx(missing["not-captured"], abs=0.06)
    assert said.get("not-judged", {"hours": 0.0})["hours"] == missing["not-judged"]
    page = store.page("auditor", f"/bans/{ban}")
    assert f"for {said['gaps']['hours']:g} hours in all" in page
    text = store.command("report", "--from", FIRST, "--to", LAST, "--ban", ban)
    assert f"for {said['gaps']['hours']:g} hours in all" in " ".join(text.split())
    if ban == LATER_BAN:
        assert f"{missing['not-judged']:g} hours were captured, and not judged" in page


@pytest.mark.parametrize(
    ("ban", "word", "title"),
    [(BAN, "not-kept", "Violated"), (LATER_BAN, "cannot-be-said", "Inconclusive")],
)
def test_whether_a_ban_was_kept(store: Answers, ban: str, word: str, title: str) -> None:
    answer = store.ban(ban)["answer"]
    assert answer["word"] == word
    assert answer == store.shown_ban(ban)["answer"] == store.answer(ban)["answer"]
    assert f" {title} not readable" in store.page("auditor", f"/bans/{ban}")
    text = store.command("report", "--from", FIRST, "--to", LAST, "--ban", ban)
    assert title.lower() in text.lower()


def test_how_the_violations_count(store: Answers) -> None:
    counts = store.ban()["totals"]["all"]
    weights = Counter(
        weight(each["confidence"], each["kind"]["value"], each["outcome"])
        for each in store.query("incidents", "--verdict", "violation")
    )
    assert {word: counts[word] for word in weights} == weights
    assert counts == store.answer(BAN)["totals"]["all"]
    said = {each["code"]: each["values"] for each in store.ban()["answer"]["reasons"]}
    assert said["proved"]["incidents"] == weights["proved"]
    page = store.page("auditor", f"/bans/{BAN}")
    for word, title in (("proved", "Proved"), ("blocked", "Blocked")):
        assert f"{title}: {weights[word]} incidents of" in page


def test_how_often_exemptions_were_used(store: Answers) -> None:
    (row,) = store.ban()["exemptions"]
    exempt = store.query("incidents", "--verdict", "exempt")
    assert row["used"] == len(exempt) == store.ban()["totals"]["all"]["exempt"] == 1
    assert {row["device"]} == {each["device"]["id"] for each in exempt}
    (shown,) = store.shown_ban()["exemptions"]
    assert shown == {**row, "device": shown["device"]}
    page = store.page("analyst", "/exemptions")
    assert f" {row['device']} " in page
    assert f" used {row['used']} 0 " in page


def test_how_many_persons_were_erased(store: Answers) -> None:
    for report in (store.report, store.shown):
        for ban in report["bans"]:
            said = {each["code"]: each["values"] for each in ban["answer"]["reasons"]}
            assert said["erased"] == {"count": 1}
    assert "1 person has since been erased" in store.page("auditor", f"/bans/{BAN}")
    entries = store.page("dpo", "/retention", has_days=False).partition("Action Detail")[2]
    assert entries.count(" incidents: ") == entries.count(" incidents: 1,") == 1
    assert store.sql(f"SELECT id FROM incident WHERE device = '{ERASED}'") == []


def test_how_many_contacts_can_be_hidden(store: Answers) -> None:
    """The bound and the records of coverage, which count as a whole, as the report says."""
    bound = store.ban()["bound"]
    assert bound == store.shown_ban()["bound"]
    devices = [
        device
        for record in store.coverage
        for network in record["networks"]
        if network["class"] == "service"
        for device in network["devices"]
    ]
    named = sum(each["named"] for each in devices)
    unread = sum(each["flows"] - each["named"] for each in devices)
    assert (bound["named"], bound["unread"]) == (named, unread)
    assert unread == 3
    assert "beyond" in {each["code"] for each in store.ban()["answer"]["notes"]}


def test_how_many_packets_there_were(store: Answers) -> None:
    packets = sum(each["packets"]["seen"] for each in store.coverage)
    assert packets > 1000
    assert packets == store.report["coverage"]["packets"] == store.shown["coverage"]["packets"]
    rows = store.sql("SELECT sum((record->>'$.packets.seen')::INTEGER) AS seen FROM coverage")
    assert rows == [{"seen": packets}]


def test_what_decided(store: Answers) -> None:
    (version,) = store.report["sources"]["versions"]
    assert version == store.shown["sources"]["versions"][0]
    assert [version] == store.sql(
        "SELECT netwatch, signatures, bans, configuration FROM version"
        " WHERE id IN (SELECT DISTINCT 1 FROM incident)"
    )
    assert {each["versions"]["bans"] for each in store.incidents} == {version["bans"]}
    notes = {each["code"]: each["values"] for each in store.ban()["answer"]["notes"]}
    assert notes["other-versions"] == {"incidents": len(store.incidents)}


def test_what_there_is_in_all(store: Answers) -> None:
    """The report of all days, `store status`, and the pages that count what there ever was."""
    report = store.reported(FIRST, "2024-10-31")
    (status,) = lines_of(store.command("store", "status", "--format", "jsonl"))
    counts = next(each for each in report["bans"] if each["id"] == BAN)["totals"]["all"]
    total = sum(_all({"": counts}).values())
    assert total > len(store.incidents)
    assert status["incidents"] == total
    assert [{"n": total}] == store.sql("SELECT count(*) AS n FROM incident")
    assert f" Incidents {total} " in store.page("dpo", "/retention", has_days=False)
    listed = store.page("auditor", "/bans", has_days=False)
    for verdict in ("violation", "advisory", "exempt"):
        assert f" {verdict} {counts[verdict]} " in listed
    assert status["hours"]["captured"] == report["coverage"]["hours"]
    hours = {BAN: report["coverage"]["hours"], LATER_BAN: 0.0}
    assert {ban: each["judged"] for ban, each in status["hours"]["bans"].items()} == hours
