"""The log of a service as text and as JSON."""

import json

import pytest

from netwatch.formats.log_line import log_line
from netwatch.live.events import Log, Note, Stopped

NOW = 1_679_302_800_123_456_789
HOSTILE = 'a "b"\n\x1b[31m\ud800 ü'


def test_text_is_for_people() -> None:
    assert log_line("started", NOW) == "2023-03-20T09:00:00Z netwatch: started"
    assert log_line("started", NOW, stamped=False) == "netwatch: started"
    assert "\x1b" not in log_line(HOSTILE, NOW)


@pytest.mark.parametrize("warning", [True, False])
def test_json_is_one_object_a_line(warning: bool) -> None:
    line = log_line(HOSTILE, NOW, "json", warning=warning)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-03-20T09:00:00.123Z",
        "level": "warning" if warning else "info",
        "message": HOSTILE,
    }


def test_a_live_capture_logs_json() -> None:
    written: list[str] = []
    log = Log(written.append, environ={"JOURNAL_STREAM": "8:1"}, clock=lambda: NOW, form="json")
    log(Note("the output x is down", warning=True))
    log(Stopped("SIGTERM"))
    found = [json.loads(line) for line in written]
    assert [(each["level"], each["message"]) for each in found] == [
        ("warning", "the output x is down"),
        ("info", "stopped: SIGTERM"),
    ]
