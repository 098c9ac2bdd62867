import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_records import HOSTILE, TIME
from support.siem import one_line, shown, unescaped, whole

from netwatch.formats import values
from netwatch.formats.values import log_line
from netwatch.live.events import Log, Note, Stopped

NOW = 1_679_302_800_123_456_789
HOSTILE_LOG = 'a "b"\n\x1b[31m\ud800 ü'


@pytest.mark.parametrize(
    ("digits", "text"),
    [
        (0, "2023-03-10T00:00:00Z"),
        (1, "2023-03-10T00:00:00.1Z"),
        (3, "2023-03-10T00:00:00.123Z"),
        (6, "2023-03-10T00:00:00.123456Z"),
        (9, "2023-03-10T00:00:00.123456789Z"),
    ],
)
def test_times_have_the_requested_digits(digits, text):
    assert values.rfc3339(TIME, digits) == text


def test_extreme_times():
    assert values.rfc3339(0, 9) == "1970-01-01T00:00:00.000000000Z"
    assert values.rfc3339(10**9 - 1, 0) == "1970-01-01T00:00:00Z"
    assert values.rfc3339((1 << 63) - 1, 9) == "2262-04-11T23:47:16.854775807Z"


@given(st.integers(0, (1 << 63) - 1))
def test_times_agree_with_the_standard_library(time):
    seconds, fraction = divmod(time, 10**9)
    peer = datetime.fromtimestamp(seconds, UTC).replace(microsecond=fraction // 1000)
    assert datetime.fromisoformat(values.rfc3339(time, 6)) == peer


def test_endpoints():
    assert values.endpoint("192.0.2.1", 53) == "192.0.2.1:53"
    assert values.endpoint("2001:db8::1", 53) == "[2001:db8::1]:53"


@given(st.integers(0, 4_102_444_800 * 10**9), st.integers(0, 9))
def test_times_are_parsed_back(time, digits):
    assert values.epoch_ns(values.rfc3339(time, digits)) == time - time % 10 ** (9 - digits)


@given(st.text() | st.text("\\u0123456789abcdef|^ \n\udcff"))
def test_escaped_text_is_unambiguous(text):
    written = values.escape_for(text, "|^")
    assert one_line(f"x{written}")
    assert not set("|^") & set(written)
    assert written.strip(" ") == written
    assert unescaped(written) == whole(text)


def test_readable_text_is_unchanged():
    assert values.escape_for("B\u00fcro \\032 x") == "B\u00fcro \\032 x"
    assert values.escape_for("a\nb|c") == "a\\u000ab|c"
    assert values.escape_for("\\u202e") == "\\u005cu202e"
    assert values.escape_for(" ") == "\\u0020"


def test_omitted_words_are_counted():
    assert values.join_words(["a", "b c", "|"], 100, "|") == "a b\\u0020c \\u007c"
    assert values.join_words(["aaaa"] * 9, 30) == "aaaa aaaa aaaa aaaa +5"
    assert values.join_words([], 30) == ""


def test_truncated_text_is_marked():
    assert values.truncate("abcdefgh", 8) == "abcdefgh"
    assert values.truncate("abcdefghi", 8) == "abcde..."


@pytest.mark.parametrize("text", HOSTILE)
def test_json_line_is_valid_for_strict_readers(text):
    line = one_line(values.json_line({"x": [text]}))
    assert json.loads(line) == {"x": [shown(text)]}


def test_text_is_for_people() -> None:
    assert log_line("started", NOW) == "2023-03-20T09:00:00Z netwatch: started"
    assert log_line("started", NOW, stamped=False) == "netwatch: started"
    assert "\x1b" not in log_line(HOSTILE_LOG, NOW)


@pytest.mark.parametrize("warning", [True, False])
def test_json_is_one_object_a_line(warning: bool) -> None:
    line = log_line(HOSTILE_LOG, NOW, "json", warning=warning)
    assert line.isascii()
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-03-20T09:00:00.123Z",
        "level": "warning" if warning else "info",
        "message": HOSTILE_LOG,
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
