import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.protocol_samples import extension, hello, records, server_name, vector

from netwatch.core.message import Message
from netwatch.protocols import tls


def outer(size: int, key: int = 32, suite: bytes = b"\0\1\0\1") -> bytes:
    """The body of an outer extension whose payload has `size` bytes."""
    return b"\0" + suite + b"\x2a" + vector(2, bytes(key)) + vector(2, bytes(size))


def classified(body: bytes, names: tuple[str, ...] = (), boringssl: bool = False) -> Message:
    """What a hello shows that has such an extension."""
    named = server_name(*(name.encode() for name in names)) if names else b""
    return tls.parse(
        records(hello(named + extension(0xFE0D, body), (0x4A4A if boringssl else 0x1301, 0x1302)))
    )


@pytest.mark.parametrize(
    ("body", "names", "kind"),
    [
        (outer(240), ("cloudflare-ech.com",), "outer"),
        (outer(399), ("cloudflare-ech.com",), "outer"),
        (outer(399), ("www.example.com", "public.tls-ech.dev"), "outer"),
        (outer(240, key=0), ("www.example.com",), "outer"),
        (outer(144), ("www.example.com",), "present"),
        (outer(239), ("www.example.com",), "present"),
    ],
)
def test_what_an_extension_says(body, names, kind):
    assert classified(body, names).tls.ech == kind


@pytest.mark.parametrize(
    ("body", "names", "kind"),
    [
        (outer(240), ("cloudflare-ech.com",), "outer"),
        (outer(240, key=0), ("www.example.com",), "outer"),
        *((outer(size), ("www.example.com",), "grease") for size in (144, 176, 208, 240)),
        (outer(240, suite=b"\0\1\0\3"), ("www.example.com",), "grease"),
        (outer(240), ("x.cloudflare-ech.com",), "grease"),
        (outer(240), (), "present"),
        (outer(239), ("www.example.com",), "outer"),
        (outer(272), ("www.example.com",), "outer"),
        (outer(272), (), "outer"),
        (outer(240, key=65), ("www.example.com",), "outer"),
        (outer(240, suite=b"\0\1\0\2"), ("www.example.com",), "outer"),
        (outer(240, suite=b"\0\2\0\1"), ("www.example.com",), "outer"),
    ],
)
def test_what_it_says_in_a_hello_of_boringssl(body, names, kind):
    assert classified(body, names, True).tls.ech == kind


@pytest.mark.parametrize(
    ("body", "anomaly"),
    [
        (b"", "tls-ech"),
        (b"\1", "tls-ech-inner"),
        (b"\2" + outer(144)[1:], "tls-ech"),
        (outer(144) + b"\0", "tls-ech"),
        (outer(0), "tls-ech"),
    ],
)
def test_not_an_outer_extension(body, anomaly):
    found = classified(body)
    assert (found.tls.ech, found.anomalies) == ("present", (anomaly,))


def test_an_extension_truncated_at_every_byte():
    body = outer(144)
    for end in range(len(body)):
        found = classified(body[:end], ("a.example",))
        assert (found.tls.ech, found.anomalies) == ("present", ("tls-ech",))
        assert found.tls.ech_config_id == (0x2A if end > 5 else None)


@pytest.mark.parametrize("first", [True, False])
def test_a_hello_shows_it_whatever_the_order_of_its_extensions(first):
    parts = [server_name(b"www.example.com"), extension(0xFE0D, outer(176))]
    extensions = b"".join(parts if first else reversed(parts))
    settings = (extension(17513, b"\0\3\2h2"), extension(17613, b"\0\3\2h2"))
    for suite, more, kind in (
        (0x4A4A, b"", "grease"),
        (0x4A5A, b"", "present"),
        (0x1A3A, b"", "present"),
        (0x1301, b"", "present"),
        (0x1301, settings[0], "grease"),
        (0x1301, settings[1], "grease"),
        (0x1301, extension(17514, b""), "present"),
    ):
        found = tls.parse(records(hello(extensions + more, (suite, 0x1302))))
        assert (found.tls.ech, found.anomalies) == (kind, ())


def test_a_malformed_one_is_there_anyway():
    found = tls.parse(records(hello(server_name(b"a.example") + extension(0xFE0D, b"\0"))))
    assert (found.tls.ech, found.anomalies) == ("present", ("tls-ech",))


@given(
    st.binary(max_size=80),
    st.lists(st.sampled_from(["a.example", "cloudflare-ech.com"])),
    st.booleans(),
)
def test_any_bytes_have_a_kind(body, names, greased):
    found = classified(body, tuple(names), greased)
    assert found.tls.ech in ("outer", "grease", "present")
    if {"tls-ech", "tls-ech-inner"}.intersection(found.anomalies):
        assert found.tls.ech == "present"
