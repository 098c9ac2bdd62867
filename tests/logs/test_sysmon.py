"""Event 22 of Sysmon, in whatever an event is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.log_records import SAMPLES, damaged, read, read_any, sample_lines, sample_of, short

from netwatch.core.errors import RecordError
from netwatch.logs import windows_events
from netwatch.logs.records import LogName

_ALL = [line for path in (SAMPLES / "sysmon").iterdir() for line in sample_lines(path)]


def lines_of(name: str) -> list[bytes]:
    return sample_lines(SAMPLES / "sysmon" / name)


_ASKED = ("dns-answer", "www.tiktok.com", "-:0", "-:0", "NOERROR")


@pytest.mark.parametrize(
    "name", ["winlogbeat.json", "nxlog.json", "evtx.json", "lines.xml", "pretty.xml"]
)
def test_every_form_says_the_same(name: str) -> None:
    entry = read(windows_events, lines_of(name))[0]
    assert short(entry) == _ASKED
    assert isinstance(entry, LogName)
    assert entry.dns is not None
    assert entry.client_host == "PC-0104.example.org"
    assert entry.time // 10**9 == 1772442901
    assert entry.time_digits == 3
    assert ("198.51.100.7", 0) in entry.dns.answers


def test_answers_aliases_and_codes() -> None:
    answer, alias, missing = read(windows_events, lines_of("winlogbeat.json"))
    assert isinstance(answer, LogName)
    assert answer.dns is not None
    assert answer.dns.answers == (("198.51.100.7", 0), ("2001:db8::7", 0))
    assert answer.raw == "www.TikTok.com"
    assert short(alias)[:2] == ("dns-cname", "www.tiktok.com.example.net")
    assert short(missing)[4] == "NXDOMAIN"


def test_a_code_that_is_no_answer_leaves_a_query() -> None:
    line = lines_of("winlogbeat.json")[1].replace(b"9003", b"1460")
    assert short(read(windows_events, [line])[0])[0] == "dns-query"


def test_fields_of_the_elastic_common_schema() -> None:
    record = (
        b'{"@timestamp":"2026-03-02T09:15:01.239Z","dns":{"answers":[{"data":"a.example","type":'
        b'"CNAME"},{"data":"198.51.100.7","type":"A"}],"question":{"name":"www.tiktok.com"}},'
        b'"sysmon":{"dns":{"status":"SUCCESS"}},"winlog":{"computer_name":"PC-0104","event_id":"22"'
        b',"provider_name":"Microsoft-Windows-Sysmon"}}'
    )
    answer, alias = read(windows_events, [record])
    assert short(answer) == _ASKED
    assert short(alias)[:2] == ("dns-cname", "a.example")


def test_several_events_in_one_line_and_entities() -> None:
    event = lines_of("lines.xml")[0].replace(b"www.tiktok.com<", b"a&amp;b&#46;tiktok.com<")
    found = read(windows_events, [b"<Events>" + event + event + b"</Events>"])
    assert [short(each)[1] for each in found if short(each)[0] == "dns-answer"] == [
        "a&b.tiktok.com"
    ] * 2


def test_an_event_without_end_is_bounded() -> None:
    reader = [b"<Event xmlns='x'>", *[b"<Data Name='A'>" + b"x" * 1000] * 66]
    with pytest.raises(RecordError, match="event-too-long"):
        read(windows_events, reader)


def test_events_of_others_say_nothing() -> None:
    line = lines_of("lines.xml")[0]
    assert read(windows_events, [line.replace(b"<EventID>22", b"<EventID>3")]) == []
    assert read(windows_events, [line.replace(b"Microsoft-Windows-Sysmon", b"Other")]) == []
    assert read(windows_events, [b'{"Event":7}', b'{"EventID":22,"SourceName":"Other"}']) == []


def test_what_cannot_be_read() -> None:
    line = lines_of("evtx.json")[0]
    with pytest.raises(RecordError, match="name-missing"):
        read(windows_events, [line.replace(b'"www.tiktok.com"', b'""')])
    with pytest.raises(RecordError, match="time-invalid"):
        read(windows_events, [line.replace(b"2026-03-02 09:15:01.461", b"soon")])


def test_the_samples_are_of_this_format() -> None:
    for path in (SAMPLES / "sysmon").iterdir():
        assert windows_events.recognise_sysmon(sample_of(sample_lines(path))) > 0, path.name


@given(st.lists(st.sampled_from(_ALL), max_size=4), damaged(_ALL))
def test_any_bytes(whole: list[bytes], others: list[bytes]) -> None:
    """Whatever a log has, its records are read or counted; a real line may be damaged anywhere."""
    read_any(windows_events, [*whole, *others])
