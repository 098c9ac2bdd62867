import io
import re
from dataclasses import replace

import pytest
from support.made_records import ALERT, BARE, BLOCKED, FULL, FULL_ALERT, HOSTILE, ITEM
from support.observing import batch_of

from netwatch.core.alert import Kind
from netwatch.core.text import escaped
from netwatch.core.verdict import Network
from netwatch.coverage.counts import Coverage
from netwatch.formats.jsonl import alert_record
from netwatch.formats.registry import FORMATS, OBSERVATION_FORMATS
from netwatch.formats.table import ALERT_COLUMNS as COLUMNS
from netwatch.formats.table import WIDTH, TableWriter, alert_cells

ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    return monkeypatch


def write(records, kind, out=None):
    out = out or io.StringIO()
    writer = TableWriter(out)
    for record in records:
        getattr(writer, kind)(batch_of(record) if kind == "observations" else record)
    writer.end()
    return out.getvalue()


def columns(text):
    """The table read back column by column, folded lines joined."""
    lines = text.splitlines()
    starts = [lines[0].index(title) for title in COLUMNS] + [None]
    return {
        title: "".join(line[start:end].strip() for line in lines[1:])
        for title, start, end in zip(COLUMNS, starts, starts[1:], strict=False)
    }


def test_observations_line_up():
    lines = write([BARE, replace(BARE, evidence="tls-sni", name="a.example")], "observations")
    assert lines.splitlines() == [
        "2023-03-10T00:00:00.123456Z  10.20.0.7:53124        dns-query   "
        "tiktok.com                                192.0.2.53:53",
        "2023-03-10T00:00:00.123456Z  10.20.0.7:53124        tls-sni     "
        "a.example                                 192.0.2.53:53",
    ]


def test_long_cell_shifts_the_following_cells():
    long = "x" * 60
    lines = write([BARE, replace(FULL, name=long), BARE], "observations").splitlines()
    assert long in lines[1]
    assert "[2001:db8:20::7]:53124" in lines[1]
    assert lines[1].index("[2001:db8::53]:53") == lines[2].index("192.0.2.53:53")


@pytest.mark.parametrize("text", [each for each in HOSTILE if each.isascii()])
def test_hostile_name_cannot_break_its_line(text):
    shown = write([replace(BARE, name=text)], "observations")
    assert shown.count("\n") == 1
    assert escaped(text) in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("out", [io.StringIO, Terminal])
def test_no_part_of_an_alert_is_cut(text, out):
    record = replace(
        FULL_ALERT,
        evidence=(replace(ITEM, name=text),),
        device=replace(FULL_ALERT.device, hostname=text),
    )
    shown = ANSI.sub("", write([record], "alert", out()))
    assert "\x1b" not in shown
    assert "\u2026" not in shown
    squeezed = re.sub(r"\s", "", escaped(text))
    if out is Terminal:
        assert re.sub(r"\s", "", shown).count(squeezed) >= 2
    else:
        cells = {title: re.sub(r"\s", "", cell) for title, cell in columns(shown).items()}
        assert f"tls-sni{squeezed}office.pcap#21" in cells["evidence"]
        assert cells["device, network"] == f"lab-07{squeezed}10.20.0.7hq,VLAN30"


def test_an_alert_in_full():
    assert columns(write([FULL_ALERT], "alert")) == {
        "verdict": "exemptconfirmed",
        "kind": "background,reached",
        "app and ban": "TikTokbe-fed-tiktok-2023",
        "device, network": "lab-07lab0710.20.0.7hq, VLAN 30",
        "first and last seen": "2023-03-10T00:00:00Z2023-03-10T00:01:40Z",
        "evidence": "5 in all, first:dns-query tiktok.comoffice.pcap#17",
    }


def test_unknown_and_repeated_values_are_omitted():
    record = replace(
        ALERT, device=replace(ALERT.device, id="10.20.0.7"), last_seen=ALERT.first_seen
    )
    cells = columns(write([record], "alert"))
    assert cells["device, network"] == "10.20.0.7hq"
    assert cells["first and last seen"] == "2023-03-10T00:00:00Z"
    assert cells["evidence"] == "0 in all"


NOTE = "blocked (NXDOMAIN), the app is probably still installed"


def test_a_blocked_attempt_is_told_from_use_at_a_glance():
    header, first, second, *_, note = write([BLOCKED], "alert").splitlines()
    at = header.index("kind")
    assert first[at:].startswith("lookup,")
    assert second[at:].startswith("blocked ")
    assert note == " " * at + NOTE


def test_that_the_app_is_there_is_said_only_if_a_name_of_the_app_alone_was_asked_for():
    items = tuple(replace(item, app_only=False) for item in BLOCKED.evidence)
    text = write([replace(BLOCKED, evidence=items, blocked_by=())], "alert")
    assert text.splitlines()[-1].strip() == "blocked"
    assert "installed" not in text


def test_an_embed_says_that_a_page_may_have_embedded_it():
    text = write([replace(ALERT, kind=Kind("embed", ()))], "alert")
    assert "a page may have embedded it" in text
    assert "embed, " in text


def test_what_was_reached_has_no_note():
    text = write([ALERT], "alert")
    assert len(text.splitlines()) == 4
    assert "session,   " in text
    assert "app is" not in text


def test_an_open_incident_says_so():
    assert "open" in columns(write([replace(ALERT, status="open")], "alert"))["verdict"]


def test_table_without_a_terminal_is_plain_and_has_a_fixed_width(environment):
    environment.setenv("COLUMNS", "40")
    text = write([ALERT, FULL_ALERT], "alert")
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= WIDTH
    assert text.count("first and last seen") == 1
    assert len({line.index("be-fed") for line in text.splitlines() if "be-fed" in line}) == 1


def test_a_wide_terminal_gets_a_wider_table(environment):
    environment.setenv("COLUMNS", "200")
    text = ANSI.sub("", write([FULL_ALERT], "alert", Terminal()))
    assert WIDTH < len(text.splitlines()[0]) <= 200


def test_a_narrow_terminal_gets_a_paragraph(environment):
    environment.setenv("COLUMNS", "50")
    text = ANSI.sub("", write([ALERT, FULL_ALERT], "alert", Terminal()))
    assert max(map(len, text.splitlines())) <= 50
    assert text.count("be-fed-tiktok-2023") == 2
    assert text.startswith("violation  confirmed  session, reached")


@pytest.mark.parametrize("alert", [FULL_ALERT, BLOCKED])
def test_at_80_columns_an_alert_takes_at_most_6_lines(environment, alert):
    environment.setenv("COLUMNS", "80")
    lines = ANSI.sub("", write([alert], "alert", Terminal())).splitlines()
    assert 4 <= len(lines) <= 6
    assert all(lines)
    assert max(map(len, lines)) <= 80
    squeezed = " ".join(lines)
    for cell in alert_cells(alert_record(alert)):
        assert all(line in squeezed for line in cell)


@pytest.mark.parametrize("width", ["50", "80", "119", "120", "200"])
def test_no_line_ends_with_spaces(environment, width):
    environment.setenv("COLUMNS", width)
    for stream in (io.StringIO(), Terminal()):
        text = ANSI.sub("", write([ALERT, FULL_ALERT, BLOCKED], "alert", stream))
        assert [line for line in text.splitlines() if line != line.rstrip()] == []


@pytest.mark.parametrize("width", ["50", "119"])
def test_a_paragraph_ends_with_the_note(environment, width):
    environment.setenv("COLUMNS", width)
    text = ANSI.sub("", write([BLOCKED], "alert", Terminal()))
    assert " ".join(text.split()).endswith(NOTE)


@pytest.mark.parametrize("width", [120, 133, 200])
def test_note_begins_in_the_column_of_the_kind(environment, width):
    environment.setenv("COLUMNS", str(width))
    header, *_, note = ANSI.sub("", write([BLOCKED], "alert", Terminal())).splitlines()
    assert len(note) - len(note.lstrip()) == header.index("kind")


@pytest.mark.parametrize("kind", ["alert", "observations"])
def test_colours_are_for_terminals(environment, kind):
    record = ALERT if kind == "alert" else BARE
    plain = write([record], kind)
    assert "\x1b" not in plain
    assert "\x1b[" in write([record], kind, Terminal())
    environment.setenv("NO_COLOR", "1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", write([record], kind, Terminal()))


def test_kind_and_outcome_have_colours_of_their_own(environment):
    environment.setenv("COLUMNS", "150")
    assert "\x1b[1mblocked\x1b[0m" in write([BLOCKED], "alert", Terminal())
    assert "\x1b[1;31msession\x1b[0m, " in write([ALERT], "alert", Terminal())


def test_coverage_has_its_numbers_on_the_right():
    counts = Coverage()
    counts.add(Network("hq", "service"), "a", "named", 1200)
    counts.add(None, "b", "ech", 3)
    out = io.StringIO()
    assert TableWriter(out).coverage(counts.report(10, {}), everything=True)
    assert [line.rstrip() for line in out.getvalue().splitlines()] == [
        "network  device  flows  named  share  not named, by reason",
        "hq       all 1   1,200  1,200  100 %",
        "         a       1,200  1,200  100 %",
        "outside              3      0    0 %  ech 3",
    ]


def test_colours_are_the_only_difference_on_a_terminal():
    plain = write([BARE, FULL], "observations")
    assert ANSI.sub("", write([BARE, FULL], "observations", Terminal())) == plain


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_alerts_immediately(name):
    out = io.StringIO()
    writer = FORMATS[name].writer(out)
    writer.alert(FULL_ALERT)
    assert "lab-07" in out.getvalue()


@pytest.mark.parametrize("name", [each for each in OBSERVATION_FORMATS if each in FORMATS])
def test_every_format_writes_observations_immediately(name):
    out = io.StringIO()
    FORMATS[name].writer(out).observations(batch_of(BARE))
    assert BARE.name in out.getvalue()
