"""The query log of AdGuard Home."""

import orjson
import pytest
from support.resolver_logs import names, read, sample, short

from netwatch.core.errors import RecordError


def record(**changes: object) -> bytes:
    """A record like the second one of the sample, with other fields; None leaves one out."""
    found = orjson.loads(sample("adguard", "querylog.json")[1]) | changes
    return orjson.dumps({key: value for key, value in found.items() if value is not None})


def test_the_answer_is_a_message() -> None:
    answer, alias, blocked, service, other = names("adguard", sample("adguard", "querylog.json"))
    assert short(answer) == ("dns-answer", "www.tiktok.com", "10.0.0.12:0", "A", "NOERROR")
    assert (answer.raw, answer.time) == ("www.TikTok.com", 1772439301_123456789)
    assert (alias.name, alias.asked) == ("edge.example.net", "www.tiktok.com")
    assert short(blocked)[1:3] == ("m.tiktok.com", "2001:db8::12:0")
    assert (blocked.outcome, blocked.blocked_by) == ("blocked", "FilteredBlockList")
    assert blocked.dns is not None
    assert blocked.dns.answers == (("0.0.0.0", 300),)
    assert service.blocked_by == "FilteredBlockedService:tiktok"
    assert (blocked.transport, service.transport) == ("tcp", "tcp")
    assert short(other) == ("dns-query", "www.example.org", "10.0.0.13:0", "AAAA", "")
    assert other.lacks == ("answer",)


@pytest.mark.parametrize(
    ("ip", "client", "lacks"),
    [
        ("10.0.0.0", "-:0", ("client",)),
        ("2001:db8:1::", "-:0", ("client",)),
        ("10.0.1.0", "10.0.1.0:0", ()),
        ("::ffff:10.0.0.12", "10.0.0.12:0", ()),
        ("fe80::1%eth0", "fe80::1:0", ()),
    ],
)
def test_anonymised_clients(ip: str, client: str, lacks: tuple[str, ...]) -> None:
    (entry,) = names("adguard", [record(IP=ip)])
    assert (short(entry)[2], entry.lacks) == (client, lacks)


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ({"IsFiltered": True, "Reason": 4}, "blocked"),
        ({"IsFiltered": True, "Reason": 7}, None),
        ({"IsFiltered": False, "Reason": 3}, None),
        ({"Reason": 9, "CanonName": "x.example"}, None),
        ({"IsFiltered": True, "Reason": "3"}, None),
        (None, None),
        ([], None),
    ],
)
def test_what_filters_decided(result: object, outcome: str | None) -> None:
    (entry,) = names("adguard", [record(Result=result)])
    assert entry.outcome == outcome


@pytest.mark.parametrize("answer", ["", "AAAA", "not base64", "é", 5, "Qz+BgAABAAEAAAAAAm"])
def test_a_damaged_answer_leaves_the_question(answer: object) -> None:
    (entry,) = names("adguard", [record(Answer=answer, QH='a"b\0\n.tiktok.com')])
    assert short(entry)[0:2] == ("dns-query", 'a"b\\000\\010.tiktok.com')
    assert entry.lacks == ("answer",)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (record(T="12/09/1998T15:00:00"), "time-invalid"),
        (record(T=None), "field-missing"),
        (record(QH=6), "field-missing"),
        (record(IP=127001), "client-missing"),
        (record(IP="10.0.0"), "address-invalid"),
        (record(QT="", Answer=None), "query-type-invalid"),
        (b'{"T":', "json-invalid"),
        (b"[]", "json-invalid"),
    ],
)
def test_what_cannot_be_read(line: bytes, reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        read("adguard", [line])
