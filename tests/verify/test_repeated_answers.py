"""Evidence of flows to addresses that were answered more than once: what is written is verified."""

from pathlib import Path

import messages
import pytest
from support.altered import altered, with_data
from support.captures import START, Frames, pcap
from support.evidence import read_anew, scan_alerts, write_evidence
from support.frames import tcp, udp
from support.office import CONFIG, FAR, RESOLVER, SERVICE, TIKTOK, configured

from netwatch.cli import main
from netwatch.config import Config, load
from netwatch.incidents.evidence_folder import EvidenceFolder

SECOND = 1_000_000_000
SINK = "10.20.0.80"
OTHER_NAME, ALIAS = "m.tiktok.com", "www.example.org"
TO_RESOLVER = {"src": SERVICE.ip, "dst": RESOLVER.ip, "dport": 53}
TO_CLIENT = {"src": RESOLVER.ip, "dst": SERVICE.ip, "sport": 53}


def answered(name: str = TIKTOK, address: str = FAR.ip, number: int = 1) -> bytes:
    return messages.answer(number, name, "A", [(name, "A", 60, address)])


def answer(name: str = TIKTOK, address: str = FAR.ip, number: int = 1) -> list[bytes]:
    return [udp(answered(name, address, number), dport=50000, **TO_CLIENT)]


def alias() -> list[bytes]:
    records = [(ALIAS, "CNAME", 60, OTHER_NAME), (OTHER_NAME, "A", 60, FAR.ip)]
    return [udp(messages.answer(3, ALIAS, "A", records), dport=50000, **TO_CLIENT)]


def over_tcp(name: str, port: int) -> list[bytes]:
    """A lookup with an answer in two segments."""
    asked, told = (
        len(each).to_bytes(2) + each for each in (messages.query(1, name, "A"), answered(name))
    )
    return [
        tcp(flags="S", seq=99, sport=port, **TO_RESOLVER),
        tcp(asked, seq=100, sport=port, **TO_RESOLVER),
        tcp(told[:30], seq=500, dport=port, **TO_CLIENT),
        tcp(told[30:], seq=530, dport=port, **TO_CLIENT),
    ]


def nameless(address: str = FAR.ip, port: int = 50001) -> list[bytes]:
    ends = {"src": SERVICE.ip, "dst": address, "sport": port, "dport": 443}
    return [tcp(flags="S", seq=1, **ends), tcp(b"\x17\x03\x03\0\x40" + bytes(64), seq=2, **ends)]


def more(port: int = 50001) -> list[bytes]:
    return [tcp(bytes(64), seq=71, src=SERVICE.ip, dst=FAR.ip, sport=port, dport=443)]


CASES = {
    "again": [answer(), answer(number=2), nameless()],
    "retransmitted": [[*answer(), *answer()], nameless()],
    "for another name": [answer(), answer(OTHER_NAME), nameless()],
    "for two names in turn": [*[answer(), answer(OTHER_NAME)] * 5, nameless()],
    "for another alias": [answer(), alias(), nameless()],
    "during the flow": [answer(), nameless(), answer(number=2), more()],
    "for another name during the flow": [answer(), nameless(), answer(OTHER_NAME), more()],
    "between two flows": [answer(), nameless(), answer(OTHER_NAME), nameless(port=50002)],
    "over TCP": [over_tcp(TIKTOK, 51000), over_tcp(OTHER_NAME, 51001), nameless()],
    "by a sinkhole": [answer(address=SINK), answer(OTHER_NAME, SINK), nameless(SINK)],
    "by a sinkhole, then another": [answer(address=SINK), answer(number=2), nameless()],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Config:
    text = CONFIG.replace("severity: high", "severity: high\n    min_confidence: possible")
    return load(configured(tmp_path_factory.mktemp("site"), f"{text}sinkholes: [{SINK}]\n"))


def evidence(site: Config, groups: list[list[bytes]], folder: Path) -> list[str]:
    """The evidence captures of groups of packets, five seconds apart."""
    frames: Frames = [
        (START + 5 * at * SECOND + place * 1_000_000, packet)
        for at, group in enumerate(groups)
        for place, packet in enumerate(group)
    ]
    path = folder / "a.pcap"
    path.write_bytes(pcap(frames, 101))
    alerts = scan_alerts(site, path, keep_frames=True)
    return list(write_evidence(EvidenceFolder(folder / "proof", print), alerts).values())


@pytest.mark.parametrize("case", CASES)
def test_what_was_answered_more_than_once_is_shown(
    site: Config, tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = evidence(site, CASES[case], tmp_path)
    findings = [each for path in paths for each in read_anew(path)]
    assert {"dns-answer", "ip-from-dns"} & {each.contact.type for each in findings}
    assert "ip-from-dns" in {each.contact.type for each in findings}
    assert {each.result for each in findings} == {"shown"}, findings
    assert main(["verify", *paths]) == 0
    assert capsys.readouterr().err.count("not shown") == 0


def test_an_answer_with_another_address_is_no_part_of_it(site: Config, tmp_path: Path) -> None:
    (path,) = evidence(site, CASES["for another name"], tmp_path)
    told, other = bytes([203, 0, 113, 10]), bytes([203, 0, 113, 99])
    changed = altered(
        path, tmp_path, with_data(1, lambda data: data.replace(told, other)), honest=True
    )
    (found,) = (each for each in read_anew(changed) if each.contact.type == "ip-from-dns")
    assert (found.result, found.found) == ("differs", "nothing of that in packet 2")


def test_an_answer_that_came_after_the_flow_does_not_show_it(site: Config, tmp_path: Path) -> None:
    (path,) = evidence(site, CASES["during the flow"], tmp_path)
    told, other = bytes([203, 0, 113, 10]), bytes([203, 0, 113, 99])
    changed = altered(
        path,
        tmp_path,
        with_data(0, lambda data: data[:40] + data[40:].replace(told, other)),
        honest=True,
    )
    found = [each for each in read_anew(changed) if each.contact.type == "ip-from-dns"]
    assert [each.result for each in found] == ["differs"]
