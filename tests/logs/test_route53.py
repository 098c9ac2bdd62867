"""Query logs of Route 53 Resolver, in the words of Amazon's documentation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs import route53
from netwatch.logs.reading import RecordError
from netwatch.logs.records import LogName
from tests.support.log_records import SAMPLES, read, read_any, sample_lines, sample_of, short

_ALL = [line for path in (SAMPLES / "route53").iterdir() for line in sample_lines(path)]


def lines_of(name: str) -> list[bytes]:
    return sample_lines(SAMPLES / "route53" / name)


def test_a_lookup_and_its_alias() -> None:
    answer, alias, denied = read(route53, lines_of("resolver.json"))
    assert short(answer) == ("dns-answer", "www.tiktok.com", "10.0.0.12:56067", "-:0", "NOERROR")
    assert isinstance(answer, LogName)
    assert answer.dns is not None
    assert answer.raw == "www.TikTok.com"
    assert answer.time == 1772442901 * 10**9
    assert answer.time_digits == 0
    assert answer.dns.answers == (("198.51.100.7", 0),)
    assert short(alias)[:2] == ("dns-cname", "www.tiktok.com.example.net")
    assert isinstance(denied, LogName)
    assert short(denied)[2] == "2001:db8::12:56068"
    assert (denied.transport, denied.outcome, denied.blocked_by) == ("tcp", "blocked", "BLOCK")


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b'{"query_name":"a.example.","query_timestamp":"yesterday"}', "time-invalid"),
        (b'{"query_name":".","query_timestamp":"2026-03-02T09:15:01Z"}', "name-missing"),
        (
            b'{"query_name":"a.","query_timestamp":"2026-03-02T09:15:01Z","answers":"x"}',
            "answers-invalid",
        ),
        (b"not JSON", "json-invalid"),
    ],
)
def test_what_cannot_be_read(record: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read(route53, [record])


def test_a_client_without_address_is_lacking() -> None:
    (entry,) = read(
        route53,
        [b'{"query_name":"a.example.","query_timestamp":"2026-03-02T09:15:01Z","srcaddr":"?"}'],
    )
    assert isinstance(entry, LogName)
    assert (entry.evidence, entry.lacks) == ("dns-query", ("client",))


def test_hostile_names() -> None:
    (entry,) = read(
        route53,
        [
            b'{"query_name":"a\\u0000\\n\\"b\\u00fc.example.",'
            b'"query_timestamp":"2026-03-02T09:15:01Z","srcaddr":"10.0.0.1"}'
        ],
    )
    assert isinstance(entry, LogName)
    assert entry.name == 'a\\000\\010"b\\195\\188.example'


def test_the_samples_are_of_this_format() -> None:
    for path in (SAMPLES / "route53").iterdir():
        assert route53.recognise(sample_of(sample_lines(path))) > 0, path.name


@given(st.lists(st.one_of(st.binary(max_size=300), st.sampled_from(_ALL)), max_size=6), st.data())
def test_any_bytes(lines: list[bytes], data: st.DataObject) -> None:
    """Whatever a log has, its records are read or counted; a real line may be damaged anywhere."""
    line = bytearray(data.draw(st.sampled_from(_ALL)))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    read_any(route53, [*lines, bytes(line)])
