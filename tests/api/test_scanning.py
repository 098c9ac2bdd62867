"""`netwatch.scan` finds what the command finds, and reports what it cannot read."""

import copy
import gc
import pickle
import signal
import threading
from datetime import UTC, date, datetime, timedelta
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from support.paths import PCAPS, ROOT

import netwatch
from netwatch.cli import main
from netwatch.incidents import scan as incident_scan

CONFIG = PCAPS / "netwatch.yaml"
LOGS = ROOT / "tests" / "logs" / "samples"
SAMPLES = [LOGS / "dnsmasq", LOGS / "suricata-eve" / "version-3.json"]


def lines(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    """What a command prints."""
    assert main([*map(str, arguments), "-q", "--format", "jsonl"]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.fixture(scope="module")
def found() -> netwatch.ScanResult:
    return netwatch.scan(PCAPS, CONFIG, coverage=True)


def test_incidents_are_those_of_the_command(
    found: netwatch.ScanResult, capsys: pytest.CaptureFixture[str]
) -> None:
    *alerts, coverage = lines(capsys, "scan", "-c", CONFIG, "--coverage", PCAPS)
    assert len(alerts) > 20
    assert [each.json() for each in found] == alerts
    assert found.coverage is not None
    assert found.coverage.json() == coverage


def test_incidents_of_logs_are_those_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--year", "2023", "--timezone", "Europe/Brussels"]
    alerts = lines(capsys, "scan", "-c", CONFIG, *options, *SAMPLES)
    result = netwatch.scan(SAMPLES, CONFIG, year=2023, timezone="Europe/Brussels")
    assert alerts
    assert [each.json() for each in result] == alerts
    assert set(result.summary.logs) == {"dnsmasq", "suricata-eve"}
    assert result.coverage is None


def test_several_processes_find_the_same() -> None:
    paths = [PCAPS / "office-day.pcap", PCAPS / "http-host.pcap"]
    found = list(netwatch.scan(paths, CONFIG))
    assert found
    assert list(netwatch.scan(paths, CONFIG, jobs=2)) == found


def test_the_summary_counts_what_was_read(found: netwatch.ScanResult) -> None:
    summary = found.summary
    assert summary.captures == len(list(PCAPS.glob("*.pcap")))
    assert summary.packets == 3189
    assert summary.incidents == {"advisory": 2, "exempt": 1, "violation": 21}
    assert len(found) == len(found.incidents) == 24
    assert summary.unread == ()
    assert str(PCAPS / "README.md") in summary.skipped
    assert summary.observations["tls-sni"] > 50


def test_attributes_are_the_keys_of_the_record(found: netwatch.ScanResult) -> None:
    incident = found.incidents[0]
    record = incident.record()
    assert incident.app.id == record["app"]["id"] == "tiktok"
    assert incident.device.class_ == record["device"]["class"]
    assert str(incident.ban.from_) == record["ban"]["from"]
    assert incident.first_seen == datetime.fromisoformat(record["first_seen"])
    assert incident.first_seen.tzinfo == UTC
    assert incident.evidence[0].rule.text == record["evidence"][0]["rule"]["text"]
    record["app"]["id"] = "changed"
    assert incident.record()["app"]["id"] == "tiktok"
    assert netwatch.Incident.of(incident.record()) == incident
    assert pickle.loads(pickle.dumps(incident)) == copy.copy(incident) == incident
    with pytest.raises(AttributeError):
        incident.app.id = "other"  # type: ignore[misc]


def test_incidents_can_be_read_again(found: netwatch.ScanResult) -> None:
    assert list(found) == list(found) == list(found.incidents)


def test_a_period_gives_the_incidents_that_overlap_it(found: netwatch.ScanResult) -> None:
    since = found.incidents[5].last_seen
    until = found.incidents[15].first_seen + timedelta(microseconds=1)
    inside = netwatch.scan(PCAPS, CONFIG, since=since, until=until)
    expected = [each for each in found if each.last_seen >= since and each.first_seen < until]
    assert 5 < len(expected) < 24
    assert list(inside) == expected
    assert sum(inside.summary.incidents.values()) == len(inside) == len(expected)
    assert inside.summary.packets == found.summary.packets


def test_incidents_beyond_memory_are_on_disk_until_the_result_is_closed(
    found: netwatch.ScanResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    real = incident_scan.ScanIncidents.__init__

    def small(self: Any, quiet_gap: int, folder: Any = None, **_: Any) -> None:
        real(self, quiet_gap, folder, limit=3)

    monkeypatch.setattr(incident_scan.ScanIncidents, "__init__", small)
    with netwatch.scan(PCAPS, CONFIG) as result:
        assert any(tmp_path.iterdir())
        assert list(result) == list(result) == list(found)
        reading = iter(result)
        next(reading)
    assert not any(tmp_path.iterdir())
    with pytest.raises(netwatch.Error, match="closed"):
        next(reading)
    forgotten = netwatch.scan(PCAPS, CONFIG)
    assert any(tmp_path.iterdir())
    del forgotten
    gc.collect()
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_read_is_reported(tmp_path: Path) -> None:
    whole = (PCAPS / "office-day.pcap").read_bytes()
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(whole[:-7])
    nothing = tmp_path / "\x1b[31mred.pcap"
    nothing.write_bytes(b"no capture at all")
    result = netwatch.scan([cut, nothing, "none.pcap"], CONFIG)
    assert len(result) > 5
    assert list(result.summary.damaged) == [str(cut)]
    assert result.summary.notes[0].startswith(f"{cut}: ")
    unread = result.summary.unread
    assert [each.partition(": ")[2][:13] for each in unread] == ["is not a capt", "no such file "]
    assert all(each.isprintable() for each in unread)


def test_mistakes_of_a_configuration_come_all_at_once(tmp_path: Path) -> None:
    config = tmp_path / "\x1b[31mred.yaml"
    config.write_text("version: 1\nnetwork: []\nbans: [{pack: none}]\n")
    with pytest.raises(netwatch.ConfigError) as caught:
        netwatch.scan(PCAPS, config)
    problems = caught.value.problems
    assert [each.line for each in problems] == [2, 3]
    assert problems[0].file == str(config)
    assert "\x1b" not in str(caught.value)
    assert isinstance(caught.value, netwatch.Error)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"jobs": 0}, "jobs: 0 is not a number from 1 to 256"),
        ({"jobs": True}, "jobs: True is not"),
        ({"year": 26}, "year: expected a year from 1990 to 2100, found '26'"),
        ({"timezone": "Mars/Base"}, "timezone: expected a time zone like Europe/Brussels"),
        ({"as_": "nothing"}, "as_: expected one of adguard"),
        ({"only": "packets"}, "only: expected 'captures' or 'logs', found 'packets'"),
        ({"by_day": True}, "by_day: it needs continuous=True"),
        ({"since": datetime(2023, 3, 20)}, "since: 2023-03-20T00:00:00 has no time zone"),
        ({"signatures": "none.yaml"}, "none.yaml: expected a file or folder of signatures"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], said: str) -> None:
    with pytest.raises(netwatch.ConfigError) as caught:
        netwatch.scan(PCAPS, **options)
    assert said in str(caught.value)


PATHS = "expected a path (str or pathlib.Path)"
MOMENT = "expected a datetime with a time zone, found "
WRONG = [
    ("paths", [5, None, 2.5, True], f"{PATHS} or several, found "),
    ("paths", [[5], [None], ["a", b"b", {}], {1: 2}], f"{PATHS}, found "),
    ("paths", [(), set()], "expected at least one path"),
    ("config", [5, ["a.yaml"], {}, False], f"{PATHS}, found "),
    ("signatures", [5, True], f"{PATHS} or several, found "),
    ("signatures", [[5], [None]], f"{PATHS}, found "),
    ("jobs", ["2", None, 2.0, -1, [], 257], " is not a number from 1 to 256"),
    ("continuous", [1, "yes", None], "expected True or False, found "),
    ("by_day", [1, "no", None], "expected True or False, found "),
    ("coverage", [1, "yes", None], "expected True or False, found "),
    ("only", ["log", 5, [], True, "x" * 900], "expected 'captures' or 'logs', found "),
    ("as_", ["eve", 5, ["zeek"], {}, b"zeek"], "expected one of adguard"),
    ("year", ["2023-01", 26, 2023.5, [], True], "expected a year from 1990 to 2100"),
    ("timezone", [5, [], b"UTC", timedelta(1)], "expected the name of a time zone or a tzinfo"),
    ("timezone", ["Mars/Base", "", "+99:00"], "expected a time zone like Europe/Brussels"),
    ("since", ["2023", 2023, date(2023, 3, 1), {}], MOMENT),
    ("until", ["2023-03-20T00:00:00Z", 0, True], MOMENT),
    ("until", [datetime(2023, 3, 20)], "has no time zone"),
]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [(name, value, said) for name, values, said in WRONG for value in values],
)
def test_what_is_no_value_of_an_argument(name: str, value: Any, said: str) -> None:
    for function in (netwatch.scan, netwatch.names, netwatch.match):
        arguments = signature(function).parameters
        if name not in arguments:
            continue
        given = {"paths": str(PCAPS / "five-kinds.pcap"), "name": "tiktok.com", name: value}
        with pytest.raises(netwatch.ConfigError) as caught:
            function(**{key: value for key, value in given.items() if key in arguments})
        (problem,) = caught.value.problems
        assert problem.file == name
        assert said in problem.message
        assert len(problem.message) < 600


def test_every_argument_is_tried_with_wrong_values() -> None:
    there = {
        each
        for function in (netwatch.scan, netwatch.names, netwatch.match)
        for each in signature(function).parameters
    }
    # Of `match`, with names in its own test.
    assert there == {name for name, _, _ in WRONG} | {"name"}


def test_at_least_one_path() -> None:
    with pytest.raises(netwatch.ConfigError, match="paths: expected at least one path"):
        netwatch.scan([])


def test_signatures_take_the_place_of_those_of_the_configuration(tmp_path: Path) -> None:
    mine = tmp_path / "tiktok.yaml"
    mine.write_text(
        "app: tiktok\nname: TikTok\nvendor: bytedance\ncategory: video\n"
        "domains:\n  - {suffix: tiktokv.com, role: exclusive, sources: [v2fly]}\n"
    )
    config = tmp_path / "netwatch.yaml"
    config.write_text(
        "version: 1\nnetworks: [{name: hq, cidrs: [10.0.0.0/8], class: service}]\n"
        "bans: [{id: ours, authority: City, apps: [tiktok], forbids: [service],"
        " timezone: UTC, from: 2020-01-01}]\n"
    )
    names = {name for each in netwatch.scan(PCAPS, config, signatures=mine) for name in each.names}
    assert names
    assert all(name.endswith("tiktokv.com") for name in names)


def test_a_scan_in_a_thread_leaves_the_process_as_it_was(
    found: netwatch.ScanResult, capfd: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(each) for each in signal.valid_signals()], gc.get_threshold()
    results: list[netwatch.ScanResult] = []
    threads = [
        threading.Thread(target=lambda: results.append(netwatch.scan(PCAPS, CONFIG)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = [signal.getsignal(each) for each in signal.valid_signals()], gc.get_threshold()
    assert [list(each) for each in results] == [list(found)] * 2
    assert before == after
    assert gc.isenabled()
    assert capfd.readouterr() == ("", "")
