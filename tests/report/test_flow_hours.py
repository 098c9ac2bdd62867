"""Of hours that only flow records or logs of services show, that were sampled, or of which records
were lost, all that tell of them say the same: the report, `store query`, `explain`, the pages and
the API of the console. Nobody says that a ban was complied with then."""

import json
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from report.flow_hours import (
    APP,
    DAY,
    MINUTES,
    captured,
    exported,
    leases,
    lines,
    mirrored,
    store,
    tunnels,
)
from support.asked_stores import run
from support.consoles import NAMES, Visitor

from netwatch.config import load
from netwatch.config.console_section import ConsoleOptions
from netwatch.console.accounts import Accounts
from netwatch.console.console import Console
from netwatch.console.database import open_console

ALL = range(24)
OTHERS = [hour for hour in ALL if hour != 8]
PASSWORD = "a long enough password"
PERIOD = f"from={DAY}&to={DAY}"


@dataclass(frozen=True)
class Site:
    """What a store has of the day, which `hours` are how weak (``HH:MM`` and the reason), and for
    how many hours everything is known."""

    files: Callable[[], dict[str, bytes]]
    hours: frozenset[tuple[str, str]]
    captured: float
    by_flows: float = 0.0
    by_logs: float = 0.0
    has_incident: bool = False


def weak(
    reason: str, hour: int, quarters: Collection[int] = range(4)
) -> frozenset[tuple[str, str]]:
    return frozenset((f"{hour:02}:{15 * quarter:02}", reason) for quarter in quarters)


EVERY_HOUR: frozenset[tuple[str, str]] = frozenset().union(
    *(weak("unreadable", hour) for hour in ALL)
)

SITES = {
    "packets": Site(lambda: {"day_pcap": captured(ALL)}, frozenset(), 24.0),
    "flow records alone": Site(
        lambda: {"day_pcap": captured(OTHERS), "router_ipfix": exported([8])},
        weak("unreadable", 8), 24.0, 1.0,
    ),
    "sampled alone": Site(
        lambda: {"day_pcap": captured(OTHERS), "router_ipfix": exported([8], sampling=100)},
        weak("lost", 8) | weak("unreadable", 8), 23.0,
    ),
    "sampled beside packets": Site(
        lambda: {"day_pcap": captured(ALL), "router_ipfix": exported([8], sampling=100)},
        weak("lost", 8), 23.0,
    ),
    "few sampled beside packets": Site(
        lambda: {
            "day_pcap": captured(ALL),
            "router_ipfix": exported([8], minutes=[5, 35], sampling=100),
        },
        weak("lost", 8, range(3)), 23.25,
    ),
    "lost beside packets": Site(
        lambda: {"day_pcap": captured(ALL), "router_ipfix": exported([10], lost=40)},
        weak("lost", 10, [3]), 23.75,
    ),
    "sampled and lost, with the app": Site(
        lambda: {
            "day_pcap": captured(ALL), "dns_log": lines([8]),
            "router_ipfix": exported([8], sampling=100, lost=40, server=APP),
        },
        weak("lost", 8), 23.0, has_incident=True,
    ),
    "the log of a proxy": Site(
        lambda: {"access_log": tunnels(ALL)}, EVERY_HOUR, 24.0, by_logs=24.0
    ),
    "the log of a proxy beside another network": Site(
        lambda: {
            "access_log": tunnels(ALL), "day_pcap": captured(ALL, client=bytes([10, 20, 0, 9]))
        },
        EVERY_HOUR, 24.0, by_logs=24.0,
    ),
    "the log of a proxy for an hour": Site(
        lambda: {"day_pcap": captured(OTHERS), "access_log": tunnels([8])},
        weak("unreadable", 8), 24.0, by_logs=1.0,
    ),
    "the log of a resolver for an hour": Site(
        lambda: {"day_pcap": captured(OTHERS), "dns_log": lines([8], "www.example.org", MINUTES)},
        weak("unreadable", 8), 24.0, by_logs=1.0,
    ),
    "the log of a DHCP server for an hour": Site(
        lambda: {"day_pcap": captured(OTHERS), "dhcp_log": leases([8])},
        weak("unreadable", 8), 24.0, by_logs=1.0,
    ),
    "the log of a proxy beside packets": Site(
        lambda: {"day_pcap": captured(ALL), "access_log": tunnels(ALL)}, frozenset(), 24.0
    ),
    "the logs of a sensor": Site(lambda: mirrored(ALL), frozenset(), 24.0),
}  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """A site with its store, by the path of the configuration, and the report of the day."""

    site: Site
    config: str
    report: dict[str, Any]

    @property
    def ban(self) -> dict[str, Any]:
        (ban,) = self.report["bans"]
        assert isinstance(ban, dict)
        return ban

    def records(self, *words: str) -> list[dict[str, Any]]:
        done = run("store", "query", *words, "-c", self.config, "--format", "jsonl")
        assert done.status == 0, done.errors
        return done.records


@pytest.fixture(scope="module", params=SITES, ids=[name.replace(" ", "-") for name in SITES])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stored:
    site, folder = SITES[request.param], tmp_path_factory.mktemp("site")
    config, target = store(folder, **site.files()), folder / "report.json"
    done = run("report", "--from", DAY, "--to", DAY, "-c", config, "-o", str(target))
    assert done.status == 0, done.errors
    return Stored(site, config, json.loads(target.read_text()))


@contextmanager
def visited(stored: Stored, role: str) -> Iterator[Visitor]:
    """A console over the store, which somebody with a role has opened."""
    config = load(stored.config)
    assert config.store is not None
    with closing(open_console(config.store)) as database:
        accounts = Accounts(database)
        if NAMES[role] not in {each.name for each in accounts.all()}:
            accounts.add(NAMES[role], role, PASSWORD)
    console = Console(config, config.store, ConsoleOptions())
    try:
        visitor = Visitor(console)
        assert visitor.sign_in(NAMES[role], PASSWORD).status_code == 303
        yield visitor
    finally:
        console.close()


def quarters(missing: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """The quarters of an hour of what a report says is missing."""
    for each in missing:
        begin, end = (
            int(each[key][8:10]) * 96 + int(each[key][11:13]) * 4 + int(each[key][14:16]) // 15
            for key in ("from", "until")
        )
        for quarter in range(begin, end):
            yield f"{quarter % 96 // 4:02}:{quarter % 4 * 15:02}", each["reason"]


def test_the_report_says_which_hours_are_weak(stored: Stored) -> None:
    found = stored.ban["coverage"]
    assert set(quarters(found["missing"])) == stored.site.hours
    assert (found["captured"], found["by_flows"]) == (stored.site.captured, stored.site.by_flows)
    assert found["by_logs"] == stored.site.by_logs
    assert found["readable"] == 24.0 - len({at for at, _ in stored.site.hours}) / 4


def test_hours_that_flow_records_or_logs_alone_show_have_reasons_of_their_own(
    stored: Stored,
) -> None:
    found = {
        each["code"]: each["values"]
        for each in stored.ban["answer"]["reasons"]
        if each["code"] in ("by-flows", "by-logs", "unreadable", "silent")
    }
    unreadable = sum(reason == "unreadable" for _, reason in stored.site.hours) / 4
    if stored.site.by_flows:
        assert found == {"by-flows": {"network": "hq", "hours": stored.site.by_flows}}
    elif stored.site.by_logs:
        assert found == {"by-logs": {"network": "hq", "hours": stored.site.by_logs}}
    else:
        assert found.keys() == ({"unreadable"} if unreadable else set())


def test_it_says_complied_with_of_packets_alone(stored: Stored) -> None:
    word = stored.ban["answer"]["word"]
    assert (word == "kept") == (not stored.site.hours)
    assert word in ("kept", "cannot-be-said")


def test_a_query_says_the_same_of_each_hour(stored: Stored) -> None:
    hours = stored.records("coverage", "--hours", "--network", "hq")
    by_reason: dict[str, set[str]] = {}
    for at, reason in stored.site.hours:
        by_reason.setdefault(reason, set()).add(at)
    for each in hours:
        at = each["hour"][11:13]
        lost = sum(moment.startswith(at) for moment in by_reason.get("lost", ()))
        assert each["lost"] == lost / 4, each
        is_unreadable = f"{at}:00" in by_reason.get("unreadable", ())
        assert (each["named"] == 0) == is_unreadable, each
        assert (each["by_logs"] > 0) == (is_unreadable and stored.site.by_logs > 0), each
        assert set(each["unnamed"]) <= {"flow-record"}
    assert sum(each["captured"] - each["lost"] for each in hours) == stored.site.captured


def test_the_console_says_the_same(stored: Stored) -> None:
    with visited(stored, "auditor") as visitor:
        answer = visitor.get(f"/api/v1/bans/city/answer?{PERIOD}").json()
        for _ in range(600):
            if "answer" in answer:
                break
            time.sleep(0.05)
            answer = visitor.get(f"/api/v1/bans/city/answer?{PERIOD}").json()
        assert answer["answer"] == stored.ban["answer"]
        assert answer["coverage"] == stored.ban["coverage"]
        hours = visitor.get(f"/api/v1/coverage/hours?since={DAY}&until={DAY}&network=hq&limit=500")
        asked = stored.records("coverage", "--hours", "--network", "hq", "--since", DAY,
                               "--until", DAY)  # fmt: skip
        assert hours.json()["records"] == asked
        page = visitor.get(f"/bans/city?{PERIOD}").text
        assert ("Complied with" in page) == (not stored.site.hours)
        assert ("a sample of the packets was looked at" in page) == any(
            reason == "lost" for _, reason in stored.site.hours
        )


def test_explain_says_it_of_an_incident(stored: Stored) -> None:
    incidents = stored.records("incidents")
    assert bool(incidents) == stored.site.has_incident
    for incident in incidents:
        assert incident["confidence"] != "confirmed"
        page = " ".join(run("explain", incident["id"], "-c", stored.config).output.split())
        assert "looked at one packet in 100" in page
        assert "The store lacks part of what happened in hq (2023-03-20T08:00:00Z" in page
        # Only the flow records are of a sample.
        told = page.partition("nothing else was sent. Whoever wrote ")[2]
        assert "dns.log" not in told.partition(" looked at one packet")[0]
        with visited(stored, "analyst") as visitor:
            assert "one packet in 100" in visitor.open(f"/incidents/{incident['id']}").text


def test_the_store_counts_what_it_lacks(stored: Stored) -> None:
    (found,) = run("store", "status", "-c", stored.config, "--format", "jsonl").records
    lost = {reason for _, reason in stored.site.hours} & {"lost"}
    assert bool(found["losses"]) == bool(lost)
    assert set(found["losses"]) <= {"sampled", "unreceived"}
