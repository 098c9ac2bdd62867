"""Addresses of receivers, as a user writes them."""

import pytest

from netwatch.core.errors import NetwatchError
from netwatch.logs.live.senders import is_receiver, parse


def test_loopback_is_the_default() -> None:
    found = parse("syslog+udp://:5514")
    assert (found.host, found.port, found.scheme) == ("127.0.0.1", 5514, "syslog+udp")
    assert parse("syslog+tcp://").port == 514
    assert parse("syslog+tls://?cert=c.pem").port == 6514
    assert parse("syslog+tcp://[::1]:1").host == "::1"


def test_unix_socket_is_for_its_owner() -> None:
    found = parse("dnstap+unix:///run/netwatch/dnstap.sock")
    assert (found.path, found.mode, found.group) == ("/run/netwatch/dnstap.sock", 0o600, None)
    found = parse("dnstap+unix:///run/netwatch/dnstap.sock?mode=660&group=root")
    assert (found.mode, found.group) == (0o660, 0)


def test_senders_are_limited() -> None:
    found = parse("syslog+udp://0.0.0.0:514?from=10.0.0.0/8,2001:db8::/32")
    assert found.accepts("10.1.2.3")
    assert found.accepts("::ffff:10.1.2.3")
    assert found.accepts("2001:db8::1%eth0")
    assert not found.accepts("192.0.2.1")
    assert parse("syslog+udp://0.0.0.0:514").accepts("192.0.2.1")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://127.0.0.1", "expected a path, or syslog+udp"),
        ("syslog+udp://resolver:514", "is no IP address"),
        ("syslog+udp://127.0.0.1:99999", "Port out of range"),
        ("syslog+tcp://127.0.0.1/path", "expected syslog+tcp://ADDRESS:PORT"),
        ("syslog+tcp://127.0.0.1?form=10.0.0.0/8", "there is no option 'form', expected from"),
        ("syslog+tcp://127.0.0.1?from=10.0.0.1/8", "has host bits set"),
        ("syslog+tls://127.0.0.1", "expected ?cert=FILE"),
        ("dnstap+unix://relative", "expected dnstap+unix:///PATH"),
        ("dnstap+unix:///d.sock?mode=666", "expected mode=600 or mode=660"),
        ("dnstap+unix:///d.sock?group=nobody-at-all", "there is no group"),
    ],
)
def test_mistakes_say_what_is_expected(text: str, reason: str) -> None:
    with pytest.raises(NetwatchError) as caught:
        parse(text)
    assert str(caught.value).startswith(text)
    assert reason in str(caught.value)


def test_path_is_no_receiver() -> None:
    assert not is_receiver("/var/log/dns.log")
    assert is_receiver("dnstap+unix:///d.sock")
