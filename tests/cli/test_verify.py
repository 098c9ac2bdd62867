"""`netwatch verify` as a user runs it: lines, records, exit status."""

import json
from pathlib import Path

import pytest
from support.altered import altered, with_data
from support.paths import PCAPS

from netwatch.cli import main

HELLO = "api16-normal-c-useast1a.tiktokv.com"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the alerts of a scan and its evidence captures."""
    folder = tmp_path_factory.mktemp("run")
    options = ["-q", "-c", str(PCAPS / "netwatch.yaml"), "--format", "jsonl"]
    options += ["-o", str(folder / "alerts.jsonl"), "--evidence", str(folder / "proof")]
    assert main(["scan", str(PCAPS / "office-day.pcap"), *options]) == 0
    return folder


def test_a_folder_of_captures(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alerts = ["--alerts", str(run / "alerts.jsonl")]
    assert main(["verify", str(run / "proof"), *alerts]) == 0
    out, err = capsys.readouterr()
    assert f"shown  quic-sni    {HELLO}" in out
    assert out.count("by scapy and dpkt") == 27
    assert err == "27 pieces of evidence in 7 files: 27 shown\n"
    assert main(["verify", "-q", str(run / "proof"), *alerts]) == 0
    assert capsys.readouterr() == ("", "")


def test_the_alerts_of_a_store(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "kept")
    options = ["-q", "-c", str(PCAPS / "netwatch.yaml"), "--store-path", store]
    assert main(["scan", str(PCAPS / "office-day.pcap"), *options, "-o", str(tmp_path / "o")]) == 0
    capsys.readouterr()
    assert main(["verify", str(run / "proof"), "--store-path", store]) == 0
    assert capsys.readouterr().err == "27 pieces of evidence in 7 files: 27 shown\n"
    path = next((run / "proof").glob("*c44bd549*"))
    stray = tmp_path / path.name.replace("c44b", "0000")
    stray.write_bytes(path.read_bytes().replace(b"c44bd549", b"00000000"))
    assert main(["verify", str(stray), "--store-path", store]) == 0
    assert "there is no alert of its incident" in capsys.readouterr().err


def test_records(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next((run / "proof").glob("*c44bd549*"))
    assert main(["verify", str(path), "--format", "jsonl"]) == 0
    (record,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert record == {
        "file": str(path),
        "incident": "c44bd549c468d2d20262eb1fcaf31f1f",
        "result": "shown",
        "evidence": "tls-sni",
        "name": HELLO,
        "time": "2023-03-20T13:20:03.006304000Z",
        "client": {"ip": "10.30.5.12", "mac": "02:00:00:20:05:12", "vlan": 30},
        "source": str(PCAPS / "office-day.pcap"),
        "packet": 424,
        "file_packet": 3,
        "readers": {"scapy": "shown", "dpkt": "shown"},
        "bindings": [],
        "expected": None,
        "found": None,
    }


def test_a_difference(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next((run / "proof").glob("*c44bd549*"))
    changed = altered(
        path, tmp_path, with_data(2, lambda data: data.replace(b"api16", b"web16")), honest=False
    )
    assert main(["verify", str(changed)]) == 3
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[1].startswith(f"  DIFFERS  tls-sni  {HELLO}  10.30.5.12 02:00:00:20:05:12 VLAN 30")
    assert lines[2].startswith(f"      expected  tls-sni {HELLO} from 10.30.5.12")
    assert "scapy: web16-normal-c-useast1a.tiktokv.com; dpkt: web16-normal" in lines[3]
    assert err == "1 piece of evidence in 1 file: 0 shown, 1 differ\n"


def changed_alerts(run: Path, folder: Path, old: str, new: str) -> str:
    text = (run / "alerts.jsonl").read_text()
    assert old in text
    path = folder / "alerts.jsonl"
    path.write_text(text.replace(old, new, 1))
    return str(path)


@pytest.mark.parametrize(
    ("old", "new", "expected", "found"),
    [
        (
            '"name":"www.tiktok.com"',
            '"name":"m.tiktok.com"',
            "m.tiktok.com at",
            "that packet shows",
        ),
        ('"packet":63', '"packet":64', "as in the alert", "that packet shows"),
        ('"packet":63', '"packet":9', "as in the alert", "the name in other packets only"),
        ('"ip":"10.20.1.21"', '"ip":"10.20.1.22"', "10.20.1.22", "contacts of 10.20.1.21"),
        (
            '"time":"2023-03-20T08:12:41.000000Z"',
            '"time":"2023-03-20T08:12:42.0Z"',
            "08:12:42",
            "at",
        ),
    ],
)
def test_another_alert(
    old: str,
    new: str,
    expected: str,
    found: str,
    run: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    alerts = changed_alerts(run, tmp_path, old, new)
    options = ["--alerts", alerts, "--format", "jsonl", "-q"]
    assert main(["verify", str(run / "proof"), *options]) == 3
    (record,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert expected in record["expected"]
    assert found in record["found"]


def test_a_pseudonym_is_not_compared(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alerts = changed_alerts(run, tmp_path, '"ip":"10.20.1.21"', '"ip":"p3f9a-k7q2m5xw4n6b3c2d"')
    assert main(["verify", str(run / "proof"), "--alerts", alerts]) == 0


def test_what_cannot_be_read(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = next((run / "proof").glob("*c44bd549*"))
    assert main(["verify", str(tmp_path / "none.pcapng"), str(good)]) == 1
    out, err = capsys.readouterr()
    assert f"shown  tls-sni  {HELLO}" in out
    assert f"netwatch: {tmp_path}/none.pcapng: cannot be read: No such file" in err
    assert err.endswith("1 piece of evidence in 1 file: 1 shown; 1 file could not be read\n")
    assert main(["verify", str(PCAPS / "office-day.pcap")]) == 1
    assert "expected an evidence capture (pcapng)" in capsys.readouterr().err
    assert main(["verify", str(tmp_path)]) == 1
    assert (
        "expected evidence captures (*.pcapng) or lines (*.lines), found none"
        in capsys.readouterr().err
    )
    (tmp_path / "alerts.jsonl").write_text("[]\n")
    assert main(["verify", str(good), "--alerts", str(tmp_path / "alerts.jsonl")]) == 1
    assert "alerts.jsonl:1: expected an alert as a line of JSON" in capsys.readouterr().err
    (tmp_path / "alerts.jsonl").write_text(
        '{"id": "c44bd549c468d2d20262eb1fcaf31f1f", "evidence": 3}'
    )
    assert main(["verify", str(good), "--alerts", str(tmp_path / "alerts.jsonl")]) == 1
    assert "expected the record of an alert with its evidence" in capsys.readouterr().err


def test_an_encapsulation_that_neither_reads(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = next((run / "proof").glob("*c44bd549*"))
    token_ring = altered(
        good,
        tmp_path,
        lambda packets: [type(each)(each.time, 6, *each_fields(each)) for each in packets],
        honest=True,
    )
    assert main(["verify", str(token_ring)]) == 1
    out, err = capsys.readouterr()
    assert "UNREAD" in out
    assert "scapy: no IP packet in it; dpkt: no IP packet in it" in out
    assert err == "1 piece of evidence in 1 file: 0 shown, 1 that could not be read\n"


def each_fields(packet):
    return packet.data, packet.wire_length, packet.comments
