"""What is held on one person: every kind of data, for how long, who looked, and a copy."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select
from support.asked_stores import run
from support.consoles import Visitor

from netwatch.config import Config
from netwatch.config.console_section import ConsoleOptions
from netwatch.console.console import Console
from netwatch.console.held import held
from netwatch.console.triage import Change
from netwatch.store import catalogue_tables as tables
from netwatch.store.options import Retention

DAY = 86_400
MakeConsole = Callable[[ConsoleOptions], Console]


def copy_of(visitor: Visitor, device: str) -> dict[str, Any]:
    answer = visitor.open(f"/person.json?device={device}")
    assert answer.status_code == 200
    return json.loads(answer.text)


@pytest.fixture
def officer(visit: Callable[[str], Visitor]) -> Visitor:
    return visit("dpo")


def queried(console: Console, table: str, device: str) -> list[dict[str, Any]]:
    return run("store", "query", table, "--device", device, "--format", "jsonl",
               "-c", "pcaps/netwatch.yaml", "--store-path", console.store.path).records  # fmt: skip


def test_the_copy_has_what_the_store_has(console: Console, officer: Visitor) -> None:
    found = copy_of(officer, "ws-021")
    assert found["schema"] == "netwatch.person/1"
    for key, table in (("observations", "observations"), ("flows", "flows"),
                       ("incidents", "incidents")):  # fmt: skip
        assert found[key] == queried(console, table, "ws-021"), key
        assert found[key], key
    assert [each["id"] for each in found["inventory"]] == ["ws-021"]
    assert {each["id"] for each in found["coverage"]} == {"ws-021"}
    counted = {
        code: sum(each["rows"] for each in found["kinds"] if each["kind"] == code)
        for code in {each["kind"] for each in found["kinds"]}
    }
    for code, key in (("observation", "observations"), ("flow", "flows"), ("claim", "claims"),
                      ("incident", "incidents"), ("evidence", "evidence")):  # fmt: skip
        assert counted[code] == len(found[key]), code
    assert {each["ban"] for each in found["purposes"]} == {"be-fed-tiktok-2023"}
    first, last = (
        next(each[key] for each in found["kinds"] if each["kind"] == "incident")
        for key in ("from", "until")
    )
    assert first[:19] == min(each["first_seen"] for each in found["incidents"])[:19]
    assert last[:19] == max(each["last_seen"] for each in found["incidents"])[:19]


def test_the_copy_has_what_was_decided(console: Console, officer: Visitor) -> None:
    first, second = queried(console, "incidents", "ws-021")[:2]
    other = second | {"id": "0" * 32}
    for record in (second, first, other):
        console.triage.change(record, Change("seen", note="called the owner"), "ben")
    found = copy_of(officer, "ws-021")
    assert [each["incident"] for each in found["triage"]] == [second["id"], first["id"]]
    assert found["triage"][0] | {"time": ""} == {
        "incident": second["id"], "time": "", "account": "ben", "state": "seen", "assignee": "",
        "reason": "", "note": "called the owner",
    }  # fmt: skip
    (kind,) = [each for each in found["kinds"] if each["kind"] == "triage"]
    assert kind["rows"] == 2


def test_everything_that_is_erased_is_counted(console: Console, officer: Visitor) -> None:
    found = copy_of(officer, "ws-021")
    done = run("store", "erase", "--device", "ws-021", "--yes", "--format", "jsonl",
               "-c", "pcaps/netwatch.yaml", "--state", "none", "--store-path",
               console.store.path)  # fmt: skip
    (erased,) = done.records
    facts = sum(len(found[key]) for key in ("observations", "flows", "claims"))
    assert erased["incidents"] == len(found["incidents"])
    assert erased["clients"] == sum(
        each["rows"] for each in found["kinds"] if each["kind"] == "client"
    )
    # Mentions in facts of others go as well, and are not the device's own.
    assert erased["rows"] >= facts > 0
    after = copy_of(officer, "ws-021")
    own = ("observations", "flows", "claims", "incidents", "evidence", "coverage")
    assert not any(after[key] for key in own)
    assert after["looks"]


def test_who_looked_is_said(
    console: Console, visit: Callable[[str], Visitor], officer: Visitor
) -> None:
    analyst = visit("analyst")
    analyst.open("/devices/ws-021")
    analyst.open("/incidents?device=ws-021")
    analyst.open("/devices/ws-014")
    page = officer.open("/person?device=ws-021").text
    looks = page[page.index('id="looks"') :]
    assert looks.count(">ben</td>") == 3  # the purpose, the page, the list
    found = copy_of(officer, "ws-021")
    assert {each["subject"].partition(",")[0] for each in found["looks"]} == {"device ws-021"}
    assert {each["action"] for each in found["looks"]} >= {"device", "list", "purpose", "export"}


def test_who_looks_often_hides_nobody_else(console: Console, officer: Visitor) -> None:
    about = {"role": "dpo", "subject": "device ws-021", "purpose": "request 7"}
    console.audit.add("device", account="ben", role="analyst", subject="device ws-021")
    for _ in range(60):
        console.audit.add("person", account="dora", **about)
    page = officer.open("/person?device=ws-021").text
    looks = page[page.index('id="looks"') :]
    assert looks.count(">ben</td>") == 1
    assert re.search(r">request 7</td><td [^>]*>60</td>", looks)


def test_who_looked_has_the_names_of_a_provider(console: Console, officer: Visitor) -> None:
    console.names.note("oidc:0123", "maria")
    console.audit.add("device", account="oidc:0123", subject="device ws-021", purpose="case 1")
    page = officer.open("/person?device=ws-021").text
    assert ">oidc:0123 (maria)</td>" in page
    (look,) = [each for each in copy_of(officer, "ws-021")["looks"]
               if each["account"] == "oidc:0123"]  # fmt: skip
    assert look["account_names"] == ["maria"]


def test_each_kind_has_its_own_retention(
    sample_config: Config, make_console: MakeConsole, visit: Callable[[str], Visitor]
) -> None:
    console = make_console(ConsoleOptions())
    kept = Retention(observations=30 * DAY, incidents=730 * DAY, evidence=365 * DAY,
                     personal=7 * DAY)  # fmt: skip
    console.config = replace(sample_config, retention=kept)
    seconds = {each.code: each.seconds for each in held(console, "ws-021", 60).kinds}
    assert seconds["observation"] == seconds["flow"] == seconds["claim"] == 30 * DAY
    assert seconds["incident"] == seconds["coverage"] == 730 * DAY
    assert seconds["evidence"] == 365 * DAY
    client, network = tables.client.c, "byod"
    with console.catalogue.database.reading() as connection:
        (ip,) = connection.execute(
            select(client.ip).where(client.network == network, client.ip.is_not(None)).limit(1)
        ).one()
        assert connection.execute(select(func.count()).select_from(tables.file)).scalar()
    personal = {each.network: each.seconds for each in held(console, ip, 60).kinds
                if each.code == "flow"}  # fmt: skip
    assert personal == {network: 7 * DAY}


@pytest.mark.parametrize("word", ["owner", "hostname", "mac", "ip"])
def test_a_person_is_found_by_whatever_the_inventory_knows(console: Console, word: str) -> None:
    entry = next(
        each for each in console.config.devices.entries
        if each.owner or each.hostname or each.mac
    )  # fmt: skip
    entry = console.config.devices.entries.with_id("ws-021") or entry
    from netwatch.core.addresses import ip_text, mac_text

    words = {"owner": entry.owner, "hostname": entry.hostname,
             "mac": mac_text(entry.mac) if entry.mac else None,
             "ip": ip_text(entry.ips[0]) if entry.ips else None}  # fmt: skip
    if not words[word]:
        pytest.skip(f"the sample has no {word}")
    found = held(console, str(words[word]), 60)
    assert "ws-021" in found.ids
    assert next(each.rows for each in found.kinds if each.code == "incident")


def test_nothing_is_found_of_nobody(officer: Visitor) -> None:
    page = officer.open("/person?device=zz-nobody")
    assert page.status_code == 200
    assert re.findall(r'<td [^>]*class="number"[^>]*>([^<]*)</td>', page.text)[:5] == ["0"] * 5
    found = copy_of(officer, "zz-nobody")
    assert not any(found[key] for key in ("observations", "flows", "incidents", "inventory"))
    assert officer.get("/person.json").status_code == 400
