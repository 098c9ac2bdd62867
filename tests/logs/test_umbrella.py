"""Logs of Cisco Umbrella, in the columns of its documentation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs import umbrella
from netwatch.logs.reading import RecordError
from netwatch.logs.records import LogName
from tests.support.log_records import SAMPLES, read, read_any, sample_lines, sample_of, short

_ALL = [line for path in (SAMPLES / "umbrella").iterdir() for line in sample_lines(path)]


def lines_of(name: str) -> list[bytes]:
    return sample_lines(SAMPLES / "umbrella" / name)


def test_lookups_of_the_first_version() -> None:
    allowed, denied = read(umbrella, lines_of("dns-v1.csv"))
    assert short(allowed) == ("dns-answer", "www.tiktok.com", "10.10.1.100:0", "-:0", "NOERROR")
    assert isinstance(allowed, LogName)
    assert isinstance(denied, LogName)
    assert (allowed.raw, allowed.lacks) == ("www.TikTok.com", ("server", "answer"))
    assert allowed.time == 1772442901 * 10**9
    assert (denied.outcome, denied.blocked_by) == ("blocked", "Blocked")
    assert denied.lacks == ("server", "answer", "device-behind-nat")
    assert denied.dns is not None
    assert denied.dns.type == "AAAA"


def test_a_roaming_computer_is_not_at_the_address_of_its_other_network() -> None:
    roaming, office = read(umbrella, lines_of("dns-v10.csv"))
    assert isinstance(roaming, LogName)
    assert isinstance(office, LogName)
    assert (roaming.client.ip, roaming.client_host) == (None, "PC-0104")
    assert short(office)[2] == "10.20.0.4:0"


def test_columns_by_the_header() -> None:
    (answer,) = read(umbrella, lines_of("dns-header.csv"))
    assert short(answer) == ("dns-answer", "v16.tiktokcdn.com", "10.10.1.100:0", "-:0", "NXDOMAIN")


def test_requests() -> None:
    allowed, denied = read(umbrella, lines_of("proxy.csv"))
    assert short(allowed) == (
        "http-host",
        "www.tiktok.com",
        "10.10.1.100:0",
        "198.51.100.7:443",
        "reached",
    )
    assert short(denied)[2:] == ("10.10.1.101:0", "-:443", "blocked")


def test_blanks_after_commas_as_in_the_examples_of_the_documentation() -> None:
    line = (
        b'"2015-01-16 17:48:41","ActiveDirectoryUserName", "ActiveDirectoryUserName,ADSite", '
        b'"10.10.1.100","203.0.113.133","Allowed","1 (A)", "NOERROR","www.tiktok.com.", "Chat"'
    )
    assert short(read(umbrella, [line])[0])[1:3] == ("www.tiktok.com", "10.10.1.100:0")
    assert umbrella.recognise(sample_of([line])) == 1


def test_other_logs_of_umbrella_say_nothing() -> None:
    assert (
        read(
            umbrella,
            [
                b'"2026-03-02 09:15:01","PC","10.0.0.1","5412","198.51.100.7","443","","Networks"',
                b'"","2026-03-02 09:15:01","jo@example.org","","settings","update","","1","2"',
                b"",
            ],
        )
        == []
    )


def test_what_cannot_be_read() -> None:
    with pytest.raises(RecordError, match="time-invalid"):
        read(umbrella, [b'"yesterday","a","b","10.0.0.1"'])
    line = lines_of("proxy.csv")[0].replace(b"https://www.tiktok.com/foryou", b"nonsense")
    with pytest.raises(RecordError, match="url-invalid"):
        read(umbrella, [line])


def test_the_samples_are_of_this_format() -> None:
    for path in (SAMPLES / "umbrella").iterdir():
        assert umbrella.recognise(sample_of(sample_lines(path))) > 0, path.name


@given(st.lists(st.one_of(st.binary(max_size=300), st.sampled_from(_ALL)), max_size=6), st.data())
def test_any_bytes(lines: list[bytes], data: st.DataObject) -> None:
    """Whatever a log has, its records are read or counted; a real line may be damaged anywhere."""
    line = bytearray(data.draw(st.sampled_from(_ALL)))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    read_any(umbrella, [*lines, bytes(line)])
