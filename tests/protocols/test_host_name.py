import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.errors import ParseError
from netwatch.protocols.host_name import from_labels, from_text


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"ws-014", "ws-014"),
        (b"WS-014.Corp.Example.", "ws-014.corp.example"),
        (b"ws-014\0\0", "ws-014"),  # RFC 2132 section 2 has no NUL, clients do
        (b" ws-014 ", "ws-014"),
        (b"", ""),
        (b"\0", ""),
        (b"a b\n\x1b[31m", "a\\032b\\010\\027[31m"),
        ("bücher".encode(), "xn--bcher-kva"),
        (b"\xff\xfe", "\\255\\254"),
    ],
)
def test_text(raw, name):
    assert from_text(raw, "x") == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"\6ws-014\0", "ws-014"),
        (b"\6ws-014", "ws-014"),  # partial (RFC 4704 section 4.2)
        (b"\6WS-014\4corp\7example\0", "ws-014.corp.example"),
        (b"", ""),
        (b"\0", ""),
        (b"\3a.b\0", "a\\.b"),
    ],
)
def test_labels(raw, name):
    assert from_labels(raw, "x") == name


@pytest.mark.parametrize(
    "raw",
    [b"\7ws-014", b"\x40" + bytes(64), b"\xc0\x0c", (b"\x3f" + b"a" * 63) * 5, b"\1a\5"],
)
def test_labels_that_do_not_fit(raw):
    with pytest.raises(ParseError, match="odd-one"):
        from_labels(raw, "odd-one")


def test_a_text_longer_than_a_name():
    assert from_text(b"a" * 255, "odd-one") == "a" * 255
    with pytest.raises(ParseError, match="odd-one"):
        from_text(b"a" * 256, "odd-one")


@given(st.binary(max_size=400))
def test_any_bytes_give_a_name_or_the_anomaly(raw):
    for read in (from_text, from_labels):
        try:
            name = read(raw, "odd-one")
        except ParseError as error:
            name, anomaly = "", error.anomaly
        else:
            anomaly = "odd-one"
        assert anomaly == "odd-one"
        assert name.isascii()
        assert not any(char.isspace() or ord(char) < 32 for char in name)
