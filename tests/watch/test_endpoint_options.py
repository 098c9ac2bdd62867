"""The address on which the metrics endpoint listens."""

import pytest

from netwatch.watch.endpoint_options import parse_listen_address


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("127.0.0.1:9477", ("127.0.0.1", 9477)),
        (":9477", ("127.0.0.1", 9477)),
        ("[::1]:80", ("::1", 80)),
        ("mon.example.org:0", ("mon.example.org", 0)),
    ],
)
def test_listen_address(text: str, where: tuple[str, int]) -> None:
    assert parse_listen_address(text) == where


@pytest.mark.parametrize(
    "text", ["", "9477", "127.0.0.1", "a:b", "a:65536", "::1:80", "a:-1", "a:\u0661"]
)
def test_wrong_listen_address(text: str) -> None:
    with pytest.raises(ValueError, match="like"):
        parse_listen_address(text)
