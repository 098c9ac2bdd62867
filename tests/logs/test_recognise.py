"""Files that look like logs and are not read as they are: what is said of them. And lines that a
shipper of logs has put into JSON, which are read.
"""

import json
import shutil
import socket
import subprocess
from pathlib import Path

import pytest
from support.logs import SAMPLES, items_of
from support.ports import free_port
from support.waiting import wait_until

from netwatch.capture.files import CaptureFile, find_captures
from netwatch.core.statistics import RunStatistics
from netwatch.engine.capture_files import find_units
from netwatch.logs import LogOptions
from netwatch.logs.log_files import divide, items
from netwatch.logs.recognise import recognise
from netwatch.logs.records import LogName

EVE = SAMPLES / "suricata-eve" / "version-2.json"
SQUID = SAMPLES / "squid" / "native.log"
EVENTS = [json.loads(line) for line in EVE.read_text().splitlines()]
LOGON = {"System": {"Provider": {"#attributes": {"Name": "Microsoft-Windows-Security-Auditing"}},
                    "EventID": 4624}, "EventData": {}}  # fmt: skip
XML = "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System/></Event>\n"
STRATA = {"LogType": "THREAT", "VendorName": "Palo Alto Networks", "TimeGenerated": "x", "URL": "a"}
HINTS = {
    "pretty": ("\n".join(json.dumps(each, indent=2) for each in EVENTS),
               "pretty-printed records of Suricata EVE", "jq -c '.'"),
    "list": (json.dumps(EVENTS, indent=2), "a list of records of Suricata EVE", "jq -c '.[]'"),
    "list in a line": (json.dumps(EVENTS), "a list of records of Suricata EVE", "jq -c '.[]'"),
    "strata": (json.dumps(STRATA) + "\n", "Strata", "CSV"),
    "cef": ("Mar  2 10:15:01 fw CEF:0|Palo Alto Networks|PAN-OS|10.2|url|THREAT|4|act=alert\n",
            "Palo Alto Networks PAN-OS in CEF", "default format"),
    "leef": ("LEEF:2.0|Check Point|VPN-1|1.0|Accept|src=10.0.0.1\n",
             "Check Point VPN-1", "default format"),
    "events": (json.dumps({"Event": LOGON}) + "\n", "events of Windows", "event 22 of Sysmon"),
    "events in XML": (XML, "events of Windows", "event 22 of Sysmon"),
    "winlogbeat": (json.dumps({"winlog": {"provider_name": "Security"}, "message": "x"}) + "\n",
                   "events of Windows", "event 22 of Sysmon"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "what", "remedy"), HINTS.values(), ids=HINTS)
def test_a_named_file_says_what_it_is(text: str, what: str, remedy: str, tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(text)
    ((file,), logs) = divide(find_captures([str(path)]), LogOptions())
    assert logs == []
    assert file.error is not None
    assert what in file.error
    assert remedy in file.error
    ((other,), _) = divide(find_captures([str(tmp_path)]), LogOptions())
    assert (other.error, what in other.hint) == (None, True)


@pytest.mark.parametrize("text", ['{"name": "x",\n "version": 1}', "[1, 2]", "{}", "[", "{" * 999])
def test_other_files_of_json_say_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / "package.json"
    path.write_text(text)
    found = recognise(CaptureFile(str(path)))
    assert (found.format, found.doubt, found.hint) == (None, "", "")


def test_lines_that_a_shipper_carried(tmp_path: Path) -> None:
    lines = (SAMPLES / "coredns" / "old.log").read_text().splitlines()
    plain = items_of(SAMPLES / "coredns" / "old.log", "coredns")
    path = tmp_path / "shipped.json"
    shipped = [{"@timestamp": "2026-03-02T09:15:01.250Z", "host": {"name": "n1"}, "message": line}
               for line in lines]  # fmt: skip
    path.write_text("".join(json.dumps(each) + "\n" for each in shipped))
    assert recognise(CaptureFile(str(path))).format == "coredns"
    assert [item.entry for item in items_of(path, "coredns")] == [item.entry for item in plain]


def test_the_time_of_a_shipper_is_taken_if_the_line_has_none(tmp_path: Path) -> None:
    line = '[INFO] 10.244.0.7:41234 - 4711 "A IN a.test. udp 44 false 512" NOERROR qr 90 0.1s'
    path = tmp_path / "shipped.json"
    path.write_text(json.dumps({"timestamp": "2026-03-02T09:15:01.25Z", "message": line}) + "\n")
    (item,) = items_of(path, "coredns")
    assert isinstance(item.entry, LogName)
    assert (item.entry.time, item.entry.time_digits) == (1772442901_250_000_000, 2)


@pytest.mark.parametrize("name", ["eve-1.pcap.json", "eve.pcap"])
def test_the_content_decides_and_not_the_name(name: str, tmp_path: Path) -> None:
    shutil.copy(EVE, tmp_path / name)
    captures, logs = find_units([str(tmp_path / name)], LogOptions())
    assert list(captures) == []
    assert [each.log.formats for each in logs] == [("suricata-eve",)]


def test_a_log_of_another_format_is_unread() -> None:
    statistics = RunStatistics()
    assert items_of(SQUID, "bind", statistics=statistics) == []
    (text,) = statistics.unread
    assert "is one of BIND" in text
    records = len(SQUID.read_text().splitlines())
    assert statistics.unread_records == {(str(SQUID), "record-of-another-format"): records}


def test_a_log_without_anything_to_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "eve.json"
    path.write_text('{"timestamp":"2026-03-02T09:15:01.2+0000","event_type":"stats","stats":{}}\n')
    statistics = RunStatistics()
    assert items_of(path, "suricata-eve", statistics=statistics) == []
    assert statistics.unread == []
    named = RunStatistics()
    _, (log,) = divide(find_captures([str(path)]), LogOptions())
    assert list(items(log, LogOptions(), named, zones=None)) == []
    (note,) = named.notes
    assert "none of 1 examined record has a name" in note


@pytest.mark.skipif(
    not all(map(shutil.which, ("nfcapd", "nfdump"))), reason="needs nfcapd and nfdump"
)
def test_a_file_of_nfcapd_without_a_flow_is_one(tmp_path: Path) -> None:
    port = str(free_port(socket.SOCK_DGRAM))
    command = ["nfcapd", "-p", port, "-b", "127.0.0.1", "-w", str(tmp_path), "-t", "3600"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as collector:
        wait_until(lambda: any(tmp_path.glob("nfcapd.current*")))
        collector.terminate()
    (path,) = tmp_path.glob("nfcapd.2*")
    (found,) = find_captures([str(path)])
    assert recognise(found).format == "nfcapd"
    assert items_of(path, "nfcapd") == []
