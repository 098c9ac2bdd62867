"""Which names a hello with ECH can have, by what its client was given."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from netwatch import config
from netwatch.core.flow import DNS_TTL_GRACE
from netwatch.core.message import DnsInfo, Observation, TlsInfo
from netwatch.core.protocol_numbers import EchConfig
from netwatch.core.verdict import Contact
from netwatch.dissect.flows.address_tables import AddressFilter
from netwatch.engine.replay import Replay, SampledEvent, _Answers
from netwatch.engine.resolved_addresses import (
    ECH_ANSWERS,
    MAX_NAMES,
    EchCandidates,
    ResolvedAddresses,
)

SECOND = 1_000_000_000
GRACE = DNS_TTL_GRACE // SECOND
PUBLIC, APP, BLOG = "front.example", "www.tiktok.com", "blog.example"
HERE, THERE = "203.0.113.10", "203.0.113.20"


def seen(time: int, evidence: str, name: str, client: int, **fields: object) -> Observation:
    values: dict[str, object] = {
        "time": time * SECOND,
        "time_digits": 9,
        "evidence": evidence,
        "name": name,
        "client_ip": bytes([10, 20, 1, client]),
        "client_port": 50000,
        "client_mac": None,
        "server_ip": ip_address("10.20.0.53").packed,
        "server_port": 53,
        "transport": "udp",
        "vlan": None,
        "source": "test",
        "packet": 1,
    }
    return Observation(**(values | fields))  # type: ignore[arg-type]


def answer(
    name: str,
    *addresses: str,
    time: int = 0,
    client: int = 7,
    config_id: int | None = 42,
    public: str = PUBLIC,
    ttl: int = 60,
    targets: Sequence[str] = (),
) -> Observation:
    configs = () if config_id is None else (EchConfig(public, config_id, "00" * 8, ttl).text,)
    dns = DnsInfo(
        "HTTPS",
        "NOERROR",
        tuple((address, ttl) for address in addresses),
        service_targets=tuple(targets),
        ech_configs=configs,
    )
    return seen(time, "dns-answer", name, client, dns=dns)


def hello(
    server: str = HERE,
    *,
    time: int = 1,
    client: int = 7,
    config_id: int = 42,
    public: str = PUBLIC,
    ech: str = "outer",
) -> Observation:
    tls = TlsInfo("1.3", ech=ech, ech_config_id=config_id)
    server_ip = ip_address(server).packed
    return seen(time, "tls-sni", public, client, tls=tls, server_ip=server_ip, server_port=443)


def is_of_interest(name: str) -> bool:
    return name.endswith("tiktok.com")


class Table:
    """The candidates of one capture, with what it remembers of names of no interest."""

    def __init__(self, *answers: Observation, **limits: int) -> None:
        self.resolved = ResolvedAddresses(_Answers(), AddressFilter(1))
        self.candidates = EchCandidates(self.resolved, **limits)
        for each in answers:
            self.add(each)

    def add(self, each: Observation) -> None:
        app = ("tiktok", each.name) if is_of_interest(each.name) else None
        self.resolved.add(each, app)
        self.candidates.add(each, app is not None, is_of_interest)

    def names(self, outer: Observation, *, same: bool = True) -> list[str]:
        """The second connection of a client is looked at: the first may be GREASE."""
        for port in (50_001, 50_002):
            shown = replace(outer, client_port=port)
            found = self.candidates.names_of(shown, lambda answer, time: same)
        return list(found)


def test_a_name_fits_with_its_key_and_address() -> None:
    table = Table(answer(APP, HERE))
    assert table.names(hello()) == [APP]
    for other in (
        hello(THERE),
        hello(config_id=43),
        hello(public="other.example"),
        hello(client=8),
        hello(ech="grease"),
    ):
        assert table.names(other) == []
    assert table.names(hello(), same=False) == []


@pytest.mark.parametrize(("time", "known"), [(-1, 0), (0, 1), (60 + GRACE, 1), (61 + GRACE, 0)])
def test_a_key_is_as_old_as_its_record(time: int, known: bool) -> None:
    assert bool(Table(answer(APP, HERE)).names(hello(time=time))) is bool(known)


def test_addresses_may_come_in_another_answer_and_by_the_host_of_the_service() -> None:
    lookup = answer(APP, HERE, config_id=None)
    assert Table(answer(APP), lookup).names(hello()) == [APP]
    assert Table(lookup, answer(APP)).names(hello()) == [APP]
    host = "edge.tiktok.com"
    assert Table(answer(APP, targets=[host]), answer(host, HERE, config_id=None)).names(
        hello()
    ) == [APP]
    assert Table(answer(APP)).names(hello()) == []


def test_a_host_that_no_rule_matches_leads_to_any_address_of_such_names() -> None:
    other = "edge.cdn.example"
    given = answer(APP, targets=[other])
    assert Table(given, answer(other, HERE, config_id=None)).names(hello()) == [APP]
    assert Table(given, answer(other, THERE, config_id=None)).names(hello()) == []
    assert Table(given, answer(BLOG, HERE, config_id=None)).names(hello()) == []
    assert Table(answer(APP), answer(BLOG, HERE, config_id=None)).names(hello()) == []


def test_the_outer_name_is_a_candidate_where_the_client_looked_it_up() -> None:
    visited = answer(PUBLIC, THERE, config_id=None)
    assert Table(answer(APP, HERE), visited).names(hello()) == sorted([APP, PUBLIC])
    assert Table(visited).names(hello(THERE)) == []
    known = "cloudflare-ech.com"
    table = Table(answer(APP, HERE, public=known), answer(known, HERE, config_id=None))
    assert table.names(hello(public=known)) == [APP]


def test_grease_matches_by_chance_in_one_connection_of_256() -> None:
    """The lookup of the public name was not seen, as if it was before the capture. Each connection
    with GREASE has another config_id; with ECH all have the same."""
    table = Table(answer(APP, HERE))

    def names(port: int, config_id: int, time: int = 1) -> list[str]:
        shown = replace(hello(config_id=config_id, time=time), client_port=port)
        return list(table.candidates.names_of(shown, lambda answer, time: True))

    found = [names(50_000 + each, each) for each in range(256)]
    assert [each for each in found if each] == [sorted([APP, PUBLIC])]
    # The same connection once more says nothing new; another one does.
    assert names(50_042, 42) == sorted([APP, PUBLIC])
    assert names(50_300, 42) == [APP]
    # What was shown before the client was given the key anew is too old.
    table.add(answer(APP, HERE, time=10 * GRACE))
    assert names(50_301, 42, 10 * GRACE + 1) == sorted([APP, PUBLIC])


def test_of_too_many_names_none_is_a_candidate() -> None:
    names = [f"www{number:03}.tiktok.com" for number in range(MAX_NAMES + 1)]
    table = Table(*(answer(name, HERE) for name in names[:-1]))
    assert table.names(hello()) == names[:-1]
    table.add(answer(names[-1], HERE))
    assert table.names(hello()) == []
    assert table.candidates.crowded == 2


def test_tables_are_bounded_and_count() -> None:
    table = Table(limit=2)
    for client in (1, 2, 3):
        table.add(answer(APP, HERE, client=client))
    assert [bool(table.names(hello(client=each))) for each in (1, 2, 3)] == [False, True, True]
    assert (len(table.candidates), table.candidates.evicted) == (2, 2)
    table = Table(answer(APP, THERE), *[answer(APP, HERE)] * (ECH_ANSWERS - 1))
    assert table.names(hello(THERE)) == [APP]
    table.add(answer(APP, HERE))
    assert table.names(hello(THERE)) == []
    assert table.names(hello()) == [APP]


@dataclass(frozen=True)
class Said:
    """What one answer said."""

    name: str
    address: str
    time: int
    client: int
    config_id: int
    public: str


SAID = st.builds(
    Said,
    name=st.sampled_from([APP, "m.tiktok.com", BLOG, PUBLIC]),
    address=st.sampled_from([HERE, THERE]),
    time=st.integers(0, 3).map(lambda step: step * 200),
    client=st.integers(1, 2),
    config_id=st.sampled_from([0, 255]),
    public=st.sampled_from([PUBLIC, "other.example"]),
)


@examples(200)
@given(st.lists(SAID, max_size=8), SAID)
def test_no_name_is_linked_that_the_client_was_not_given(said: list[Said], outer: Said) -> None:
    """All are linked that it was given with this key and this address, and others only if it was
    given this key for them."""
    said.sort(key=lambda each: each.time)
    table = Table()
    for each in said:
        table.add(
            answer(
                each.name,
                each.address,
                time=each.time,
                client=each.client,
                config_id=each.config_id,
                public=each.public,
            )
        )
    shown = hello(
        outer.address,
        time=outer.time + 100,
        client=outer.client,
        config_id=outer.config_id,
        public=outer.public,
    )
    found = set(table.names(shown))
    mine = [
        each
        for each in said
        if (each.client, each.config_id, each.public)
        == (outer.client, outer.config_id, outer.public)
        and each.time <= outer.time + 100
    ]
    fresh = {
        each.name
        for each in mine
        if each.address == outer.address and outer.time + 100 <= each.time + 60 + GRACE
    }
    assert fresh <= found
    assert found <= {each.name for each in mine} | {outer.public}


class Contacts:
    """Takes contacts."""

    def __init__(self) -> None:
        self.found: list[Contact] = []

    def add(self, contact: Contact) -> None:
        self.found.append(contact)

    def add_sender(self, contact: Contact) -> None:
        pass

    def add_progress(self, *_: object) -> None:
        pass


CONFIG = """version: 1
networks: [{name: hq, cidrs: [10.20.0.0/16], class: service}]
bans: [{id: our-rule, authority: City, apps: [tiktok], forbids: [service], timezone: UTC}]
"""


@pytest.mark.parametrize(
    ("visited", "sampling", "confidence", "counted"),
    [
        # The first one may be GREASE, too, if the lookup of that name was not seen.
        (False, 1, ["possible", "probable"], 0),
        # It may be GREASE, to the very name that it shows.
        (True, 1, [], 2),
        # Other answers may have passed between the samples.
        (False, 64, [], 0),
    ],
)
def test_a_hello_is_a_contact_if_it_hides_one_of_names_that_are_all_known(
    tmp_path: Path, visited: bool, sampling: int, confidence: list[str], counted: int
) -> None:
    path = tmp_path / "netwatch.yaml"
    path.write_text(CONFIG)
    contacts = Contacts()
    replay = Replay(config.load(str(path)), contacts, Counter())
    events = [answer(APP, HERE), hello(), replace(hello(time=2), client_port=50_002)]
    if visited:
        events.insert(0, answer(PUBLIC, HERE, config_id=None))
    replay.add([SampledEvent(each, sampling) if sampling > 1 else each for each in events])
    found = [each for each in contacts.found if each.observation.evidence == "ech-from-dns"]
    assert [each.confidence for each in found] == confidence
    assert replay.anomalies()["ech-maybe-grease"] == counted
