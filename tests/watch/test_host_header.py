"""A Host header is accepted only if it cannot be that of a name made to resolve to this machine."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.watch.endpoint_options import is_accepted, own_names

NAMES = own_names("0.0.0.0", ["probe.example.org", "Other.Example.org."])


@pytest.mark.parametrize(
    "header",
    [
        None, "127.0.0.1", "127.0.0.1:9477", "192.0.2.7", "[::1]", "[2001:db8::1]:9477",
        "localhost", "LOCALHOST:80", "probe.example.org", "probe.example.org.:9477",
        "other.example.org", "0.0.0.0", socket.gethostname(),
    ],
)  # fmt: skip
def test_accepted(header: str | None) -> None:
    assert is_accepted(header, NAMES)


@pytest.mark.parametrize(
    "header",
    [
        "", ":80", "rebound.example.net", "rebound.example.net:9477", "127.0.0.1.example.net",
        "localhost.example.net", "localhost,rebound.example.net", "127.0.0.1:80:80",
        "127.0.0.1:x", "localhost:\u0661", "[::1", "[::1]x", "[localhost]x:80", "::1",
        "127.0.0.1 ", "evil@127.0.0.1", "2130706433", "0x7f.1",
    ],
)  # fmt: skip
def test_refused(header: str) -> None:
    assert not is_accepted(header, NAMES)


def test_the_name_that_it_listens_on_is_accepted() -> None:
    assert is_accepted("mon.example.org:9477", own_names("mon.example.org", []))


@given(st.text(max_size=40))
def test_any_text_is_answered(header: str) -> None:
    is_accepted(header, NAMES)
