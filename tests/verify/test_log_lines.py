"""Lines of logs as evidence: written as they were, and found again in the log by `verify`."""

import gzip
import json
import stat
from pathlib import Path

import pytest
from support import fake_log
from support.paths import PCAPS

from netwatch import config
from netwatch.cli import main
from netwatch.core.flow import LOG_LINE, Frame
from netwatch.core.statistics import RunStatistics
from netwatch.engine import jobs
from netwatch.incidents.evidence_folder import EvidenceFolder
from netwatch.incidents.evidence_selection import lines_text
from netwatch.incidents.scan import ScanIncidents
from netwatch.logs.registry import LOG_FORMATS
from netwatch.verify.log_lines import check_lines, has_name, read_lines

NOON = 1_679_313_600_000_000_000
Captured = pytest.CaptureFixture[str]


def line(name: str, second: int) -> str:
    return fake_log.line("name", time=NOON + second * 10**9, time_digits=0, evidence="tls-sni",
                         name=name, client_ip="0A140105", server_ip="CB007107")  # fmt: skip


@pytest.fixture
def proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log with an incident, and the folder of its evidence."""
    monkeypatch.setitem(LOG_FORMATS, fake_log.NAME, fake_log.FORMAT)
    log = tmp_path / "office.log"
    names = ["www.example.org", "api16-normal-c-useast1a.tiktokv.com", "www.tiktok.com"]
    fake_log.write(log, [line(name, at) for at, name in enumerate(names)])
    site = config.load(str(PCAPS / "netwatch.yaml"))
    folder = EvidenceFolder(tmp_path / "proof", pytest.fail)
    with ScanIncidents(site.quiet_gap) as incidents:
        unit = fake_log.unit(log)
        jobs.scan([], site, RunStatistics(), incidents, logs=[unit], keep_frames=True)
        alerts = [folder.write(each) for each in incidents.result(None, site.sensor).alerts]
    assert [set(each.extra) for each in alerts] == [{"evidence_lines"}] * len(alerts)
    return tmp_path


def results(proof: Path) -> list[tuple[str, int, str]]:
    (file,) = sorted((proof / "proof").glob("*.lines"))[:1]
    return [(each.result, each.piece.number, each.found) for each in check_lines(*read_lines(file))]


def test_the_lines_are_the_bytes_of_the_log(proof: Path) -> None:
    (file, *_) = sorted((proof / "proof").iterdir())
    assert stat.S_IMODE(file.stat().st_mode) & 0o007 == 0
    kept = [text for text in file.read_text().splitlines() if not text.startswith("#")]
    assert kept == (proof / "office.log").read_text().splitlines()[1:]
    assert results(proof) == [("shown", 2, ""), ("shown", 3, "")]
    assert "sha256" in file.read_text().splitlines()[2]


def test_a_log_that_has_grown_or_was_compressed_is_the_same(proof: Path) -> None:
    log = proof / "office.log"
    log.write_text(log.read_text() + line("late.example.org", 9) + "\n")
    assert [each[0] for each in results(proof)] == ["shown", "shown"]
    log.write_bytes(gzip.compress(log.read_bytes()))
    assert [each[0] for each in results(proof)] == ["shown", "shown"]


def test_what_is_not_as_it_was_differs(proof: Path, capsys: Captured) -> None:
    log = proof / "office.log"
    log.write_text(log.read_text().replace("www.tiktok.com", "www.example.net"))
    changed = "another record; the log was changed since it was read"
    assert results(proof) == [("shown", 2, ""), ("differs", 3, changed)]
    assert main(["verify", str(proof / "proof"), "--format", "jsonl", "-q"]) == 3
    (record, *_) = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert (record["line"], record["source"]) == (3, str(log))
    log.write_text("")
    assert {each[2] for each in results(proof)} == {
        "no such record; the log was changed since it was read"}  # fmt: skip
    log.unlink()
    assert {each[0::2] for each in results(proof)} == {("unread", "the log is not where it was")}
    assert main(["verify", str(proof / "proof"), "-q"]) == 1


def test_changed_evidence_differs_from_its_digest(proof: Path) -> None:
    (file, *_) = sorted((proof / "proof").iterdir())
    file.write_bytes(file.read_bytes().replace(b'"time_digits":0', b'"time_digits":3'))
    assert {each[0] for each in results(proof)} == {"differs"}


def test_any_record_can_be_kept() -> None:
    """Records of binary formats, and what looks like a comment, are in base64."""
    for record in (b"\0\x01\n#", b"# a comment", b"caf\xe9"):
        frame = Frame("no such file", 1, NOON, 0, LOG_LINE, "dnstap", len(record), -1, record)
        text = lines_text("incident", [(frame, [
            f"dns-query a.test, incident {'0' * 32}, line no such file:1"])])  # fmt: skip
        path = Path(text.decode("latin-1").splitlines()[2])
        assert "could not be hashed" in str(path)
        assert (b"# base64" in text) == (record != b"caf\xe9")


@pytest.mark.parametrize(
    "text", [b"query[A] WWW.TikTok.com from", b"(3)www(6)tiktok(3)com(0)", b'"www.tiktok.com."']
)
def test_a_name_is_found_however_it_is_written(text: bytes) -> None:
    assert has_name(text, "www.tiktok.com")
    assert not has_name(text, "www.tiktokv.com")
