"""The API for programs: who may ask for what, what the audit has of it, and what it answers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from support.asked_stores import run
from support.console_walk import prepare
from support.consoles import Visitor
from support.fleets import FLEET_CASE
from support.paths import PCAPS
from support.programs_of_api import PURPOSE, Program, program

from netwatch.config.console_section import ROLES
from netwatch.console import api, period_reports, tokens
from netwatch.console.api_operations import MAX_RECORDS
from netwatch.console.console import PERSON_FILTERS, Console
from netwatch.console.database import open_console
from netwatch.console.routes import ROUTES, Route
from netwatch.core.filter_words import SORTS

BAN = "be-fed-tiktok-2023"
OPERATIONS = [route for route in ROUTES if route.operation is not None]
ON_PEOPLE = {
    "incidents", "incident", "decide", "triage", "cases", "case", "devices", "coverage", "bypasses",
}  # fmt: skip
"""The operations whose answers name devices."""

WITHIN = {
    "incidents",
    "incident",
    "decide",
    "triage",
    "devices",
    "coverage",
    "bypasses",
    "hours",
    "bans",
    "ban",
    "health",
    "openapi",
}
"""What a token that is limited to networks may ask for."""

PROBLEM = "application/problem+json"


@pytest.fixture
def filled(console: Console, monkeypatch: pytest.MonkeyPatch) -> Console:
    """The same with a fleet, whose reports are waited for."""
    monkeypatch.setattr(period_reports, "WAIT_SECONDS", 60.0)
    prepare(console)
    return console


def place(route: Route, incident: str) -> str:
    """A path of a route, below the root of the API."""
    path = route.path.removeprefix("/api/v1/")
    first = path.partition("/")[0]
    ids = {"bans": BAN, "cases": FLEET_CASE, "incidents": incident}
    path = path.replace("{id}", ids.get(first, ""))
    has_days = path.endswith(("answer", "report"))
    return f"{path}?from=2023-03-20&to=2023-03-21" if has_days else path


def asked(asking: Program, route: Route, incident: str) -> Any:
    """What a program is answered by an operation."""
    if route.method == "PATCH":
        return asking.patch(place(route, incident), {"state": "seen"})
    return asking.get(place(route, incident))


def an_incident(console: Console, network: str = "hq") -> str:
    """The id of an incident in a network."""
    records = program(console, "analyst", name="finder").records(f"incidents?network={network}")
    console.tokens.remove("finder")
    return str(records[0]["id"])


@pytest.mark.parametrize("role", ROLES)
def test_a_token_can_do_what_its_role_can(role: str, filled: Console) -> None:
    incident = an_incident(filled)
    asking = program(filled, role)
    for route in OPERATIONS:
        answer = asked(asking, route, incident)
        expected = 200 if route.roles is None or role in route.roles else 403
        assert answer.status_code == expected, (route.path, answer.text[:500])
        if expected == 403:
            assert answer.headers["content-type"] == PROBLEM
            assert "ws-0" not in answer.text


def test_it_opens_no_page_and_signs_nobody_in(filled: Console) -> None:
    asking = program(filled, "analyst")
    for path in ("/incidents", "/now", "/api/v1/", "/account", "/incidents.jsonl"):
        answer = asking.client.get(path, headers=asking.headers)
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/sign-in"), path
    assert "set-cookie" not in asking.get("incidents").headers


@pytest.mark.parametrize("token", [None, "", "netwatch_nothing", "é", "x" * 5000])
def test_nobody_is_answered_without_a_token(token: str | None, console: Console) -> None:
    before = console.audit.verify().rows
    asking = Program(console, None)
    if token is not None:
        asking.headers = {"Authorization": f"Bearer {quote(token)}"}
    for route in OPERATIONS:
        answer = asked(asking, route, "0" * 32)
        if route.roles is None:
            assert answer.status_code == 200
            continue
        assert answer.status_code == 401, route.path
        assert answer.headers["content-type"] == PROBLEM
        assert answer.headers["www-authenticate"] == 'Bearer realm="netwatch"'
        assert "netwatch tokens add" in answer.json()["detail"]
    assert console.audit.verify().rows == before


def test_what_is_asked_about_people_is_in_the_audit(filled: Console) -> None:
    incident = an_incident(filled)
    asking = program(filled, "analyst", name="siem", purpose="weekly count")
    for route in OPERATIONS:
        assert route.operation is not None
        if route.roles is not None and "analyst" not in route.roles:
            continue
        rows = filled.audit.verify().rows
        assert asked(asking, route, incident).status_code == 200
        found = list(filled.audit.entries(rows))
        assert bool(found) == bool(route.audited), route.path
        assert (route.operation.name in ON_PEOPLE) <= bool(found), route.path
        for row in found:
            assert (row.account, row.role) == ("token:siem", "analyst")
            assert (row.action, row.purpose) == (route.audited, "weekly count")
            assert row.subject
            assert json.loads(row.detail)["path"] == route.path.replace(
                "{id}", FLEET_CASE if "cases" in route.path else incident
            )


def test_a_filter_by_a_person_is_under_this_person(console: Console) -> None:
    asking = program(console, "analyst")
    for path in ("incidents", "cases", "devices", "coverage"):
        rows = console.audit.verify().rows
        assert asking.get(f"{path}?device=ws-021&network=hq").status_code == 200, path
        (row,) = console.audit.entries(rows)
        assert row.subject == f"device ws-021, {path}"
        assert json.loads(row.detail)["filter"] == {"device": "ws-021", "network": "hq"}


def test_a_session_has_to_state_a_purpose(
    visit: Callable[[str], Visitor], console: Console
) -> None:
    visitor = visit("analyst")
    rows = console.audit.verify().rows
    refused = visitor.get("/api/v1/incidents?device=ws-021")
    assert refused.status_code == 403
    assert refused.headers["content-type"] == PROBLEM
    assert "purpose" in refused.json()["detail"]
    assert console.audit.verify().rows == rows
    assert visitor.state_purpose("/incidents?device=ws-021").status_code == 303
    answer = visitor.get("/api/v1/incidents?device=ws-021")
    assert {each["device"]["id"] for each in answer.json()["records"]} == {"ws-021"}
    row = list(console.audit.entries())[-1]
    assert (row.account, row.subject) == ("ben", "device ws-021, incidents")
    assert row.purpose == PURPOSE


def test_the_purpose_of_an_incident_is_asked_on_every_path(
    visit: Callable[[str], Visitor], incident: str
) -> None:
    visitor = visit("analyst")
    for path in (f"incidents/{incident}", "devices", "devices?network=hq"):
        assert visitor.get(f"/api/v1/{path}").status_code == 403, path
    assert visitor.state_purpose(f"/incidents/{incident}").status_code == 303
    assert visitor.get(f"/api/v1/incidents/{incident}").status_code == 200
    assert visitor.get("/api/v1/devices").status_code == 403


def test_a_token_stays_within_its_networks(filled: Console) -> None:
    asking, all_of_it = program(filled, "analyst", "byod"), program(filled, "analyst")
    for name in ("incidents", "coverage/hours"):
        found, known = asking.records(name), all_of_it.records(name)
        assert found
        networks = {_network(each) for each in known}
        assert {_network(each) for each in found} == {"byod"} < networks
        assert found == [each for each in known if _network(each) == "byod"]
        assert asking.records(f"{name}?network=byod") == found
    devices = asking.records("devices")
    assert {each["network"] for each in devices} == {"byod"}
    for record in asking.records("coverage"):
        assert {each["name"] for each in record["networks"]} <= {"byod"}
    for name in ("incidents", "devices", "coverage", "coverage/hours"):
        for network in ("hq", "hq&network=byod", "nowhere"):
            answer = asking.get(f"{name}?network={network}")
            assert answer.status_code == 403, name
            assert "limited to the networks byod" in answer.json()["detail"]
    assert asking.get(f"incidents/{an_incident(filled, 'byod')}").status_code == 200
    assert asking.get(f"incidents/{an_incident(filled, 'hq')}").status_code == 404


def _network(record: dict[str, object]) -> object:
    network = record["network"]
    return network["name"] if isinstance(network, dict) else network


@pytest.mark.parametrize("role", ROLES)
def test_what_is_about_all_networks_is_refused_to_it(role: str, filled: Console) -> None:
    incident, asking = an_incident(filled, "byod"), program(filled, role, "byod")
    for route in OPERATIONS:
        assert route.operation is not None
        assert route.operation.by_network == (route.operation.name in WITHIN)
        is_own = route.roles is None or role in route.roles
        expected = 200 if is_own and route.operation.by_network else 403
        assert asked(asking, route, incident).status_code == expected, route.path


@pytest.mark.parametrize(
    ("query", "parameter", "said"),
    [
        ("incidents?ap=tiktok", "ap", "did you mean 'app'?"),
        ("incidents?app=tictok", "app", "did you mean 'tiktok'?"),
        ("incidents?ban=be-fed-tiktok-2032", "ban", f"did you mean '{BAN}'?"),
        ("incidents?network=hk", "network", "did you mean 'hq'?"),
        ("incidents?device=phone-0007", "device", "did you mean 'phone-007'?"),
        ("incidents?verdict=violations", "verdict", "did you mean 'violation'?"),
        ("incidents?outcome=blockd", "outcome", "did you mean 'blocked'?"),
        ("incidents?since=yesterday", "since", "expected a time like"),
        ("incidents?since=7d&since=8d", "since", "expected one value"),
        ("incidents?app=", "app", "expected a value"),
        ("incidents?app=a%00", "app", "expected a text"),
        ("incidents?app=" + "a" * 301, "app", "expected at most 300 characters, found 301"),
        ("incidents?limit=0", "limit", f"expected a number from 1 to {MAX_RECORDS}"),
        ("incidents?limit=%C2%B2", "limit", "expected a number"),
        ("incidents?after=WzEsMiwieCJd", "after", "expected the 'next'"),
        ("incidents?after=W1tdXQ", "after", "expected the 'next'"),
        ("incidents?after=WzFlOTk5LDEsMV0", "after", "expected the 'next'"),
        ("incidents?after=é", "after", "expected the 'next'"),
        ("coverage?app=tiktok", "app", "expected one of since, until, network, device"),
        ("coverage/hours?device=ws-021", "device", "expected one of"),
        ("coverage/hours?after=WyI5OTk5LTAxLTAxVDAwOjAwOjAwWiIsImhxIl0", "after", "expected"),
        ("incidents?sort=severty", "sort", "did you mean 'severity'?"),
        ("cases?sort=contacts&after=WzEsImEiXQ", "after", "expected the 'next'"),
        ("incidents?sensor=nobody", "sensor", "a sensor of the configuration or the store"),
        ("cases?not-sensor=nobody", "not-sensor", "found 'nobody'"),
        ("sensors?state=silnt", "state", "did you mean 'silent'?"),
        ("bans?device=ws-021", "device", "expected none"),
        (f"bans/{BAN}/answer?subject=x", "subject", "expected one of from, to"),
        ("health?lang=fr", "lang", "expected none"),
    ],
)
def test_a_wrong_parameter_is_named_and_nothing_is_shown(
    query: str, parameter: str, said: str, console: Console
) -> None:
    rows = console.audit.verify().rows
    answer = program(console, "analyst").get(query)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == PROBLEM
    problem = answer.json()
    assert problem["title"] == "Bad Request"
    (wrong,) = problem["parameters"]
    assert wrong["name"] == parameter
    assert said in wrong["detail"]
    assert wrong["detail"] in problem["detail"]
    assert console.audit.verify().rows == rows


def test_every_parameter_of_a_person_needs_a_filter_that_is_written_down() -> None:
    for route in OPERATIONS:
        assert route.operation is not None
        names = {each.name for each in route.operation.parameters}
        assert names & PERSON_FILTERS.keys() == {each.name for each in route.people}
        assert route.path.startswith("/api/v1/")
        assert (route.method == "GET") == (route.operation.body is None)


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("incident", 404, "did you mean '/api/v1/incidents'?"),
        ("zzzz", 404, "/api/v1/openapi.json has all of them"),
        ("bans/be-fed-tiktok-2032", 404, f"did you mean '{BAN}'?"),
        ("bans/zz/answer", 404, "/api/v1/bans has all of them"),
        ("incidents/zz", 404, "expected an id of /api/v1/incidents"),
        ("cases/zz", 404, "expected an id of /api/v1/cases"),
        (f"bans/{BAN}/answer?from=2023-03-21&to=2023-03-20", 400, "must not be after the last"),
        (f"bans/{BAN}/answer?from=x", 400, "is not a day like"),
        ("incidents?" + "&".join(["app=tiktok"] * 61), 400, ""),
    ],
)
def test_what_there_is_not(path: str, status: int, said: str, console: Console) -> None:
    answer = program(console, "analyst").get(path)
    assert answer.status_code == status
    problem = answer.json()
    assert answer.headers["content-type"] == PROBLEM
    assert {"type", "title", "status", "detail", "parameters"} == set(problem)
    assert problem["status"] == status
    assert said in problem["detail"]


def test_only_the_triage_of_an_incident_is_changed(console: Console) -> None:
    asking = program(console, "analyst")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = asking.client.request(method, "/api/v1/incidents", headers=asking.headers)
        assert answer.status_code == 405, method
        assert answer.headers["allow"] == "GET, HEAD"
    answer = asking.client.request("PUT", "/api/v1/incidents/x", headers=asking.headers)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, PATCH, HEAD"
    assert "Allow" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ("incidents", {}),
        ("incidents", {"app": ["tiktok"], "verdict": ["violation", "advisory"]}),
        ("incidents", {"since": ["2023-03-20"], "until": ["2023-03-21"]}),
        ("incidents", {"since": ["999999y"]}),
        ("incidents", {"device": ["ws-021"]}),
        ("incidents", {"name": ["*tiktok*"], "network": ["hq"], "ban": [BAN]}),
        ("incidents", {"app": ["vendor:bytedance"]}),
        ("cases", {}),
        ("cases", {"verdict": ["violation"]}),
        *(
            (records, {"sort": [sort], "verdict": ["violation"]})
            for records in ("incidents", "cases")
            for sort in SORTS
        ),
        ("coverage", {}),
        ("coverage", {"network": ["byod"]}),
        ("coverage", {"device": ["ws-021"]}),
    ],
)
def test_records_are_those_of_store_query(
    records: str, words: dict[str, list[str]], filled: Console
) -> None:
    options = [f"--{name}={word}" for name, all_words in words.items() for word in all_words]
    ran = run("store", "query", records, *options, "--format", "jsonl",
              "-c", str(PCAPS / "netwatch.yaml"), "--store-path", filled.store.path)  # fmt: skip
    assert ran.status == 0, ran.errors
    assert ran.output
    query = "&".join(f"{name}={quote(word)}" for name, each in words.items() for word in each)
    found = program(filled, "analyst").lines(f"{records}?{query}" if query else records)
    assert found == ran.output.splitlines()


@pytest.mark.parametrize("records", ["incidents", "cases"])
def test_few_are_read_for_an_answer_where_no_index_helps(
    records: str, filled: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = program(filled, "analyst")
    for words, is_empty in (
        ("not-name=*", True), ("not-device=ws-021", False), ("not-name=none.example", False),
    ):  # fmt: skip
        whole = asking.lines(f"{records}?{words}")
        assert (not whole) == is_empty
        with monkeypatch.context() as patch:
            patch.setattr(api, "MAX_READ", 3)
            assert asking.lines(f"{records}?{words}") == whole
            if is_empty:
                page = asking.get(f"{records}?{words}").json()
                assert page["records"] == []
                assert page["next"] is not None


def test_judged_coverage_is_that_of_store_query(filled: Console) -> None:
    asking = program(filled, "auditor")
    for more in ([], ["--since", "2023-03-20", "--until", "2023-03-20", "--network", "hq"]):
        ran = run("store", "query", "coverage", "--hours", "--format", "jsonl", *more,
                  "-c", str(PCAPS / "netwatch.yaml"),
                  "--store-path", filled.store.path)  # fmt: skip
        expected = ran.output.splitlines()
        place = "coverage/hours"
        if more:
            query = "since=2023-03-20&until=2023-03-20&network=hq"
            assert asking.lines(f"{place}?{query}", 5) == expected
            assert len(expected) == 24
        else:
            assert asking.lines(place, MAX_RECORDS) == expected


@pytest.mark.parametrize("name", ["confidence", "kind", "outcome", "state"])
def test_incidents_by_the_words_of_the_console(name: str, filled: Console) -> None:
    asking = program(filled, "analyst")
    every = asking.records("incidents")
    values = {"confidence": "confidence", "outcome": "outcome", "state": "status"}
    found = 0
    words = {_word(each, values.get(name, name)) for each in every}
    for word in words:
        own = asking.records(f"incidents?{name}={word}")
        assert own == [each for each in every if _word(each, values.get(name, name)) == word]
        found += len(own)
    assert found == len(every)
    assert asking.records("incidents?" + "&".join(f"{name}={word}" for word in words)) == every


def _word(record: dict[str, object], name: str) -> object:
    value = record[name]
    return value["value"] if isinstance(value, dict) else value


def test_pages_are_stable_when_records_are_added(console: Console) -> None:
    asking = program(console, "analyst")
    known = [each["id"] for each in asking.records("incidents")]
    page = asking.get("incidents?limit=5").json()
    found = [each["id"] for each in page["records"]]
    prepare(console)
    while page["next"] is not None:
        page = asking.get(f"incidents?limit=5&after={page['next']}").json()
        found += [each["id"] for each in page["records"]]
    assert len(asking.records("incidents")) > len(known)
    assert [each for each in found if each in set(known)] == known
    assert len(found) == len(set(found))


def test_an_answer_that_is_known_is_not_sent_again(console: Console) -> None:
    asking = program(console, "analyst")
    for path in ("incidents", "bans", "coverage/hours", "openapi.json"):
        answer = asking.get(path)
        tag = answer.headers["etag"]
        again = asking.get(path, {"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
        assert asking.get(path, {"If-None-Match": '"other"'}).content == answer.content
    other = asking.get("incidents?limit=1").headers["etag"]
    assert other != asking.get("incidents").headers["etag"]


def test_bans_are_those_of_bans_list(console: Console) -> None:
    ran = run("bans", "list", "--all", "-c", str(PCAPS / "netwatch.yaml"), "--format", "jsonl")
    expected = [json.loads(line) for line in ran.output.splitlines()]
    asking = program(console, "admin")
    found = asking.get("bans").json()["records"]
    assert found == [each for each in expected if each["configured"]]
    assert asking.get(f"bans/{BAN}").json() == next(each for each in found if each["id"] == BAN)


def test_an_answer_that_is_being_made_is_asked_for_again(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(period_reports.PeriodReports, "shown", lambda *_: None)
    answer = program(console, "auditor").get(f"bans/{BAN}/answer")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert "being made" in answer.json()["detail"]


def test_a_token_that_asks_too_often_has_to_wait(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(tokens, "MAX_REQUESTS", 3)
    console.token_rate = tokens.RequestRate(lambda: clock[0])
    one, other = program(console, "admin", name="one"), program(console, "admin", name="other")
    assert [one.get("health").status_code for _ in range(4)] == [200, 200, 200, 429]
    refused = one.get("health")
    assert refused.headers["retry-after"] == "61"
    assert refused.json()["status"] == 429
    assert other.get("health").status_code == 200
    clock[0] = 60.0
    assert one.get("health").status_code == 200


def test_tokens_are_made_shown_and_removed(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ["--store-path", console.store.path]
    config = ["-c", str(PCAPS / "netwatch.yaml")]
    made = run("tokens", "add", "siem", "--role", "analyst", "--network", "hq", "--purpose",
               " weekly  count ", "--expires", "90d", *place, *config)  # fmt: skip
    assert made.status == 0, made.errors
    secret = made.output.strip()
    assert secret.startswith("netwatch_")
    assert "not shown again" in made.errors
    asking = Program(console, secret)
    (listed,) = run("tokens", "list", "--format", "jsonl", *place).records
    assert listed["used"] is None
    assert asking.get("incidents").status_code == 200
    (listed,) = run("tokens", "list", "--format", "jsonl", *place).records
    assert (listed["name"], listed["role"], listed["networks"]) == ("siem", "analyst", ["hq"])
    assert listed["purpose"] == "weekly count"
    assert listed["used"]
    assert listed["expires"] > listed["created"]
    shown = run("tokens", "list", *place).output
    assert "siem" in shown
    assert secret not in shown
    for file in Path(console.store.path).glob("console.sqlite*"):
        assert secret.encode() not in file.read_bytes()
        assert secret.removeprefix("netwatch_").encode() not in file.read_bytes()
    later = console.tokens.all()[0].expires
    assert later is not None
    monkeypatch.setattr(console.tokens, "_now", lambda: later - 1)
    assert asking.get("incidents").status_code == 200
    monkeypatch.setattr(console.tokens, "_now", lambda: later)
    assert asking.get("incidents").status_code == 401
    monkeypatch.undo()
    assert run("tokens", "remove", "siem", *place).status == 0
    assert asking.get("incidents").status_code == 401
    actions = [(row.action, row.subject) for row in console.audit.entries()]
    assert actions[0] == ("token added", "account token:siem")
    assert actions[-1] == ("token removed", "account token:siem")
    assert secret not in str(list(console.audit.entries()))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "a b", "--role", "analyst", "--purpose", "x"), "cannot be the name"),
        (("add", "a", "--role", "analist", "--purpose", "x"), "did you mean 'analyst'?"),
        (("add", "a", "--role", "analyst", "--purpose", " "), "expected a purpose"),
        (("add", "a", "--role", "analyst", "--purpose", "x" * 201), "expected a purpose"),
        (("add", "a", "--role", "dpo", "--purpose", "x", "--network", "hk"), "mean 'hq'?"),
        (("add", "a", "--role", "dpo", "--purpose", "x", "--expires", "0d"), "number of days"),
        (("add", "known", "--role", "dpo", "--purpose", "x"), "exists already"),
        (("remove", "knwon"), "did you mean 'known'?"),
    ],
)
def test_mistakes_with_tokens(arguments: tuple[str, ...], said: str, console: Console) -> None:
    console.tokens.add("known", "dpo", "x")
    ran = run("tokens", *arguments, "--store-path", console.store.path,
              "-c", str(PCAPS / "netwatch.yaml"))  # fmt: skip
    assert ran.status == 2
    assert said in ran.errors
    assert ran.output == ""
    assert [each.name for each in console.tokens.all()] == ["known"]


def test_a_console_of_before_gets_its_tokens(console: Console) -> None:
    with console.database.writing() as connection:
        connection.exec_driver_sql("DROP TABLE console_token")
        connection.exec_driver_sql("PRAGMA user_version = 3")
    console.database.close()
    for _ in range(2):
        database = open_console(console.store)
        tokens.Tokens(database).all()
        database.close()


def test_a_token_that_mentions_an_erased_person_is_void(console: Console) -> None:
    about = program(console, "analyst", name="about", purpose="what ws-052 did")
    other = program(console, "analyst", name="other")
    ran = run("store", "erase", "--device", "ws-052", "--yes", "--format", "jsonl",
              "-c", str(PCAPS / "netwatch.yaml"),
              "--store-path", console.store.path)  # fmt: skip
    assert ran.status == 0, ran.errors
    assert about.get("health").status_code == 401
    assert other.get("health").status_code == 200
    assert b"what ws-052 did" not in Path(console.store.path, "console.sqlite").read_bytes()


@pytest.mark.parametrize("records", ["incidents", "coverage", "bypasses"])
def test_a_token_of_some_networks_is_told_of_no_device_elsewhere(
    records: str, console: Console
) -> None:
    """Neither by a hint, nor by another answer than for a device that there is not."""
    limited, other = program(console, "analyst", "byod"), program(console, "analyst")
    assert "did you mean 'ws-052'" in other.get(f"{records}?device=ws-05").text
    assert "did you mean" in other.get("incidents?not-network=hqq").text
    answers = {
        word: limited.get(f"{records}?device={word}") for word in ("ws-052", "ws-05", "nobody")
    }
    assert {answer.status_code for answer in answers.values()} == {200}
    assert len({answer.text for answer in answers.values()}) == 1
    for query in ("not-network=hqq", "sensor=nobody", "ban=be-fed-tiktok"):
        answer = limited.get(f"incidents?{query}")
        assert answer.status_code == 400, query
        assert "did you mean" not in answer.text
