"""Access logs of NGINX as a forward proxy, by the variables of its log module."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.log_records import SAMPLES, damaged, read, read_any, sample_lines, sample_of, short

from netwatch.logs import nginx
from netwatch.logs.reading import RecordError
from netwatch.logs.recognise import recognise_head

FOLDER = SAMPLES / "nginx"
ALL = [line for path in sorted(FOLDER.iterdir()) for line in sample_lines(path)]


def combined(request, status=200, client="10.20.1.31", user="-"):
    time = "20/Mar/2023:10:04:31 +0100"
    return f'{client} - {user} [{time}] "{request}" {status} 153 "-" "curl"'.encode()


def test_the_combined_format():
    found = read(nginx, sample_lines(FOLDER / "forward.log"))
    assert [short(each) for each in found] == [
        ("http-host", "www.tiktok.com", "10.20.1.31:0", "-:0", "reached"),
        ("http-host", "log.byteoversea.com", "10.20.1.31:0", "-:0", "reached"),
        ("http-host", "v16-webapp.tiktok.com", "10.20.1.32:0", "-:0", "blocked"),
    ]
    assert (found[0].time, found[0].time_digits) == (1679303071 * 10**9, 0)
    assert found[2].blocked_by == "HTTP 403"


def test_json_with_the_names_of_variables():
    assert [short(each) for each in read(nginx, sample_lines(FOLDER / "forward.json"))] == [
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
    (found,) = read(nginx, [line])
    assert (found.time, short(found)[:3]) == (
        time * 10**6,
        ("http-host", "www.tiktok.com", "10.20.1.31:0"),
    )
    assert nginx.recognise(sample_of([line])) == 1


def test_the_client_is_the_address_that_connected():
    """Anybody can write into X-Forwarded-For what he likes."""
    fields = orjson.loads(sample_lines(FOLDER / "forward.json")[0])
    line = orjson.dumps(fields | {"http_x_forwarded_for": "10.99.9.9", "remote_addr": "10.0.0.1"})
    assert short(read(nginx, [line])[0])[2] == "10.0.0.1:51792"


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
    assert read(nginx, [combined(request_, status)])[0].outcome == outcome


def test_a_user_may_have_blanks():
    assert len(read(nginx, [combined("GET http://a.example.org/ HTTP/1.1", user="a b [c]")])) == 1


def test_it_is_read_only_where_it_is_named():
    for path in FOLDER.iterdir():
        found = recognise_head(path.read_bytes())
        assert found.format is None
        assert found.needs_name
        assert "--as nginx" in found.doubt
        assert nginx.recognise(sample_of(sample_lines(path))) == 3


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
        read(nginx, [line])


def test_what_is_no_request_says_nothing():
    lines = [b"", combined(r"\x16\x03\x01"), combined(""), b'{"level":"notice"}']
    assert read(nginx, lines) == []


@given(damaged(ALL))
def test_any_bytes(lines):
    read_any(nginx, lines)


@given(st.sampled_from(sample_lines(FOLDER / "forward.json")), st.data())
def test_any_value_anywhere(line, data):
    found = orjson.loads(line)
    scalar = st.none() | st.booleans() | st.integers(-9, 1 << 60) | st.floats(allow_nan=False)
    found[data.draw(st.sampled_from(sorted(found)))] = data.draw(
        scalar | st.text(max_size=9) | st.lists(scalar, max_size=2)
    )
    read_any(nginx, [orjson.dumps(found)])
