"""`netwatch explain --subject` and `--packets` as a user runs them."""

import json
import re
from pathlib import Path

import pytest
from support.office import CONFIG, DURING, FAR, SERVICE, capture, configured, hello, one_hello
from support.paths import PCAPS

from netwatch.cli import main

CONTACT = """retention: {incidents: 2y, evidence: 90d}
data_protection:
  controller: City of Example
  contact: "dpo@example.org"
  supervisor: Data Protection Authority, www.example.eu
"""


def scanned(folder: Path, *more: str, config: str | None = None, source: str | None = None) -> str:
    """Scan the sample day; the file of its alerts."""
    alerts = folder / "alerts.jsonl"
    options = ["-q", "-c", config or str(PCAPS / "netwatch.yaml"), "--format", "jsonl"]
    path = source or str(PCAPS / "office-day.pcap")
    assert main(["scan", path, *options, "-o", str(alerts), *more]) == 0
    return str(alerts)


def test_the_page_in_dutch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path, CONFIG + CONTACT)
    source = capture(tmp_path / "a.pcap", one_hello(DURING))
    alerts = scanned(tmp_path, config=config, source=source)
    capsys.readouterr()
    first = Path(alerts).read_text().partition('"id":"')[2][:32]
    given = ["explain", first, "--alerts", alerts, "-c", config, "--subject", "--lang", "nl"]
    assert main(given) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for line in (
        "Informatie over een geregistreerd netwerkcontact",
        "Tijdstip:          maandag 3 april 2023 om 10:00:00 uur (Europe/Brussels, UTC+02:00)",
        "De regel staat TikTok niet toe op diensttoestellen.",
        "Rechtsgrond:  Decision 2023/12 art. 3",
        "Deze registratie:                 2 jaar",
        "De onderliggende netwerkgegevens: 90 dagen",
        "Contact:                      dpo@example.org",
    ):
        assert line in out.splitlines()


PACK = "  - pack: be-fed-tiktok-2023\n"
WORDS = """severity: high
    texts:
      nl: {authority: Voorbeeldstad, legal_basis: "Beslissing 2023/12, art. 3"}
"""


@pytest.mark.parametrize(
    ("code", "authority", "basis"),
    [
        ("nl", "Voorbeeldstad", "Beslissing 2023/12, art. 3"),
        ("fr", "City of Example", "Decision 2023/12 art. 3"),
    ],
)
def test_the_ban_is_in_the_words_of_the_language(
    code: str, authority: str, basis: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, CONFIG.replace("severity: high\n", WORDS))
    source = capture(tmp_path / "a.pcap", one_hello(DURING))
    alerts = scanned(tmp_path, config=config, source=source)
    capsys.readouterr()
    record = json.loads(Path(alerts).read_text().splitlines()[0])
    given = ["explain", record["id"], "--alerts", alerts, "-c", config, "--subject", "--lang", code]
    assert main(given) == 0
    out = capsys.readouterr().out
    assert authority in out
    assert basis in out
    # What was decided by other words than those of today is not put into these.
    record["ban"]["legal_basis"] = "Decision 2022/1"
    Path(alerts).write_text(json.dumps(record) + "\n")
    assert main(given) == 0
    out = capsys.readouterr().out
    assert authority in out
    assert "Decision 2022/1" in out


def test_a_shipped_ban_has_its_words_without_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, re.sub(r"(?s)(?<=bans:\n).*?(?=signatures:)", PACK, CONFIG))
    source = capture(tmp_path / "a.pcap", one_hello(DURING))
    alerts = scanned(tmp_path, config=config, source=source)
    capsys.readouterr()
    first = json.loads(Path(alerts).read_text().splitlines()[0])["id"]
    assert main(["explain", first, "--alerts", alerts, "--subject", "--lang", "de"]) == 0
    assert "Nationaler Sicherheitsrat; Ministerrat" in capsys.readouterr().out


def test_blanks_without_a_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alerts = scanned(tmp_path)
    assert main(["explain", "b344", "--alerts", alerts, "--subject"]) == 0
    out = capsys.readouterr().out
    assert out.count("." * 40) == 5
    assert "When:             Monday, 20 March 2023, 09:12:41 (Europe/Brussels, UTC+01:00)" in out


def test_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--subject", "--packets"], ["--subject", "--lang", "es"]):
        with pytest.raises(SystemExit) as ended:
            main(["explain", "b344", "--alerts", "none", *words])
        assert ended.value.code == 2
    assert "--lang: expected one of en, fr, nl, de, found 'es'" in capsys.readouterr().err


def test_the_packets_of_an_evidence_capture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alerts = scanned(tmp_path, "--evidence", str(tmp_path / "proof"))
    capsys.readouterr()
    assert main(["explain", "025c", "--alerts", alerts, "--packets"]) == 0
    out = capsys.readouterr().out
    assert "packet 1: dns-query api16-normal-c-useast1a.tiktokv.com," in out
    assert "qname     = b'api16-normal-c-useast1a.tiktokv.com.'" in out
    assert "ClientHello, opened by RFC 9001 section 5:" in out
    assert "servernames= [b'api16-normal-c-useast1a.tiktokv.com']" in out
    assert main(["explain", "4a39", "--alerts", alerts, "--packets"]) == 2


def test_the_packets_of_a_hello_in_two_segments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(PCAPS / "post-quantum-hello.pcap")
    alerts = scanned(tmp_path, "--evidence", str(tmp_path / "proof"), source=source)
    capsys.readouterr()
    first = Path(alerts).read_text().partition('"id":"')[2][:32]
    assert main(["explain", first, "--alerts", alerts, "--packets"]) == 0
    out = capsys.readouterr().out
    assert "part of tls-sni www.tiktok.com" in out
    assert "ClientHello, put together from its segments and records:" in out
    assert "servernames= [b'www.tiktok.com']" in out
    assert max(map(len, out.splitlines())) < 250


def test_the_packets_of_the_capture_that_was_scanned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from craft import Wire

    wire = Wire(DURING, 1)
    hello(wire, SERVICE, FAR)
    source = capture(tmp_path / "a.pcap", wire)
    config = configured(tmp_path)
    alerts = scanned(tmp_path, config=config, source=source)
    capsys.readouterr()
    first = Path(alerts).read_text().partition('"id":"')[2][:32]
    assert main(["explain", first, "--alerts", alerts, "--packets"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{source}\n\npacket 4: tls-sni www.tiktok.com, 2023-04-03T08:00:00")
    Path(source).unlink()
    assert main(["explain", first, "--alerts", alerts, "--packets"]) == 1
    assert "expected an evidence capture (scan --evidence)" in capsys.readouterr().err


def test_a_capture_that_was_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "a.pcap"
    capture(source, one_hello(DURING))
    alerts = scanned(tmp_path, config=configured(tmp_path), source=str(source))
    first = Path(alerts).read_text().partition('"id":"')[2][:32]
    source.write_bytes(source.read_bytes()[:24])
    capsys.readouterr()
    assert main(["explain", first, "--alerts", alerts, "--packets"]) == 0
    assert f"not in {source}" in capsys.readouterr().out
    source.write_bytes(b"nothing of a capture")
    assert main(["explain", first, "--alerts", alerts, "--packets"]) == 1
    assert "scapy cannot read it" in capsys.readouterr().err
