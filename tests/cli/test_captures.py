"""``netwatch scan`` and ``netwatch names``: records go to standard output, and nothing else."""

import csv
import gzip
import io
import json
import os
import re
import resource
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from craft import Host, Wire
from support.captures import pcap
from support.made_captures import enhanced, interface, section
from support.office import (
    DURING,
    FAR,
    LAB,
    PERSONAL,
    SERVICE,
    TIKTOK,
    capture,
    configured,
    hello,
    lookup,
    one_hello,
)
from support.waiting import TIMEOUT

from netwatch.cli import main
from netwatch.core.observation_batch import ObservationBatch

Captured = pytest.CaptureFixture[str]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: Captured) -> Run:
    """Runs a command with the office's configuration: status, output, errors."""
    place = configured(tmp_path)

    def _run(command: str, *arguments: str) -> tuple[int, str, str]:
        status = main([command, *arguments, "-c", place])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return _run


@pytest.fixture
def day(tmp_path: Path) -> str:
    """A capture with a violation, an advisory, an exempt contact and innocents."""
    wire = Wire(DURING, 2)
    lookup(wire, SERVICE, name="www.example.org")
    for client in (SERVICE, PERSONAL, LAB):
        lookup(wire, client)
        hello(wire, client, FAR)
    return capture(tmp_path / "day.pcap", wire)


@pytest.fixture
def calm(tmp_path: Path) -> str:
    """A capture without an incident."""
    return capture(tmp_path / "calm.pcap", one_hello(DURING, name="www.example.org"))


def test_scan_as_json_lines(run: Run, day: str) -> None:
    status, out, err = run("scan", day, "--format", "jsonl")
    assert status == 0
    alerts = [json.loads(line) for line in out.splitlines()]
    assert [alert["verdict"] for alert in alerts] == ["violation", "advisory", "exempt"]
    assert {alert["schema"] for alert in alerts} == {"netwatch.alert/1"}
    assert {alert["status"] for alert in alerts} == {"closed"}
    assert [alert["first_seen"] for alert in alerts] == sorted(
        alert["first_seen"] for alert in alerts
    )
    assert "incidents     advisory 1, exempt 1, violation 1" in err
    kinds = Counter((alert["kind"]["value"], alert["outcome"]) for alert in alerts)
    assert len(re.findall(r"^kinds  +(\d.*)$", err, re.MULTILINE)) == 1
    for (kind, outcome), count in kinds.items():
        assert re.search(rf"kinds .*{kind}.*\b{count} {outcome}", err)


def test_scan_as_csv(run: Run, day: str) -> None:
    status, out, _ = run("scan", day, "--format", "csv")
    assert status == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["verdict"] for row in rows] == ["violation", "advisory", "exempt"]


def test_the_default_format_of_scan_is_a_table(run: Run, day: str) -> None:
    _, plain, _ = run("scan", day)
    assert run("scan", day, "--format", "table")[1] == plain
    for word in ("violation", "advisory", "exempt", "TikTok", "10.20.1.7"):
        assert word in plain
    assert "\x1b" not in plain


def test_names_as_json_lines(run: Run, day: str) -> None:
    status, out, err = run("names", day, "--format", "jsonl")
    assert status == 0
    records = [json.loads(line) for line in out.splitlines()]
    assert len(records) == 11
    assert {record["evidence"] for record in records} == {"dns-query", "dns-answer", "tls-sni"}
    assert {record["name"] for record in records} == {"www.example.org", TIKTOK}
    assert {record["source"] for record in records} == {day}
    assert "observations" in err
    assert "incidents" not in err


def test_names_as_csv_and_table(run: Run, day: str) -> None:
    _, out, _ = run("names", day, "--format", "csv")
    assert len(list(csv.DictReader(io.StringIO(out)))) == 11
    _, out, _ = run("names", day)
    assert len(out.splitlines()) == 11


def test_the_summary(run: Run, day: str) -> None:
    _, _, err = run("scan", day)
    assert "1 capture, " in err
    assert "dns-answer 4, dns-query 4, tls-sni 3" in err
    assert "anomalies     none" in err
    assert "candidates" not in err
    assert "candidates" in run("scan", day, "-v")[2]


def test_the_summary_says_which_tag_is_missing(run: Run, tmp_path: Path) -> None:
    wire = one_hello(DURING, Host(PERSONAL.ip, PERSONAL.mac))
    _, _, err = run("scan", capture(tmp_path / "untagged.pcap", wire))
    miss = "range 10.30.0.0/16 of network 'byod' matches only in VLAN 30, but the packet has no"
    assert f"no verdict    1 contact: the client is outside the configured networks: {miss}" in err
    assert f"blind spots   outside all networks, 1 flow: {miss}" in err


@pytest.mark.parametrize("command", ["scan", "names"])
def test_quiet_prints_only_errors(run: Run, day: str, command: str) -> None:
    status, out, err = run(command, day, "-q")
    assert (status, err) == (0, "")
    assert out != ""
    status, _, err = run(command, day, "missing.pcap", "-q")
    assert status == 1
    assert err == "netwatch: missing.pcap: no such file or folder\n"


@pytest.mark.parametrize(
    ("client", "fail_on", "status"),
    [
        (SERVICE, "violation", 3),
        (SERVICE, "advisory", 3),
        (PERSONAL, "violation", 0),
        (PERSONAL, "advisory", 3),
        (LAB, "violation", 0),
        (LAB, "advisory", 0),
        (SERVICE, None, 0),
    ],
)
def test_fail_on(run: Run, tmp_path: Path, client: Host, fail_on: str | None, status: int) -> None:
    path = capture(tmp_path / "one.pcap", one_hello(DURING, client))
    options = ["--fail-on", fail_on] if fail_on else []
    assert run("scan", path, *options)[0] == status


def test_a_violation_takes_precedence_over_a_capture_that_could_not_be_read(
    run: Run, day: str
) -> None:
    assert run("scan", day, "missing.pcap", "--fail-on", "violation")[0] == 3
    assert run("scan", day, "missing.pcap")[0] == 1


@pytest.mark.parametrize("command", ["scan", "names"])
def test_a_missing_file_is_reported_and_the_others_are_read(
    run: Run, day: str, command: str
) -> None:
    alone = run(command, day)[1]
    status, out, err = run(command, "missing.pcap", day)
    assert (status, out) == (1, alone)
    assert "netwatch: missing.pcap: no such file or folder" in err
    assert "not read      1 file (listed above)" in err


def damaged_pcap(day: str) -> bytes:
    """The capture of a day, with 8 wrong bytes in the header of its third packet, and the bytes
    from there on."""
    whole = Path(day).read_bytes()
    at = 24
    for _ in range(2):
        at += 16 + int.from_bytes(whole[at + 8 : at + 12], "little")
    return whole[: at + 8] + b"\xff" * 8 + whole[at + 16 :]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "pcap": lambda damaged: damaged,
    "gzip": gzip.compress,
    "pcapng": lambda damaged: section() + interface() + enhanced(b"x" * 60, 0) + bytes(400),
    "truncated": lambda damaged: damaged[:30],
}


@pytest.mark.parametrize("command", ["scan", "names"])
@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_capture_is_in_the_summary(
    run: Run, day: str, tmp_path: Path, command: str, kind: str
) -> None:
    damaged = tmp_path / "damaged.pcap"
    damaged.write_bytes(DAMAGES[kind](damaged_pcap(day)))
    status, out, err = run(command, str(damaged), day)
    assert status == 0
    (line,) = [line for line in err.splitlines() if line.startswith("damaged ")]
    found = re.fullmatch(r"damaged       1 file \(see above\), ([\d,]+) bytes not read", line)
    assert found
    unread = {"pcapng": "400", "truncated": "6"}.get(kind)
    assert unread in (None, found[1])
    assert f"netwatch: {damaged}: " in err

    assert run(command, str(damaged), day, "--strict")[:2] == (1, out)
    status, out, err = run(command, str(damaged), day, "--strict", "-q")
    assert status == 1
    assert [line.startswith(f"netwatch: {damaged}: ") for line in err.splitlines()] == [True]
    assert run(command, day, "--strict", "-q")[::2] == (0, "")


def test_damaged_captures_of_several_jobs_are_in_the_summary(
    run: Run, day: str, tmp_path: Path
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.damaged.pcap").write_bytes(Path(day).read_bytes()[:-1])
    *_, err = run("scan", str(tmp_path), "--jobs", "2")
    assert re.search(r"(?m)^damaged       3 files \(see above\), [\d,]+ bytes not read$", err)


def test_other_files_in_a_folder_are_skipped_and_listed(run: Run, day: str, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    below = folder / "below"
    below.mkdir(parents=True)
    (below / "day.pcap").write_bytes(Path(day).read_bytes())
    (folder / "notes.txt").write_text("what the captures are")
    status, out, err = run("names", str(folder))
    assert status == 0
    assert len(out.splitlines()) == 11
    assert f"skipped       neither captures nor logs: {folder / 'notes.txt'}" in err


def test_many_skipped_files_are_listed_only_with_verbose(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    (folder / "a.pcap").write_bytes(pcap(one_hello(DURING).frames))
    for number in range(12):
        (folder / f"n{number:02}.txt").write_text("no capture")
    err = run("names", str(folder))[2]
    assert err.count(".txt") == 8
    assert "and 4 more" in err
    err = run("names", str(folder), "-v")[2]
    assert err.count(".txt") == 12
    assert "more" not in err


def test_a_broken_capture_in_a_folder_is_an_error(run: Run, day: str, tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    (folder / "broken.pcap").write_bytes(b"not what it says")
    (folder / "day.pcap").write_bytes(Path(day).read_bytes())
    status, out, err = run("names", str(folder))
    assert status == 1
    assert len(out.splitlines()) == 11
    assert f"netwatch: {folder / 'broken.pcap'}: is not a capture" in err


def test_a_truncated_capture_is_read_in_part_with_a_note(
    run: Run, day: str, tmp_path: Path
) -> None:
    path = tmp_path / "cut.pcap"
    path.write_bytes(Path(day).read_bytes()[:-5])
    status, out, err = run("names", str(path))
    assert status == 0
    assert out != ""
    assert f"netwatch: {path}: " in err


def test_link_types_that_are_not_read_are_named(run: Run, tmp_path: Path) -> None:
    """By number, once for each capture; how many packets they are is among the anomalies."""
    links = [1, *range(147, 160), 1]
    packets = [enhanced(b"x" * 60, number, on=number) for number in range(len(links))]
    path = tmp_path / "links.pcapng"
    path.write_bytes(b"".join([section(), *(interface(link=link) for link in links), *packets]))
    _, _, err = run("names", str(path))
    note = "packets of link type 147, 148, 150, 151, 152, 153, 154, 155 and 4 more are not read"
    assert err.count("are not read") == 1
    assert f"{path}: {note}" in err
    assert "link-type-unknown 12" in err


def test_a_compressed_capture_found_by_a_glob(run: Run, day: str, tmp_path: Path) -> None:
    plain = run("names", day, "--format", "csv")[1]
    (tmp_path / "x1.dat").write_bytes(gzip.compress(Path(day).read_bytes()))
    status, out, _ = run("names", str(tmp_path / "x*.dat"), "--format", "csv")
    assert status == 0
    assert out.replace(str(tmp_path / "x1.dat"), day) == plain


@pytest.mark.parametrize("kind", ["table", "jsonl", "csv"])
@pytest.mark.parametrize("command", ["scan", "names"])
def test_no_records_are_no_error(run: Run, calm: str, command: str, kind: str) -> None:
    status, out, _ = run(command, calm, "--format", kind)
    assert status == 0
    if command == "scan":
        # CSV has a header.
        assert out.count("\n") == (kind == "csv")


@pytest.mark.parametrize("command", ["scan", "names"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_workers_give_the_same_records(
    run: Run, day: str, calm: str, command: str, jobs: str
) -> None:
    alone = run(command, day, calm, "--format", "jsonl")
    several = run(command, day, calm, "--format", "jsonl", "--jobs", jobs)
    assert several[:2] == alone[:2]


def test_a_hello_over_two_files_needs_continuous(run: Run, tmp_path: Path) -> None:
    wire = Wire(DURING, 4)
    wire.tls(SERVICE, FAR, TIKTOK, post_quantum=True)
    frames = wire.frames
    (tmp_path / "2.pcap").write_bytes(pcap(frames[:4]))
    (tmp_path / "1.pcap").write_bytes(pcap(frames[4:]))
    paths = [str(tmp_path / "1.pcap"), str(tmp_path / "2.pcap")]
    whole = run("names", *paths, "--continuous", "--format", "jsonl")[1]
    assert [json.loads(line)["source"] for line in whole.splitlines()] == [paths[0]]
    assert "ja4" in json.loads(whole)["tls"]
    apart = run("names", *paths, "--format", "jsonl")[1]
    assert all("ja4" not in json.loads(line)["tls"] for line in apart.splitlines())


def test_output_to_a_file_is_the_same(run: Run, day: str, tmp_path: Path) -> None:
    for command in ("scan", "names"):
        plain = run(command, day, "--format", "jsonl")[1]
        target = tmp_path / "out.jsonl"
        target.write_text("old")
        status, out, _ = run(command, day, "--format", "jsonl", "-o", str(target))
        assert (status, out) == (0, "")
        assert target.read_text() == plain
        assert [path.name for path in tmp_path.glob("*out.jsonl*")] == ["out.jsonl"]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
@pytest.mark.parametrize("command", ["scan", "names"])
def test_a_new_file_is_readable_for_owner_and_group_only(
    run: Run, day: str, tmp_path: Path, command: str, umask: int
) -> None:
    target = tmp_path / "out.jsonl"
    before = os.umask(umask)
    try:
        assert run(command, day, "-o", str(target))[0] == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE(target.stat().st_mode) == 0o640


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664])
def test_a_file_that_is_replaced_keeps_its_permissions(
    run: Run, day: str, tmp_path: Path, mode: int
) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("old")
    target.chmod(mode)
    if os.geteuid() == 0:
        os.chown(target, 65534, 65534)
    owner = target.stat().st_uid, target.stat().st_gid
    assert run("scan", day, "-o", str(target))[0] == 0
    assert target.read_text() != "old"
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert (target.stat().st_uid, target.stat().st_gid) == owner


def limited(
    day: str, folder: Path, *arguments: str, size: int, stdout: int = subprocess.DEVNULL
) -> subprocess.CompletedProcess[str]:
    """Run a command that cannot write files of more than `size` bytes, as on a full disk. Python
    would leave the compiled modules that it writes cut as well."""
    return subprocess.run(
        [sys.executable, "-m", "netwatch", *arguments, day, "-c", str(folder / "netwatch.yaml")],
        stdout=stdout,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )


@pytest.mark.parametrize("command", ["scan", "names"])
def test_a_full_disk_names_the_file(run: Run, day: str, tmp_path: Path, command: str) -> None:
    target = tmp_path / "out.jsonl"
    done = limited(day, tmp_path, command, "-q", "--format", "jsonl", "-o", str(target), size=10)
    assert done.stderr == f"netwatch: {target}: cannot be written: File too large\n"
    assert done.returncode == 1
    assert not [path for path in tmp_path.iterdir() if "out.jsonl" in path.name]
    with (tmp_path / "redirected").open("wb") as stream:
        done = limited(
            day, tmp_path, command, "-q", "--format", "jsonl", size=10, stdout=stream.fileno()
        )
    assert done.stderr == "netwatch: standard output: cannot be written: File too large\n"
    assert done.returncode == 1


def test_a_full_folder_of_temporary_files_is_named(run: Run, day: str, tmp_path: Path) -> None:
    other = tmp_path / "other.pcap"
    other.write_bytes(Path(day).read_bytes())
    done = limited(day, tmp_path, "names", "-q", "--jobs", "2", str(other), size=100)
    assert "cannot be written: File too large" in done.stderr
    assert "/netwatch-" in done.stderr
    assert "standard output" not in done.stderr
    assert done.returncode == 1


def test_a_full_standard_output_is_named_by_other_commands() -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "netwatch", "signatures", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT,
        )
    assert done.stderr == "netwatch: standard output: No space left on device\n"
    assert done.returncode == 1


def test_evidence_on_a_full_disk(run: Run, day: str, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    done = limited(day, tmp_path, "scan", "--evidence", str(proof), size=100)
    first = done.stderr.splitlines()[0]
    assert first.startswith(f"netwatch: {proof}/2023")
    assert first.endswith(".pcapng: evidence cannot be written: File too large")
    assert f"netwatch: {proof}: 3 evidence captures could not be written" in done.stderr
    assert "left out      evidence-not-written 3" in done.stderr
    assert done.returncode == 1
    assert list(proof.iterdir()) == []
    assert run("scan", day, "--evidence", str(proof))[0] == 0
    assert len(list(proof.iterdir())) == 3


def test_a_failed_run_leaves_the_existing_file_unchanged(
    run: Run, day: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.jsonl"
    target.write_text("old")

    def full(self: object, batch: ObservationBatch) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("netwatch.formats.jsonl.JsonlWriter.observations", full)
    status, out, err = run("names", day, "--format", "jsonl", "-o", str(target))
    assert (status, out, err) == (1, "", "netwatch: Input/output error\n")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir() if "out.jsonl" in path.name] == ["out.jsonl"]


def test_output_to_a_path_that_cannot_be_written(run: Run, day: str, tmp_path: Path) -> None:
    target = tmp_path / "missing" / "out.jsonl"
    status, out, err = run("scan", day, "-o", str(target))
    assert (status, out) == (1, "")
    assert err.startswith(f"netwatch: {target}: cannot be written: ")


def test_output_to_a_device_is_written_directly(run: Run, day: str) -> None:
    assert run("scan", day, "-o", "/dev/null")[:2] == (0, "")
    assert Path("/dev/null").is_char_device()


def test_without_a_configuration_the_defaults_are_noted(
    day: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    monkeypatch.setattr("netwatch.config.SEARCH_PATHS", ("netwatch.yaml",))
    assert main(["scan", day, "--format", "jsonl"]) == 0
    captured = capsys.readouterr()
    alerts = [json.loads(line) for line in captured.out.splitlines()]
    assert {alert["ban"]["id"] for alert in alerts} == {"default"}
    assert "the built-in defaults apply" in captured.err


def test_evidence_captures_are_written_and_named_in_the_alerts(
    run: Run, day: str, tmp_path: Path
) -> None:
    folder = tmp_path / "proof"
    status, out, err = run("scan", day, "--format", "jsonl", "--evidence", str(folder))
    alerts = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert len(alerts) == 3
    assert {alert["evidence_file"] for alert in alerts} == set(map(str, folder.iterdir()))
    assert "evidence      3 files," in err
    for alert in alerts:
        assert alert["id"] in alert["evidence_file"]
        _, again, _ = run("scan", alert["evidence_file"], "--format", "jsonl", "-q")
        assert [json.loads(line)["id"] for line in again.splitlines()] == [alert["id"]]


def test_evidence_captures_change_no_alert(run: Run, day: str, tmp_path: Path) -> None:
    _, plain, _ = run("scan", day, "--format", "jsonl")
    _, proven, _ = run("scan", day, "--format", "jsonl", "--evidence", str(tmp_path / "proof"))
    alerts = [json.loads(line) for line in proven.splitlines()]
    assert all(alert.pop("evidence_file") for alert in alerts)
    assert alerts == [json.loads(line) for line in plain.splitlines()]


def test_an_evidence_folder_that_cannot_be_used_is_an_error(
    run: Run, day: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    status, out, err = run("scan", day, "--evidence", str(tmp_path / "file"))
    assert (status, out) == (1, "")
    assert err.startswith(f"netwatch: {tmp_path / 'file'}: cannot be used")


@pytest.mark.parametrize("kind", ["ecs", "ocsf", "eve", "cef", "leef", "gelf"])
def test_siem_formats_have_one_line_per_alert(run: Run, day: str, kind: str) -> None:
    status, out, _ = run("scan", day, "--format", kind)
    assert status == 0
    assert len(out.splitlines()) == 3
    assert all(TIKTOK in line for line in out.splitlines())


def test_names_as_ecs(run: Run, day: str) -> None:
    status, out, _ = run("names", day, "--format", "ecs")
    assert status == 0
    documents = [json.loads(line) for line in out.splitlines()]
    assert len(documents) == 11
    assert {document["event"]["kind"] for document in documents} == {"event"}


@pytest.mark.parametrize("kind", ["ocsf", "eve", "cef", "leef", "gelf"])
def test_names_lists_the_formats_that_it_supports(kind: str, day: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["names", day, "--format", kind])
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert "--format: expected one of table, jsonl, csv, ecs, arrow, parquet, " in message
    assert f"found '{kind}'" in message
