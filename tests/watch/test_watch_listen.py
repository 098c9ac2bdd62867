"""Where an endpoint may be told to listen."""

import pytest

from netwatch.watch.listen import parse_listen


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("127.0.0.1:9477", ("127.0.0.1", 9477)),
        (":9477", ("127.0.0.1", 9477)),
        ("[::1]:80", ("::1", 80)),
        ("mon.example.org:0", ("mon.example.org", 0)),
    ],
)
def test_where_to_listen(text: str, where: tuple[str, int]) -> None:
    assert parse_listen(text) == where


@pytest.mark.parametrize(
    "text", ["", "9477", "127.0.0.1", "a:b", "a:65536", "::1:80", "a:-1", "a:\u0661"]
)
def test_no_place_to_listen(text: str) -> None:
    with pytest.raises(ValueError, match="like"):
        parse_listen(text)
