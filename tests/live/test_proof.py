"""Evidence that a running capture wrote, compared with its alerts by the independent readers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.evidence import against, read_anew
from support.judged_situations import all_situations, configuration
from support.live import Capture, Pipe
from support.situations.evidence import the_hello
from support.situations.situation import Situation

from netwatch.cli import main

SITUATIONS = {each.id: each for each in all_situations()}

Start = Callable[[Situation], Capture]


@pytest.fixture
def pipe(tmp_path: Path) -> Pipe:
    return Pipe(tmp_path / "pipe")


@pytest.fixture
def start(tmp_path: Path, pipe: Pipe) -> Iterator[Start]:
    """Starts a capture that reads the pipe and writes evidence."""
    started: list[Capture] = []

    def begin(situation: Situation) -> Capture:
        config = tmp_path / "netwatch.yaml"
        config.write_text(configuration(situation), encoding="utf-8")
        source = ("--source", "file", "-i", str(pipe.path), "-c", str(config))
        started.append(Capture(tmp_path, *source, "--evidence", str(tmp_path / "proof")))
        started[0].wait_for_log("started on")
        pipe.open()
        return started[0]

    yield begin
    for each in started:
        each.kill()


def proven(live: Capture, folder: Path) -> dict[str, Any]:
    """The last record of its one incident, of which the independent readers find everything."""
    (record,) = live.closed()
    (path,) = folder.iterdir()
    assert record["evidence_file"] == str(path)
    assert {each.result for each in read_anew(path)} == {"shown"}
    assert against(record, path) == []
    return record


def test_an_alert_that_became_confirmed(
    start: Start, pipe: Pipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was reported before the server answered; the evidence has the answer too."""
    situation = SITUATIONS["answered-hello"]
    frames = sorted(situation.frames())
    sent = frames.index(the_hello(frames)) + 1
    live = start(situation)
    pipe.send(frames[:sent])
    live.wait_for_records(1)
    pipe.send(frames[sent:])
    live.wait_for_records(2)
    pipe.close()
    assert live.wait() == 0
    assert live.states() == ["open probable", "update confirmed", "closed confirmed"]
    record = proven(live, tmp_path / "proof")
    (piece,) = record["evidence"]
    assert piece["seen"] == {"server": True, "directions": "both", "checksum": "right"}
    assert main(["verify", str(tmp_path / "proof"), "--alerts", str(live.out)]) == 0
    capsys.readouterr()


@pytest.mark.parametrize("name", ["answered-quic-hello", "own-query", "lone-hello"])
def test_the_evidence_shows_as_much_of_the_server(
    name: str, start: Start, pipe: Pipe, tmp_path: Path
) -> None:
    live = start(SITUATIONS[name])
    pipe.send(sorted(SITUATIONS[name].frames()))
    pipe.close()
    assert live.wait() == 0
    record = proven(live, tmp_path / "proof")
    server = any(piece["seen"]["server"] for piece in record["evidence"])
    assert server == (name != "lone-hello")
