"""Logs of Cloudflare Gateway, with the fields of its data sets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs import cloudflare_gateway
from netwatch.logs.reading import RecordError
from netwatch.logs.records import LogName
from tests.support.log_records import SAMPLES, read, read_any, sample_lines, sample_of, short

_ALL = [line for path in (SAMPLES / "cloudflare-gateway").iterdir() for line in sample_lines(path)]


def lines_of(name: str) -> list[bytes]:
    return sample_lines(SAMPLES / "cloudflare-gateway" / name)


def test_lookups() -> None:
    answer, alias, denied = read(cloudflare_gateway, lines_of("dns.json"))
    assert short(answer) == (
        "dns-answer",
        "www.tiktok.com",
        "203.0.113.133:42424",
        "198.51.100.53:53",
        "NOERROR",
    )
    assert isinstance(answer, LogName)
    assert answer.lacks == ("device-behind-nat",)
    assert answer.raw == "www.TikTok.com"
    assert short(alias)[:2] == ("dns-cname", "www.tiktok.com.example.net")
    assert isinstance(denied, LogName)
    assert (denied.client.ip, denied.client_host) == (None, "PC-0104")
    assert (denied.outcome, denied.blocked_by) == ("blocked", "blockedByCategory")
    assert denied.time == 1772442902 * 10**9
    assert denied.dns is not None
    assert (denied.dns.type, denied.dns.rcode) == ("HTTPS", "REFUSED")


def test_requests_and_sessions() -> None:
    allowed, denied = read(cloudflare_gateway, lines_of("http.json"))
    assert isinstance(allowed, LogName)
    assert isinstance(denied, LogName)
    assert (allowed.evidence, allowed.client_host, allowed.outcome) == (
        "http-host",
        "PC-0104",
        "reached",
    )
    assert short(denied)[2:] == ("10.10.1.100:49908", "198.51.100.7:443", "blocked")
    (session,) = read(cloudflare_gateway, lines_of("network.json"))
    assert short(session) == (
        "tls-sni",
        "www.tiktok.com",
        "10.10.1.100:54494",
        "198.51.100.7:443",
        None,
    )


def test_a_session_over_udp_is_quic() -> None:
    line = lines_of("network.json")[0].replace(b'"tcp"', b'"udp"')
    assert short(read(cloudflare_gateway, [line])[0])[0] == "quic-sni"
    assert read(cloudflare_gateway, [line.replace(b"www.tiktok.com", b"")]) == []


@pytest.mark.parametrize("time", [b"1772442901", b'"2026-03-02T09:15:01Z"', b"1772442901000"])
def test_times_of_the_forms_that_a_job_may_choose(time: bytes) -> None:
    line = lines_of("network.json")[0].replace(b'"2026-03-02T09:15:03Z"', time)
    (entry,) = read(cloudflare_gateway, [line])
    assert isinstance(entry, LogName)
    assert entry.time == 1772442901 * 10**9


def test_other_data_sets_and_bad_times() -> None:
    assert read(cloudflare_gateway, [b'{"Action":"login","Email":"jo@example.org"}']) == []
    for bad in (b"7", b'"soon"', b"null"):
        line = lines_of("network.json")[0].replace(b'"2026-03-02T09:15:03Z"', bad)
        with pytest.raises(RecordError, match="time-invalid"):
            read(cloudflare_gateway, [line])


def test_the_samples_are_of_this_format() -> None:
    for path in (SAMPLES / "cloudflare-gateway").iterdir():
        assert cloudflare_gateway.recognise(sample_of(sample_lines(path))) > 0, path.name


@given(st.lists(st.one_of(st.binary(max_size=300), st.sampled_from(_ALL)), max_size=6), st.data())
def test_any_bytes(lines: list[bytes], data: st.DataObject) -> None:
    """Whatever a log has, its records are read or counted; a real line may be damaged anywhere."""
    line = bytearray(data.draw(st.sampled_from(_ALL)))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    read_any(cloudflare_gateway, [*lines, bytes(line)])
