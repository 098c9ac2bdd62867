import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocol_samples import sound_outcome

from netwatch.core.errors import Incomplete, ParseError
from netwatch.protocols import http

MAX_HEAD = 65536


def names(raw: bytes, last: bool = False) -> list[str]:
    found = http.parse(raw, last)
    assert {one.evidence for one in found.names} <= {"http-host"}
    assert not any(one.client_is_destination for one in found.names)
    return [one.name for one in found.names]


def get(*fields: bytes, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([line, *fields, b"", b""])


def test_a_request_shows_its_host():
    raw = get(b"Accept-Language: nl", b"HOST:  WWW.Example.com:8080 \t", b"Accept: */*")
    found = http.parse(raw)
    assert [one.name for one in found.names] == ["www.example.com"]
    assert found.size == len(raw)
    assert found.anomalies == ()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"example.com", ["example.com"]),
        (b"example.com.", ["example.com"]),
        (b"192.0.2.7:80", ["192.0.2.7"]),
        (b"[2001:db8::1]:8080", ["2001:db8::1"]),
        (b"[2001:db8::1]", ["2001:db8::1"]),
        (b"2001:db8::1", ["2001:db8::1"]),
        (b"user:secret@example.com:80", ["example.com"]),
        (b"[broken", ["[broken"]),
        ("bücher.example".encode(), ["xn--bcher-kva.example"]),
        (b"a\x01b.example", ["a\\001b.example"]),
        (b"", []),
        (b":80", []),
    ],
)
def test_hosts(value, shown):
    assert names(get(b"Host: " + value)) == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (get(line=b"CONNECT www.example.com:443 HTTP/1.1"), ["www.example.com"]),
        (
            get(b"Host: proxy.example", line=b"CONNECT [2001:db8::1]:443 HTTP/1.1"),
            ["proxy.example", "2001:db8::1"],
        ),
        (
            get(
                b"Host: a.example", line=b"GET http://u:p@b.example:81/x?http://c.example HTTP/1.1"
            ),
            ["a.example", "b.example"],
        ),
        (get(b"Host: a.example", line=b"GET http://A.example/ HTTP/1.1"), ["a.example"]),
        (get(line=b"GET http://a.example HTTP/1.0"), ["a.example"]),
        (get(line=b"OPTIONS * HTTP/1.1"), []),
        (get(b"X-Host: a.example", b"Cookie: Host: b.example"), []),
        (get(b"Host: a.example", line=b"M-SEARCH * HTTP/1.1"), ["a.example"]),
    ],
)
def test_targets(raw, shown):
    assert names(raw) == shown


def test_many_hosts_are_each_shown_once():
    found = http.parse(get(b"Host: a.example", b"Host: b.example", b"Host: A.example"))
    assert [one.name for one in found.names] == ["a.example", "b.example"]
    assert found.anomalies == ("http-many-hosts",)


@pytest.mark.parametrize(
    ("raw", "anomaly"),
    [
        (b"GET / HTTP/1.1\nHost: a.example\n\n", "http-bare-lf"),
        (get(b"Host: a.example", line=b"GET / HTTP/1.0.8"), "http-version"),
        (get(b"Host: a.example", line=b"GET / HTTP/1"), "http-version"),
        (get(b"Host: a.example", line=b"GET / HTTP/1.10"), "http-version"),
        (get(b"Host: a.example", line=b"GET / HTTP/1.x"), "http-version"),
        (get(b"Host: a.example", line=b"GET / HTTP/0.9"), "http-version"),
        (get(b"Host: a.example", line=b"GET / HTTP/2.0"), "http-version"),
        (get(b"Host: a.example", line=b"GET / http/1.1"), "http-version"),
        (get(b"Host: a.example", line=b"PRI / HTTP/1.1.1"), "http-version"),
        (b"GET / HTTP/1.1\r\nHost: a.example\n\r\n", "http-bare-lf"),
        (get(b"Host:", b" a.example"), "http-obs-fold"),
        (get(b" Host: a.example"), "http-obs-fold"),
        (get(b"Host : a.example"), "http-space-before-colon"),
        (get(b"Host: a.example", b"Host: " + b"b" * 256), "http-host-length"),
    ],
)
def test_anomalies_do_not_prevent_parsing(raw, anomaly):
    found = http.parse(raw)
    assert [one.name for one in found.names] == ["a.example"]
    assert anomaly in found.anomalies
    assert found.size == len(raw)


def test_a_request_truncated_at_every_byte():
    raw = get(b"Host: a.example", b"Accept: */*")
    line_whole, host_whole = raw.index(b"Host"), raw.index(b"Accept")
    for size in range(len(raw)):
        with pytest.raises(Incomplete) as raised:
            http.parse(raw[:size])
        assert raised.value.bytes_needed > size
        if size < line_whole:
            with pytest.raises(ParseError) as refused:
                http.parse(raw[:size], last=True)
            assert refused.value.anomaly == "http-head-cut"
        else:
            assert names(raw[:size], last=True) == (["a.example"] if size >= host_whole else [])
            assert http.parse(raw[:size], last=True).anomalies == ("http-head-cut",)


def test_pipelined_requests_are_read_past_their_bodies():
    first = get(b"Host: a.example", b"Content-Length: 5", line=b"POST / HTTP/1.1") + b"GET /"
    second = get(b"Host: b.example")
    assert names(first + second) == ["a.example", "b.example"]
    assert http.parse(first + second + b"GET / HT").size == len(first + second)


@pytest.mark.parametrize(
    "field", [b"Content-Length: 5000", b"Transfer-Encoding: chunked", b"Content-Length: x"]
)
def test_a_body_that_goes_on_hides_nothing_and_shows_nothing(field):
    raw = get(b"Host: a.example", field) + get(b"Host: hidden.example")
    found = http.parse(raw)
    assert [one.name for one in found.names] == ["a.example"]
    assert found.size == len(raw)


def test_what_follows_a_connect_is_not_http():
    raw = get(line=b"CONNECT a.example:443 HTTP/1.1")
    assert http.parse(raw + get(b"Host: b.example")).size == len(raw)


def test_empty_lines_before_a_request_pass():
    assert names(b"\r\n\r\n" + get(b"Host: a.example")) == ["a.example"]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"GET / RTSP/1.0\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"A" * 33,
        b" GET / HTTP/1.1\r\n\r\n",
        b"GE\x00T /",
    ],
)
def test_bytes_that_are_no_request_are_rejected_at_once(raw):
    with pytest.raises(ParseError) as raised:
        http.parse(raw)
    assert raised.value.anomaly == "http-not-a-request"


def test_http2_unencrypted_is_reported_apart():
    with pytest.raises(ParseError) as raised:
        http.parse(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
    assert raised.value.anomaly == "http2-preface"


def test_a_head_without_end_is_read_to_the_limit():
    raw = get(b"Host: a.example", b"X: " + b"x" * MAX_HEAD)
    found = http.parse(raw)
    assert [one.name for one in found.names] == ["a.example"]
    assert found.anomalies == ("http-head-limit",)
    with pytest.raises(ParseError) as raised:
        http.parse(b"GET /" + b"x" * MAX_HEAD)
    assert raised.value.anomaly == "http-head-limit"


def test_names_and_requests_have_a_limit():
    many = [b"Host: %d.example" % at for at in range(99)]
    assert names(get(*many, line=b"GET http://target.example/ HTTP/1.1")) == [
        *[f"{at}.example" for at in range(http.MAX_HOSTS)],
        "target.example",
    ]
    assert names(get(*[b"Host: a.example"] * 20, b"Host: b.example")) == ["a.example", "b.example"]
    rows = [get(b"Host: %d.example" % at) for at in range(http.MAX_REQUESTS + 1)]
    found = http.parse(b"".join(rows))
    assert len(found.names) == http.MAX_REQUESTS
    assert found.size == len(b"".join(rows[:-1]))


@pytest.mark.parametrize(
    "filler", [b" ", b"\t", b"\r", b"\n ", b"Host", b"Host:", b":", b"Host \t"]
)
def test_no_filler_makes_reading_slow(filler):
    # Not timed: a pattern that backtracks over 64 KiB would not end within the day.
    rest = filler * (60000 // len(filler))
    http.parse(b"GET / HTTP/1.1\r\nHost: " + rest + b"x\r\n\r\n", True)
    assert sound_outcome(lambda raw: http.parse(raw, True), b"GET " + rest, "http-")


@given(st.binary(max_size=300), st.booleans(), st.booleans())
def test_any_bytes_are_a_message_or_a_named_error(data, headed, last):
    raw = b"GET / HTTP/1.1\r\n" + data if headed else data
    assert sound_outcome(lambda given: http.parse(given, last), raw, "http")


WORDS = (
    b"Host|:| |\t|\r\n|\n|\r|a.example|[::1]|@|,|Content-Length|7|\xff"
    b"|GET / HTTP/1.1|CONNECT a:1 HTTP/1.1|Transfer-Encoding"
).split(b"|")


@given(st.lists(st.sampled_from(WORDS), max_size=30), st.booleans())
def test_any_row_of_its_words_is_a_message_or_a_named_error(words, last):
    raw = b"GET / HTTP/1.1\r\n" + b"".join(words)
    assert sound_outcome(lambda given: http.parse(given, last), raw, "http")
