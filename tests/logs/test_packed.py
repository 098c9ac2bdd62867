import pytest

from netwatch.logs.packed import packed_ip, packed_mac


@pytest.mark.parametrize(
    ("written", "packed"),
    [
        ("192.0.2.1", b"\xc0\0\2\1"),
        ("::ffff:192.0.2.1", b"\xc0\0\2\1"),
        ("fe80::1%eth0", b"\xfe\x80" + bytes(13) + b"\1"),
        ("2001:db8::1", b"\x20\1\r\xb8" + bytes(11) + b"\1"),
        ("", None),
        ("-", None),
    ],
)
def test_addresses(written, packed):
    assert packed_ip(written) == packed


def test_mac_addresses():
    assert packed_mac("02:00:00:20:01:31") == b"\2\0\0\x20\1\x31"
    assert packed_mac("?") is None
