"""Access logs of NGINX as a forward proxy, by the variables of its log module.

The HTTP log of HAProxy, as its Configuration Manual has it.
"""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.log_records import SAMPLES, damaged, read, read_any, sample_lines, sample_of, short

from netwatch.core.errors import RecordError
from netwatch.logs import proxies
from netwatch.logs.recognise import recognise_head
from netwatch.logs.registry import LOG_FORMATS

FOLDER = SAMPLES / "nginx"
ALL = [line for path in sorted(FOLDER.iterdir()) for line in sample_lines(path)]


def combined(request, status=200, client="10.20.1.31", user="-"):
    time = "20/Mar/2023:10:04:31 +0100"
    return f'{client} - {user} [{time}] "{request}" {status} 153 "-" "curl"'.encode()


def test_the_combined_format():
    found = read(LOG_FORMATS["nginx"], sample_lines(FOLDER / "forward.log"))
    assert [short(each) for each in found] == [
        ("http-host", "www.tiktok.com", "10.20.1.31:0", "-:0", "reached"),
        ("http-host", "log.byteoversea.com", "10.20.1.31:0", "-:0", "reached"),
        ("http-host", "v16-webapp.tiktok.com", "10.20.1.32:0", "-:0", "blocked"),
    ]
    assert (found[0].time, found[0].time_digits) == (1679303071 * 10**9, 0)
    assert found[2].blocked_by == "HTTP 403"


def test_json_with_the_names_of_variables():
    assert [
        short(each) for each in read(LOG_FORMATS["nginx"], sample_lines(FOLDER / "forward.json"))
    ] == [
        ("http-host", "www.tiktok.com", "10.20.1.31:51792", "-:0", "reached"),
        ("http-host", "log.byteoversea.com", "10.20.1.31:51793", "-:0", "reached"),
        ("tls-sni", "v16-webapp.tiktok.com", "10.20.1.31:51794", "-:0", "reached"),
    ]


@pytest.mark.parametrize(
    ("fields", "time"),
    [
        ({"@timestamp": "2023-03-20T10:04:31+01:00", "client_ip": "10.20.1.31"}, 1679303071000),
        ({"msec": 1679303071.118, "remote_addr": "10.20.1.31"}, 1679303071118),
        ({"time_local": "20/Mar/2023:10:04:31 +0100", "clientip": "10.20.1.31"}, 1679303071000),
    ],
)
def test_json_with_other_keys(fields, time):
    more = {"method": "GET", "url": "http://www.tiktok.com/", "status_code": 200}
    line = orjson.dumps(fields | more)
    (found,) = read(LOG_FORMATS["nginx"], [line])
    assert (found.time, short(found)[:3]) == (
        time * 10**6,
        ("http-host", "www.tiktok.com", "10.20.1.31:0"),
    )
    assert proxies.recognise_nginx(sample_of([line])) == 1


def test_the_client_is_the_address_that_connected():
    """Anybody can write into X-Forwarded-For what he likes."""
    fields = orjson.loads(sample_lines(FOLDER / "forward.json")[0])
    line = orjson.dumps(fields | {"http_x_forwarded_for": "10.99.9.9", "remote_addr": "10.0.0.1"})
    assert short(read(LOG_FORMATS["nginx"], [line])[0])[2] == "10.0.0.1:51792"


@pytest.mark.parametrize(
    ("request_", "status", "outcome"),
    [
        ("CONNECT www.tiktok.com:443 HTTP/1.1", 502, "attempted"),
        ("CONNECT www.tiktok.com:443 HTTP/1.1", 407, "attempted"),
        ("GET http://www.tiktok.com/ HTTP/1.1", 404, "reached"),
        ("GET http://www.tiktok.com/ HTTP/1.1", 403, "attempted"),  # of whom is not known
        ("GET http://www.tiktok.com/ HTTP/1.1", 504, "attempted"),
    ],
)
def test_what_came_of_a_request(request_, status, outcome):
    assert read(LOG_FORMATS["nginx"], [combined(request_, status)])[0].outcome == outcome


def test_a_user_may_have_blanks():
    assert (
        len(
            read(
                LOG_FORMATS["nginx"],
                [combined("GET http://a.example.org/ HTTP/1.1", user="a b [c]")],
            )
        )
        == 1
    )


def test_it_is_read_only_where_it_is_named():
    for path in FOLDER.iterdir():
        found = recognise_head(path.read_bytes())
        assert found.format is None
        assert found.needs_name
        assert "--as nginx" in found.doubt
        assert proxies.recognise_nginx(sample_of(sample_lines(path))) == 3


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"anything", "access-line-invalid"),
        (b"{", "json-invalid"),
        (combined("GET / HTTP/1.1"), "host-missing"),
        (combined("GET http://a.example.org/").replace(b"2023", b"0000"), "time-invalid"),
        (b'{"remote_addr":"10.0.0.1","request":"GET / HTTP/1.1","status":200}', "host-missing"),
    ],
)
def test_what_cannot_be_read(line, reason):
    with pytest.raises(RecordError, match=reason):
        read(LOG_FORMATS["nginx"], [line])


def test_what_is_no_request_says_nothing():
    lines = [b"", combined(r"\x16\x03\x01"), combined(""), b'{"level":"notice"}']
    assert read(LOG_FORMATS["nginx"], lines) == []


@given(damaged(ALL))
def test_any_bytes(lines):
    read_any(LOG_FORMATS["nginx"], lines)


@given(st.sampled_from(sample_lines(FOLDER / "forward.json")), st.data())
def test_any_value_anywhere(line, data):
    found = orjson.loads(line)
    scalar = st.none() | st.booleans() | st.integers(-9, 1 << 60) | st.floats(allow_nan=False)
    found[data.draw(st.sampled_from(sorted(found)))] = data.draw(
        scalar | st.text(max_size=9) | st.lists(scalar, max_size=2)
    )
    read_any(LOG_FORMATS["nginx"], [orjson.dumps(found)])


SAMPLE = SAMPLES / "haproxy" / "forward.log"
LINES = sample_lines(SAMPLE)
HEAD = b"10.20.1.31:33317 [20/Mar/2023:10:04:31.443] proxy "
NUMBERS = b" 0/0/12/21/842 200 39412 - - ---- 1/1/0/0/0 0/0 "


def test_requests_to_a_forward_proxy():
    found = read(LOG_FORMATS["haproxy"], LINES)
    assert [short(each) for each in found] == [
        ("http-host", "www.tiktok.com", "10.20.1.31:33317", "-:0", "attempted"),
        ("http-host", "log.byteoversea.com", "10.20.1.31:33318", "-:0", "reached"),
        ("http-host", "v16-webapp.tiktok.com", "10.20.1.32:33319", "-:0", "blocked"),
        ("http-host", "sf16.tiktokcdn.com", "10.20.1.32:33320", "-:0", "reached"),
    ]
    assert (found[0].time, found[0].time_digits) == (1679306671443000000, 3)
    assert found[2].blocked_by == "PR-- 403"


def test_haproxy_is_read_only_where_it_is_named():
    found = recognise_head(SAMPLE.read_bytes())
    assert found.format is None
    assert found.needs_name
    assert "--as haproxy" in found.doubt
    assert proxies.recognise_haproxy(sample_of(LINES)) == len(LINES)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (HEAD + b"origin/srv1" + NUMBERS + b'"GET / HTTP/1.1"', "host-missing"),
        (HEAD + b"origin/srv1" + NUMBERS + b'{curl/8.5.0} "GET / HTTP/1.1"', "host-missing"),
        (HEAD + b"origin/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0", "host-missing"),  # tcplog
        (LINES[0].replace(b"Mar", b"Foo"), "time-invalid"),
    ],
)
def test_lines_of_haproxy_that_cannot_be_read(line, reason):
    with pytest.raises(RecordError, match=reason):
        read(LOG_FORMATS["haproxy"], [line])


def test_other_messages_say_nothing():
    lines = [b"Server origin/srv1 is DOWN.", HEAD + b"origin/<NOSRV>" + NUMBERS + b'"<BADREQ>"']
    assert read(LOG_FORMATS["haproxy"], lines) == []


def test_a_client_of_both_families():
    mapped = LINES[1].replace(b"10.20.1.31", b"::ffff:10.20.1.31")
    six = LINES[1].replace(b"10.20.1.31", b"2001:db8:20::31")
    assert [short(each)[2] for each in read(LOG_FORMATS["haproxy"], [mapped, six])] == [
        "10.20.1.31:33318",
        "2001:db8:20::31:33318",
    ]


@given(st.lists(st.binary(max_size=200), max_size=4), st.data())
def test_any_bytes_of_haproxy(lines, data):
    line = bytearray(data.draw(st.sampled_from(LINES)))
    at = data.draw(st.integers(0, len(line) - 1))
    line[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=9))
    read_any(LOG_FORMATS["haproxy"], [*lines, bytes(line)])
