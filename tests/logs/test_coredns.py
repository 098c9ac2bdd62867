"""Logs of CoreDNS, in the formats of its plugin ``log``, and in what carries them in a cluster."""

import pytest
from support.resolver_logs import names, read, sample, short

from netwatch.core.errors import RecordError


def test_the_common_format_in_the_log_of_a_container() -> None:
    first, second = names("coredns", sample("coredns", "docker.json"))
    assert short(first) == ("dns-answer", "www.tiktok.com", "10.0.0.12:42114", "A", "NOERROR")
    assert (first.time, first.time_digits) == (1772442901_123456789, 9)
    assert short(second)[1:] == ("m.tiktok.com", "2001:db8::12:42115", "HTTPS", "NXDOMAIN")
    assert (first.transport, second.transport) == ("udp", "tcp")


def test_the_combined_format_and_an_answer_that_was_not_sent() -> None:
    first, second = names("coredns", sample("coredns", "cri.log"))
    assert (first.raw, first.time) == ("www.TikTok.com", 1772439301_123456789)
    assert short(second) == ("dns-query", "host.example.net", "10.0.0.13:42116", "AAAA", "")


def test_older_versions_have_a_time() -> None:
    first, second = names("coredns", sample("coredns", "old.log"))
    assert (first.time, first.time_digits) == (1772442901_123 * 10**6, 3)
    assert (second.time, second.time_digits) == (1772442902 * 10**9, 0)


def test_hostile_names() -> None:
    (entry,) = names(
        "coredns",
        [
            b'2026-03-02T09:15:01Z [INFO] 10.0.0.1:5 - 1 "A IN a\\"b\\009\\\\.tiktok.com. udp 41 '
            b'false 512" NOERROR qr 90 0.01s'
        ],
    )
    assert entry.name == 'a"b\\009\\\\.tiktok.com'


def test_client_with_a_zone_and_lookup_of_the_root() -> None:
    lines = [
        b'2026-03-02T09:15:01Z [INFO] [fe80::1%%eth0]:5 - 1 "A IN %s udp 41 false 512" '
        b"NOERROR qr 90 0s" % name
        for name in (b"a.example.", b".")
    ]
    (entry,) = names("coredns", lines)
    assert short(entry)[2] == "fe80::1:5"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'[INFO] 10.0.0.1:5 - 1 "A IN a.example. udp 41 false 512" NOERROR qr 90 0s', "missing"),
        (b'[INFO] 10.0.0.1:5 - 1 "A IN a.example. udp 41" NOERROR qr 90 0s', "line-invalid"),
        (b'[INFO] 10.0.0.300:5 - 1 "A IN a. udp 41 false 512" NOERROR qr 90 0s', "address-invalid"),
        (b'[INFO] 10.0.0.1:99999 - 1 "A IN a. udp 41 false 512" NOERROR qr 90 0s', "port-invalid"),
        (
            b'2026/13/02 09:15:02 [INFO] 10.0.0.1:5 - 1 "A IN a. udp 41 false 512" NOERROR qr 9 0s',
            "time-invalid",
        ),
    ],
)
def test_what_cannot_be_read(line: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read("coredns", [line])
