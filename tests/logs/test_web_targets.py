import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.logs.web_targets import HOST_NAME, authority, target


@pytest.mark.parametrize(
    ("method", "url", "found"),
    [
        (b"CONNECT", b"www.tiktok.com:443", ("www.tiktok.com", "", 443)),
        (b"connect", b"www.TikTok.com", ("www.tiktok.com", "www.TikTok.com", 443)),
        (b"CONNECT", b"https://www.tiktok.com:8443/", ("www.tiktok.com", "", 8443)),
        (b"CONNECT", b"[2001:db8::1]:443", ("2001:db8::1", "", 443)),
        (b"CONNECT", b"2001:db8::1", ("2001:db8::1", "", 443)),
        (b"GET", b"http://www.tiktok.com/a?b=http://c/", ("www.tiktok.com", "", 80)),
        (b"GET", b"https://user:secret@www.tiktok.com:99999/", ("www.tiktok.com", "", 443)),
        (b"GET", b"ws://a.example.org?x", ("a.example.org", "", 80)),
        (b"GET", b"/path", None),
        (b"GET", b"http:///path", None),
        (b"CONNECT", b":443", None),
        (b"GET", b"http://" + b"a" * 256 + b"/", None),
    ],
)
def test_the_host_of_a_request(method, url, found):
    assert target(method, url) == found


def test_a_host_alone():
    assert authority(b"www.tiktok.com.:8080") == ("www.tiktok.com", "www.tiktok.com.", 8080)
    assert authority(b"") is None


@pytest.mark.parametrize(
    ("text", "is_one"),
    [(b"www.tiktok.com", True), (b"a.b-c.x1", True), (b"192.0.2.1", False), (b"localhost", False)],
)
def test_what_looks_like_a_host_name(text, is_one):
    assert (HOST_NAME.fullmatch(text) is not None) == is_one


@given(st.binary(max_size=50), st.binary(max_size=300))
def test_any_bytes(method, url):
    found = target(method, url)
    assert found is None or (found.name.isascii() and 0 <= found.port < 65536)
