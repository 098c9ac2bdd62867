import json
import time
from datetime import datetime
from pathlib import Path

import pytest
from support.paths import ROOT

from netwatch.cli import main
from netwatch.rules import bans as packs
from netwatch.rules import load as catalog_load
from netwatch.rules.policy import OUTSIDE

CONFIG = """\
version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service, authority: City}
  - {name: byod, cidrs: [10.30.0.0/16], vlans: [30], class: personal}
  - {name: guests, vlans: [40], class: guest}
  - {name: resolvers, cidrs: [10.20.0.53/32], class: infrastructure}
devices: {inventory: devices.csv}
bans:
  - id: our-rule
    authority: City
    apps: [tiktok]
    advises: [personal]
    from: 2023-03-10
    until: 2023-09-10
    timezone: Europe/Brussels
  - {id: other, authority: City, apps: [wechat]}
exemptions:
  - {ban: our-rule, device: lab-07, until: 2023-06-30, reason: research, approved_by: CISO}
  - {ban: our-rule, device: 10.20.0.9, from: 2023-05-01, apps: [tiktok]}
"""
INVENTORY = """\
id,mac,ip,class
lab-07,02:00:00:00:00:07,10.20.0.7,
phone-1,02:00:00:00:00:01,,personal
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("netwatch.config.SEARCH_PATHS", ("netwatch.yaml",))
    for module in (packs, catalog_load):
        monkeypatch.setattr(module, "shipped", lambda: ROOT / "signatures")
    Path("netwatch.yaml").write_text(CONFIG)
    Path("devices.csv").write_text(INVENTORY)


@pytest.fixture
def run(capsys):
    def run(*words):
        try:
            status = main(["policy", *words])
        except SystemExit as error:
            status = error.code
        out, err = capsys.readouterr()
        return status, out, err

    return run


@pytest.fixture
def explain(run):
    def explain(device, *words, name="www.tiktok.com", time="2023-04-03T12:00+02:00"):
        given = ["explain", "--device", device, "--name", name, "--time", time]
        status, out, err = run(*given, "--format", "jsonl", *words)
        assert (status, err) == (0, "")
        record = json.loads(out)
        steps = {}
        for step in record["steps"]:
            steps.setdefault(step["step"], []).append(step["says"])
        return record["verdicts"], steps

    return explain


def test_check_shows_what_is_in_force(run):
    status, out, err = run("check", "--time", "2023-04-03")
    assert (status, err) == (0, "")
    assert [line.split("  ")[0].split()[0] for line in out.splitlines()[1:]] == [
        *["network"] * 4,
        *["ban"] * 2,
        *["exemption"] * 2,
        "devices",
        "signatures",
    ]
    assert out.startswith("netwatch.yaml: valid; in force at 2023-04-03T00:00:00Z:\n")
    assert "network     service         hq  10.20.0.0/16  City\n" in out
    assert "network     guest           guests  VLAN 40\n" in out
    assert (
        "ban         in force        our-rule  from 2023-03-10 until 2023-09-10"
        " (Europe/Brussels)  forbids service; advises against personal  tiktok\n"
    ) in out
    assert "exemption   in force        lab-07 from our-rule" in out
    assert "exemption   not yet         10.20.0.9 from our-rule" in out
    assert "devices     2 in the inventory" in out


@pytest.mark.parametrize(
    ("time", "states"),
    [
        ("2023-03-09T23:59:59+01:00", {"our-rule": "not yet", "lab-07": "in force"}),
        ("2023-03-10T00:00:00+01:00", {"our-rule": "in force", "lab-07": "in force"}),
        ("2023-06-30T23:59:59+02:00", {"our-rule": "in force", "lab-07": "in force"}),
        ("2023-07-01T00:00:00+02:00", {"our-rule": "in force", "lab-07": "over"}),
        ("2023-09-10T23:59:59+02:00", {"our-rule": "in force", "lab-07": "over"}),
        ("2023-09-11T00:00:00+02:00", {"our-rule": "over", "lab-07": "over"}),
    ],
)
def test_check_shows_states_at_a_time(run, time, states):
    _, out, _ = run("check", "--time", time, "--format", "jsonl")
    records = [json.loads(line) for line in out.splitlines()]
    found = {
        record.get("device") or record["id"]: record["state"]
        for record in records
        if "state" in record
    }
    assert found.items() >= states.items()
    assert found["other"] == "in force"


def test_check_without_a_time_is_about_now(run):
    status, out, _ = run("check", "--format", "jsonl")
    assert status == 0
    ban = next(record for record in map(json.loads, out.splitlines()) if record["kind"] == "ban")
    assert (ban["state"], ban["from"], ban["until"]) == ("over", "2023-03-10", "2023-09-10")


def test_check_shows_defaults(run):
    Path("netwatch.yaml").unlink()
    status, out, _ = run("check")
    assert status == 0
    assert out.startswith("built-in defaults: valid")
    assert "ban         in force        default" in out
    assert out.count("\nnote ") == 3


@pytest.mark.parametrize("command", [["check"], ["explain", "--device", "10.20.0.1"]])
def test_all_mistakes_go_to_standard_error(run, command):
    Path("devices.csv").write_text("id,ip\na,b\n")
    Path("bad.yaml").write_text("version: 1\nbanns: []\ndevices: {inventory: devices.csv}\n")
    more = ["--name", "a.example", "--time", "2023-04-03"] if command[0] == "explain" else []
    status, out, err = run(*command, *more, "-c", "bad.yaml")
    assert (status, out) == (2, "")
    assert [line.split(" ")[1] for line in err.splitlines()] == [
        "bad.yaml:2:",
        "devices.csv:2:",
    ]


def test_explain_in_words(run):
    status, out, err = run(
        "explain", "--device", "10.20.0.1", "--name", "WWW.TikTok.com.", "--time", "2023-04-03"
    )
    assert (status, err) == (0, "")
    clause = "ban 'our-rule' forbids TikTok on devices of class service, in force from 2023-03-10"
    lines = out.splitlines()
    assert lines[0] == "violation, probable"
    assert lines[1].startswith(f"  {clause}")
    assert "network   hq (class service): range 10.20.0.0/16" in lines
    reason = "pages or other apps call the domain too (embed_reachable): at most probable"
    (grade,) = [line for line in lines if line.startswith("grade ")]
    assert grade.startswith("grade     probable: the domain is this app's own (role exclusive)")
    assert grade.endswith(reason)
    assert "evidence  tls-sni of a domain of role exclusive: probable" in lines
    assert any(line.endswith("it was 2023-04-03 02:00:00 there]") for line in lines)


def test_explain_of_a_name_that_only_the_app_calls(run):
    words = ["--device", "10.20.0.1", "--time", "2023-04-03"]
    _, out, _ = run("explain", *words, "--name", "api16-normal.tiktokv.com")
    assert out.startswith("violation, confirmed\n")
    assert "\ngrade     confirmed: the domain is this app's own (role exclusive): conf" in out


def test_explain_says_when_a_verdict_is_only_recorded(run):
    words = ["--device", "10.20.0.1", "--name", "www.tiktok.com", "--time", "2023-04-03"]
    _, out, _ = run("explain", *words, "--evidence", "ip-from-dns")
    assert out.startswith(
        "violation, possible (recorded, not reported: below the min_confidence of the ban)\n"
    )
    _, out, _ = run("explain", *words, "--evidence", "dns-query")
    assert out.startswith("violation, probable\n")


@pytest.mark.parametrize(
    ("device", "words", "verdict", "step", "says"),
    [
        ("10.20.0.1", [], "violation", "network", "hq (class service): range 10.20.0.0/16"),
        ("10.30.0.1", ["--vlan", "30"], "advisory", "network", "byod (class personal): range 10.3"),
        ("10.30.0.1", [], None, "network", "outside: range 10.30.0.0/16 of network 'byod' matches"),
        ("10.30.0.1", ["--vlan", "9"], None, "all bans", f"{OUTSIDE}: range 10.30.0.0/16 of netwo"),
        ("192.0.2.1", ["--vlan", "9"], None, "network", "outside: no range or VLAN"),
        ("10.30.0.1", ["--vlan", "40"], None, "network", "guests (class guest): VLAN 40"),
        ("10.20.0.53", ["--evidence", "dns-query"], None, "all bans", "a resolver (class infra"),
        ("lab-07", [], "exempt", "device", "lab-07 (class service): inventory line 2 by MAC"),
        ("10.20.0.7", [], "exempt", "device", "lab-07 (class service): inventory line 2 by IP"),
        ("10.20.0.8", ["--mac", "0200.0000.0001"], "advisory", "device", "phone-1 (class persona"),
        (
            "10.20.0.7",
            ["--mac", "0200.0000.0001"],
            None,
            "device",
            "unknown:10.20.0.7 (class unknown): MAC 02:00:00:00:00:01 belongs to 'phone-1'",
        ),
        ("192.0.2.1", [], None, "all bans", f"{OUTSIDE}: VLAN 40 would match"),
        ("10.20.0.1", ["--evidence", "ip-asn"], None, "evidence", "ip-asn of a domain of role"),
    ],
)
def test_explain(explain, device, words, verdict, step, says):
    (verdict_record,), steps = explain(device, *words)
    assert verdict_record["verdict"] == verdict
    assert verdict_record["alerted"] == (verdict is not None)
    assert steps[step][0].startswith(says)


def test_explain_asks_every_ban(explain):
    (verdict_record,), steps = explain("10.20.0.1")
    assert verdict_record["ban"] == "our-rule"
    assert [text.partition(" [")[0] for text in steps["ban"]] == [
        verdict_record["clause"],
        "ban 'other' does not cover TikTok",
    ]


def test_explain_a_name_that_no_rule_matches(explain):
    (verdict_record,), steps = explain("10.20.0.1", name="nottiktok.com")
    assert (verdict_record["verdict"], verdict_record["clause"]) == (
        None,
        "no rule matches the name",
    )
    assert "nottiktok" in steps["name"][0]
    assert "ban" not in steps


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--device", "lab-99"],
            "--device: expected an IP address or an id of the inventory, found 'lab-99'",
        ),
        (
            ["--device", "phone-1"],
            "--device: expected an IP address with --ip, since neither the inventory nor a lease"
            " has one for 'phone-1' at this time",
        ),
        (
            ["--device", "10.20.0.1", "--mac", "x"],
            "--mac: expected a MAC address like 02:00:00:00:00:01, found 'x'",
        ),
        (
            ["--device", "10.20.0.1", "--time", "June"],
            "expected a time like 2023-03-20T09:00+01:00, found 'June'",
        ),
        (
            ["--device", "10.20.0.1", "--time", "0001-01-01"],
            "expected a year from 1970 to 2261, found '0001-01-01'",
        ),
        (["--device", "10.20.0.1", "--evidence", "guess"], ", found 'guess'"),
    ],
)
def test_usage_errors(run, words, message):
    given = [*words, "--name", "www.tiktok.com"]
    if "--time" not in given:
        given += ["--time", "2023-04-03"]
    status, out, err = run("explain", *given)
    assert (status, out) == (2, "")
    assert message in err


def test_hostile_names_cannot_steer_the_terminal(run):
    words = ["--device", "10.20.0.1", "--time", "2023-04-03"]
    _, out, _ = run("explain", *words, "--name", "a\x1b[2J\n\u202e.example")
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\n.example" not in out


@pytest.mark.parametrize("words", [["--help"], ["check", "--help"], ["explain", "--help"]])
def test_help_teaches_with_examples(run, words):
    status, out, _ = run(*words)
    assert status == 0
    assert "examples:" in out


def test_check_reports_a_secret_that_is_not_set(run, monkeypatch):
    monkeypatch.delenv("NETWATCH_TEST_TOKEN", raising=False)
    output = '{type: http, url: "https://siem.example/", token: {env: NETWATCH_TEST_TOKEN}}'
    Path("netwatch.yaml").write_text(f"{CONFIG}outputs:\n  - {output}\n")
    line = len(CONFIG.splitlines()) + 2
    status, out, err = run("check")
    assert (status, out) == (2, "")
    variable = "the environment variable NETWATCH_TEST_TOKEN is not set"
    assert f"netwatch.yaml:{line}: output 'http': {variable}" in err
    monkeypatch.setenv("NETWATCH_TEST_TOKEN", "token")
    assert run("check")[0] == 0


PERIODS = """\
version: 1
bans:
  - id: our-rule
    authority: City
    apps: [tiktok]
    timezone: Europe/Brussels
    periods:
      - {from: 2023-03-10, until: 2023-09-16, basis: Decision 12, kind: advice}
      - {from: 2023-09-26, basis: Decision 34}
"""


def test_check_shows_the_periods_of_a_ban(run):
    Path("netwatch.yaml").write_text(PERIODS)
    status, out, _ = run("check", "--time", "2023-09-20T12:00Z")
    assert status == 0
    days = "from 2023-03-10 until 2023-09-16, then from 2023-09-26 until further notice"
    assert f"gap             our-rule  {days} (Europe/Brussels)" in out
    assert "advice only from 2023-03-10 until 2023-09-16 (Europe/Brussels)" in out
    _, out, _ = run("check", "--time", "2023-09-20T12:00Z", "--format", "jsonl")
    (ban,) = (each for each in map(json.loads, out.splitlines()) if each["kind"] == "ban")
    assert (ban["state"], ban["from"], ban["until"]) == ("gap", "2023-03-10", None)
    assert ban["periods"] == [
        {"from": "2023-03-10", "until": "2023-09-16", "basis": "Decision 12", "kind": "advice"},
        {"from": "2023-09-26", "until": None, "basis": "Decision 34", "kind": "ban"},
    ]


def test_explain_names_the_gap_between_two_periods(run):
    Path("netwatch.yaml").write_text(PERIODS)
    status, out, _ = run(
        "explain", "--device", "10.0.0.1", "--name", "tiktok.com", "--time", "2023-09-20T12:00Z"
    )
    assert status == 0
    assert "was not in force between 2023-09-17 and 2023-09-25 (Europe/Brussels)" in out
    assert "then from 2023-09-26 until further notice (Europe/Brussels); it was" in out


OVER_TIME = """id,mac,ip,class,from,until
ws-021,02:00:00:00:00:21,10.20.0.21,service,,2023-03-31
visitor,,10.20.0.21,personal,2023-04-01,2023-04-30
ws-021,02:00:00:00:00:21,10.20.0.99,service,2023-04-01,
"""


@pytest.mark.parametrize(
    ("words", "device", "ip", "line"),
    [
        (["--device", "10.20.0.21", "--time", "2023-03-31"], "ws-021", "10.20.0.21", 2),
        (["--ip", "10.20.0.21", "--time", "2023-04-15"], "visitor", "10.20.0.21", 3),
        (["--device", "ws-021", "--time", "2023-03-31T23:59"], "ws-021", "10.20.0.21", 2),
        (["--device", "ws-021", "--time", "2023-04-01"], "ws-021", "10.20.0.99", 4),
        (["--mac", "02:00:00:00:00:21", "--time", "2023-04-01"], "ws-021", "10.20.0.99", 4),
    ],
)
def test_explain_names_the_row_of_the_time(run, words, device, ip, line):
    Path("devices.csv").write_text(OVER_TIME)
    status, out, err = run("explain", *words, "--name", "www.tiktok.com", "--format", "jsonl")
    assert (status, err) == (0, "")
    record = json.loads(out)
    assert record["device"]["id"] == device
    assert record["device"]["binding"]["source"] == "inventory"
    assert record["device"]["binding"]["line"] == line
    _, out, _ = run("explain", *words, "--name", "www.tiktok.com")
    assert f"inventory line {line} by " in out
    assert f"binding   inventory line {line} of devices.csv: " in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--device", "visitor", "--time", "2023-05-01"],
            "'visitor' is in the inventory at another time (line 3 of devices.csv, valid from"
            " 2023-04-01T00:00:00Z up to 2023-05-01T00:00:00Z)",
        ),
        (["--time", "2023-05-01"], "expected --device, --ip or --mac, found none"),
        (["--ip", "10.20", "--time", "2023-05-01"], "--ip: expected an IP address, found '10.20'"),
    ],
)
def test_explain_says_what_is_not_known_at_that_time(run, words, message):
    Path("devices.csv").write_text(OVER_TIME)
    status, out, err = run("explain", *words, "--name", "www.tiktok.com")
    assert (status, out) == (2, "")
    assert message in err


def test_explain_says_of_a_gap_who_has_the_address_otherwise(run):
    Path("devices.csv").write_text(OVER_TIME)
    words = ["--ip", "10.20.0.21", "--time", "2023-06-01", "--name", "www.tiktok.com"]
    _, out, _ = run("explain", *words)
    assert "at this time (inventory line 3 has it, valid from 2023-04-01T00:00:00Z" in out
    assert "binding   address: nothing but the address is known of the device" in out


def test_check_counts_the_rows_that_are_valid(run):
    Path("devices.csv").write_text(OVER_TIME)
    for day, count in (("2023-03-31", 1), ("2023-04-15", 2), ("2023-06-01", 1)):
        _, out, _ = run("check", "--time", day)
        assert f"devices     {count} in the inventory  3 rows over time\n" in out


def test_without_a_time_a_contact_is_explained_for_now(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(ROOT / "pcaps" / "netwatch.yaml")
    contact = ["--device", "10.20.1.7", "--name", "www.tiktok.com", "--format", "jsonl"]
    before = time.time_ns() // 10**9
    assert main(["policy", "explain", "-c", config, *contact]) == 0
    (step, *_) = json.loads(capsys.readouterr().out)["steps"]
    moment = datetime.fromisoformat(step["says"])
    assert before <= moment.timestamp() <= time.time()
