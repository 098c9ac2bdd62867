"""How evidence was seen: what alerts say of servers, and what their evidence captures show."""

import json
from pathlib import Path
from typing import Any

import pytest
from messages import request
from support.altered import altered, with_data, without
from support.evidence import against, read_anew, scan_alerts, write_evidence
from support.examples import some_of
from support.judged_situations import all_situations, written
from support.situations import evidence
from support.situations.situation import Expected, Frames, Situation

from netwatch.cli import main
from netwatch.config import load
from netwatch.formats.jsonl import alert_record
from netwatch.incidents.evidence_folder import EvidenceFolder
from netwatch.verify.evidence_file import read_evidence_file
from netwatch.verify.flows import Flows
from netwatch.verify.scapy_reader import ScapyReader

SITUATIONS = [
    each
    for each in all_situations()
    if each.topic in ("evidence", "evasion", "forgery", "outcome") and each.expected.confidence
]

Record = dict[str, Any]


def proven(situation: Situation, folder: Path) -> tuple[Record, Path]:
    """The record of the alert of a situation, and its evidence capture."""
    capture, config = written(situation, folder)
    alerts = scan_alerts(load(str(config)), capture, keep_frames=True)
    (alert,) = alerts
    ((_, path),) = write_evidence(EvidenceFolder(folder / "proof", print), alerts).items()
    record: Record = json.loads(json.dumps(alert_record(alert)))
    return record, Path(path)


@pytest.mark.parametrize("situation", some_of(SITUATIONS, 3), ids=lambda situation: situation.id)
def test_what_an_alert_says_is_in_its_evidence_capture(
    situation: Situation, tmp_path: Path
) -> None:
    record, path = proven(situation, tmp_path)
    assert {each.result for each in read_anew(path)} == {"shown"}
    assert against(record, path) == []


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    """A confirmed alert and its evidence capture, which begins with SYN and SYN-ACK."""
    situation = next(each for each in SITUATIONS if each.id == "answered-hello")
    record, path = proven(situation, tmp_path_factory.mktemp("answered"))
    assert record["confidence"] == "confirmed"
    return record, path


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> tuple[Record, Path]:
    """The alert on one segment with a hello, which nobody answers."""
    situation = next(each for each in SITUATIONS if each.id == "lone-hello")
    return proven(situation, tmp_path_factory.mktemp("lone"))


def said(found: list[Any]) -> list[tuple[str, str, str]]:
    return [(each.result, each.expected, each.found) for each in found]


@pytest.mark.parametrize(
    ("change", "differences"),
    [
        ({"server": True}, ["an answer of the server"]),
        ({"directions": "both"}, ["packets of both sides"]),
        ({"checksum": "wrong"}, ["a checksum that is wrong"]),
        ({"server": True, "directions": "both"}, ["an answer of", "packets of both sides"]),
    ],
)
def test_a_record_that_was_changed(
    change: Record, differences: list[str], lone: tuple[Record, Path]
) -> None:
    record, path = json.loads(json.dumps(lone[0])), lone[1]
    record["evidence"][0]["seen"].update(change)
    found = against(record, path)
    assert {each.result for each in found} == {"differs"}
    assert len(found) == len(differences)
    for each, expected in zip(found, differences, strict=True):
        assert each.expected.startswith(expected)


def test_a_confirmed_alert_without_an_answer(lone: tuple[Record, Path]) -> None:
    """Whether it says how its evidence was seen, or does not."""
    record, path = json.loads(json.dumps(lone[0])), lone[1]
    record["confidence"] = "confirmed"
    expected = "a handshake that its server has acknowledged or answered"
    assert said(against(record, path)) == [("differs", expected, "no packet of a server")]
    del record["evidence"][0]["seen"]
    assert said(against(record, path)) == [("differs", expected, "no packet of a server")]


def of_server(path: Path) -> list[int]:
    """The places of the packets of the server in an evidence capture."""
    packets = read_evidence_file(path).packets
    flows = Flows(ScapyReader(), packets)
    return [at for at, each in flows.by_frame.items() if each.ip.source == evidence.SERVER.ip]


def test_a_capture_without_the_packets_of_the_server(
    answered: tuple[Record, Path], tmp_path: Path
) -> None:
    record, path = answered
    places = of_server(path)
    assert places
    changed: Path = path
    for count, at in enumerate(sorted(places, reverse=True)):
        folder = tmp_path / str(count)
        folder.mkdir()
        changed = altered(changed, folder, without(at), honest=True)
    assert {each.result for each in read_anew(changed)} == {"shown"}
    found = against(record, changed)
    assert [each.expected.partition(",")[0] for each in found] == [
        "an answer of the server",
        "packets of both sides",
        "a handshake that its server has acknowledged or answered",
    ]


def test_answers_to_an_earlier_number(answered: tuple[Record, Path], tmp_path: Path) -> None:
    """The server's packets acknowledge what came long before the hello."""
    record, path = answered
    changed = path
    for count, at in enumerate(of_server(path)):
        folder = tmp_path / str(count)
        folder.mkdir()
        changed = altered(changed, folder, with_data(at, _acknowledging_less), honest=True)
    assert [each.expected.partition(",")[0] for each in against(record, changed)] == [
        "an answer of the server",
        "a handshake that its server has acknowledged or answered",
    ]


def _acknowledging_less(frame: bytes) -> bytes:
    at = evidence.ETHERNET + evidence.IPV4 + 8
    number = (int.from_bytes(frame[at : at + 4]) - 100_000) % 2**32
    return frame[:at] + number.to_bytes(4) + frame[at + 4 :]


def test_another_checksum(answered: tuple[Record, Path], tmp_path: Path) -> None:
    record, path = answered
    (piece,) = read_anew(path)
    assert piece.frame is not None
    changed = altered(
        path, tmp_path, with_data(piece.frame, evidence.with_wrong_checksum), honest=True
    )
    (found,) = against(record, changed)
    assert (found.expected, found.found) == (
        "a checksum that is right, as in the alert",
        "one that is wrong",
    )


def test_a_lookup_whose_answer_is_not_there(tmp_path: Path) -> None:
    situation = next(each for each in SITUATIONS if each.id == "own-query")
    record, path = proven(situation, tmp_path)
    asked = next(each for each in record["evidence"] if each["type"] == "dns-query")
    assert asked["seen"]["server"] is True
    answer = next(each.frame for each in read_anew(path) if each.contact.type == "dns-answer")
    assert answer is not None
    folder = tmp_path / "changed"
    folder.mkdir()
    changed = altered(path, folder, without(answer), honest=True)
    found = against(record, changed)
    expected = {
        each.expected.partition(",")[0] for each in found if each.contact.type == "dns-query"
    }
    assert expected == {"an answer of the server", "packets of both sides"}


def long_connection() -> Frames:
    """Requests to another host, and the last one to the app, each with its answer."""
    talk = evidence.opened()
    for host in (*["www.example.org"] * 8, evidence.API):
        talk.say(request("GET", "/", host))
        talk.reply(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    return talk.wire.frames


def test_the_last_request_of_a_long_connection(tmp_path: Path) -> None:
    """Of many answers in a connection the evidence has one that acknowledges the request."""
    expected = Expected("confirmed")
    last = Situation("last-request", "evidence", "The last", long_connection, expected, True)
    record, path = proven(last, tmp_path)
    assert record["evidence"][0]["seen"]["server"] is True
    assert against(record, path) == []


@pytest.mark.parametrize("edit", [None, ('"server":false', '"server":true')])
def test_the_command_says_it(
    edit: tuple[str, str] | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    situation = next(each for each in SITUATIONS if each.id == "lone-hello")
    capture, config = written(situation, tmp_path)
    alerts = tmp_path / "alerts.jsonl"
    options = ["-q", "-c", str(config), "--format", "jsonl", "-o", str(alerts)]
    assert main(["scan", str(capture), *options, "--evidence", str(tmp_path / "proof")]) == 0
    if edit:
        assert edit[0] in alerts.read_text()
        alerts.write_text(alerts.read_text().replace(*edit))
    status = main(["verify", str(tmp_path / "proof"), "--alerts", str(alerts)])
    out, _ = capsys.readouterr()
    assert status == (3 if edit else 0)
    assert ("expected  an answer of the server, as in the alert" in out) == bool(edit)
