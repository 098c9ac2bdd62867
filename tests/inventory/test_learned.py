from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.message import AddressClaim, Message, Packet
from netwatch.core.verdict import Binding
from netwatch.inventory import bindings
from netwatch.inventory import learned as claiming
from netwatch.inventory.bindings import CONFLICT_WINDOW
from netwatch.inventory.learned import LearnedBindings

S = 1_000_000_000
GAP = 1800 * S
IP, IP2 = bytes([10, 20, 6, 20]), bytes([10, 20, 6, 21])
IP6 = ip_address("2001:db8:20:6::14").packed
ONE, TWO, ROUTER = b"\2\0\0\0\0\1", b"\2\0\0\0\0\2", b"\2\0\0\0\0\xfe"
MAC1, MAC2 = ONE.hex(":"), TWO.hex(":")
SERVER, OTHER = b"srv1", b"srv2"


def packet(time, src_mac=ONE, dst_mac=b"\xff" * 6, src=bytes(4), vlan=None):
    return Packet("x", 1, time, 9, "udp", src, 68, IP, 67, src_mac, dst_mac, vlan, 0)


def network_of(ip, vlan):
    return f"net-{vlan}" if ip[0] in (10, 0x20) else None


class Wire:
    """Bindings that are learned from single claims."""

    def __init__(self, **options):
        self.learned = LearnedBindings(network_of, GAP, **options)

    def claim(self, claim, time, **fields):
        self.learned.record(packet(time, **fields), Message((), 0, claims=(claim,)))

    def request(self, mac, time, name="", *, ips=(), kept=False, xid=b"x"):
        self.claim(
            AddressClaim(
                "request", ips, mac, hostname=name, transaction_id=mac + xid, renewal=kept
            ),
            time,
        )

    def grant(self, mac, time, lifetime=3600, *, ip=IP, server=SERVER, name="", xid=b"x"):
        claim = AddressClaim(
            "lease",
            (ip,),
            mac,
            hostname=name,
            lifetime=lifetime,
            transaction_id=mac + xid,
            client_id=mac,
            server_id=server,
        )
        self.claim(claim, time)

    def lease(self, mac, time, name="", *, kept=False, **given):
        self.request(mac, time, name, kept=kept)
        self.grant(mac, time, **given)

    def announce(self, mac, time, ip=IP, *, router=False, vlan=None):
        claim = AddressClaim("announcement", (ip,), mac, on_link=True, is_router=router)
        self.claim(claim, time, src_mac=mac, vlan=vlan)

    def contact(self, time, ip=IP, mac=None, vlan=None, *, in_order=True):
        """The binding of a contact, which is marked as reported if it comes in order."""
        binding = self.learned.binding_at(ip, mac, vlan, time, in_order=in_order)
        if in_order and (binding is None or (binding.id is None and binding.ambiguity is None)):
            self.learned.mark_reported(ip, mac, vlan, time)
        return binding


@pytest.fixture
def wire():
    return Wire()


def test_nothing_is_known_at_first(wire):
    assert wire.contact(5) is None
    assert wire.learned.past_binding(IP, None, None, 5) is None
    assert wire.learned.is_same_device(IP, None, None, 1, 2)


def test_a_lease_has_mac_and_name_of_its_request_until_it_ends(wire):
    wire.lease(ONE, 10 * S, "ws-014")
    binding = Binding(MAC1, ONE, "ws-014")
    assert wire.contact(10 * S) == wire.contact(3609 * S) == binding
    assert wire.contact(3610 * S) is None
    assert wire.contact(9 * S) is None


def test_a_name_from_the_server_takes_precedence(wire):
    wire.request(ONE, 10, "me")
    wire.grant(ONE, 10, name="given.corp.example")
    assert wire.contact(10).hostname == "given.corp.example"


def test_an_answer_whose_request_was_not_seen_leases_too(wire):
    wire.grant(ONE, 10)
    assert wire.contact(10) == Binding(MAC1, ONE, None)


def test_a_request_alone_leases_nothing(wire):
    wire.request(ONE, 10, "ws-014", ips=(IP,))
    assert wire.contact(10) is None


def test_a_name_belongs_to_its_transaction(wire):
    wire.request(ONE, 10, "old", xid=b"a")
    wire.grant(ONE, 20, xid=b"b")
    assert wire.contact(20).hostname is None
    late = 20 + claiming.REQUEST_TIMEOUT
    wire.request(TWO, late, "new")
    wire.grant(ONE, late, xid=b"a")
    assert wire.contact(late).hostname is None


def test_a_lease_moves_to_another_device(wire):
    wire.lease(ONE, 10 * S, "alice")
    wire.claim(AddressClaim("release", (IP,), ONE, client_id=ONE), 100 * S)
    assert wire.contact(99 * S).hostname == "alice"
    assert wire.contact(100 * S) is None
    wire.lease(TWO, 200 * S, "bob")
    assert wire.contact(200 * S) == Binding(MAC2, TWO, "bob")
    assert wire.contact(50 * S, in_order=False) == Binding(MAC1, ONE, "alice")


def test_a_server_that_grants_an_address_again_ends_the_earlier_lease(wire):
    wire.lease(ONE, 10 * S, "alice")
    wire.lease(TWO, 200 * S, "bob")
    assert wire.contact(200 * S) == Binding(MAC2, TWO, "bob")


def test_two_servers_that_grant_one_address_leave_it_ambiguous(wire):
    wire.lease(ONE, 10 * S, "alice", lifetime=300)
    wire.lease(TWO, 200 * S, "bob", server=OTHER)
    assert wire.contact(201 * S) == Binding(None, None, None, "address", (ONE, TWO))
    assert wire.contact(310 * S) == Binding(MAC2, TWO, "bob")
    assert wire.learned.shared_addresses == 1


def test_a_refused_client_loses_its_address(wire):
    wire.lease(ONE, 10 * S, "alice")
    wire.request(ONE, 20 * S, ips=(IP,), kept=True, xid=b"n")
    wire.claim(AddressClaim("nak", (), TWO, transaction_id=TWO + b"n"), 21 * S)
    assert wire.contact(21 * S, in_order=False) is not None
    wire.claim(AddressClaim("nak", (), ONE, transaction_id=ONE + b"n"), 22 * S)
    assert wire.contact(22 * S, in_order=False) is None


def test_one_device_has_one_name_at_all_its_addresses(wire):
    wire.lease(ONE, 10, "ws-014")
    wire.announce(ONE, 20, IP6)
    assert wire.contact(30, IP6) == Binding(MAC1, ONE, "ws-014")


def test_two_devices_that_announce_one_address_leave_it_ambiguous(wire):
    wire.announce(ONE, 0)
    wire.announce(TWO, 10 * S)
    assert wire.contact(11 * S) == Binding(None, None, None, "address", (ONE, TWO))
    assert wire.contact(11 * S, mac=TWO).ambiguity == "address"
    assert wire.contact(CONFLICT_WINDOW + S) == Binding(MAC2, TWO, None)


def test_a_frame_from_the_earlier_owner_is_ambiguous(wire):
    wire.lease(ONE, 10 * S, "alice")
    wire.lease(TWO, 200 * S, "bob")
    assert wire.contact(201 * S, mac=ONE).ambiguity == "address"
    assert wire.contact(201 * S, mac=ROUTER) == Binding(MAC2, TWO, "bob")


def test_a_frame_from_another_client_is_ambiguous(wire):
    wire.lease(ONE, 10 * S, "alice")
    wire.lease(TWO, 20 * S, "bob", ip=IP2)
    assert wire.contact(30 * S, mac=TWO) == Binding(MAC1, ONE, "alice", "frame")
    assert wire.contact(30 * S, mac=ROUTER).ambiguity is None
    assert wire.learned.shared_addresses == 1
    wire.announce(TWO, 40 * S, IP2, router=True)
    assert wire.contact(50 * S, mac=TWO).ambiguity is None


def test_two_leases_of_one_mac_with_two_names_are_ambiguous(wire):
    wire.lease(ONE, 10 * S, "alice", lifetime=300)
    wire.lease(ONE, 20 * S, "bob", ip=IP2)
    for ip in (IP, IP2):
        assert wire.contact(30 * S, ip) == Binding(None, ONE, None, "mac")
    assert wire.learned.shared_macs == 2
    assert wire.contact(311 * S, IP2).hostname == "bob"


def test_a_router_answers_for_others(wire):
    wire.announce(ROUTER, 0, bytes([10, 20, 6, 1]), router=True)
    wire.lease(ONE, 10, "ws-014")
    wire.announce(ROUTER, 20)
    assert wire.contact(30) == Binding(MAC1, ONE, "ws-014")
    wire.announce(TWO, 20)
    assert wire.contact(30).ambiguity == "address"


def test_an_address_in_two_networks_is_two_addresses(wire):
    wire.announce(ONE, 0, vlan=1)
    wire.announce(TWO, 1, vlan=2)
    assert wire.contact(5, vlan=1).mac == ONE
    assert wire.contact(5, vlan=2).mac == TWO
    assert wire.contact(5, vlan=3) is None


def test_outside_of_all_networks_nothing_is_learned(wire):
    far = bytes([203, 0, 113, 9])
    wire.lease(ONE, 10, "ws-014", ip=far)
    assert wire.contact(10, far) is None
    assert wire.learned.past_binding(far, ONE, None, 10) is None
    assert len(wire.learned) == len(wire.learned._tables._hosts) == 0


MDNS = AddressClaim("announcement", (IP, IP6), on_link=True, hostname="ws-014")


def test_a_name_counts_where_the_host_itself_announces_it(wire):
    wire.claim(MDNS, 10, src=IP)
    assert wire.contact(11) == wire.contact(11, IP6) == Binding(MAC1, ONE, "ws-014")
    wire.claim(AddressClaim("announcement", (IP2,), on_link=True, hostname="other"), 12, src=IP)
    assert wire.contact(13, IP2) is None
    assert wire.learned.refused == 1


def test_a_claim_without_address_is_about_the_source(wire):
    wire.claim(AddressClaim("announcement", (), ONE, on_link=True), 10, src=IP)
    assert wire.contact(11).mac == ONE


@pytest.mark.parametrize(
    ("claim", "fields"),
    [
        (
            AddressClaim("announcement", (IP,), TWO, on_link=True),
            {},
        ),  # another MAC than its frame's
        (AddressClaim("announcement", (IP,), ONE, on_link=True), {"src_mac": None}),
        (AddressClaim("announcement", (), ONE, on_link=True), {"src": bytes(16)}),  # from nobody
        (AddressClaim("announcement", (bytes(4),), ONE, on_link=True), {}),
        (AddressClaim("announcement", (bytes([127, 0, 0, 1]),), ONE, on_link=True), {}),
        (AddressClaim("announcement", (bytes([224, 0, 0, 1]),), ONE, on_link=True), {}),
        (AddressClaim("announcement", (b"\xff\2" + bytes(14),), ONE, on_link=True), {}),
        (AddressClaim("lease", (IP,), bytes(6), lifetime=60), {}),
        (AddressClaim("lease", (IP,), b"\1" + bytes(5), lifetime=60), {}),
        (AddressClaim("lease", (IP,), None, lifetime=60), {}),
    ],
)
def test_impossible_claims_are_refused_and_counted(wire, claim, fields):
    wire.claim(claim, 10, **fields)
    assert wire.learned.refused == 1
    assert len(wire.learned) == 0


def test_the_mac_is_that_of_the_request_before_the_relay(wire):
    direct = AddressClaim("request", (), TWO, on_link=True, hostname="ws-014", transaction_id=b"t")
    wire.claim(direct, 10, src_mac=ONE)
    wire.claim(
        AddressClaim("request", (), TWO, hostname="ws-014", transaction_id=b"t"), 11, src_mac=ROUTER
    )
    wire.claim(AddressClaim("lease", (IP6,), TWO, lifetime=60, transaction_id=b"t"), 12)
    assert wire.contact(13, IP6) == Binding(MAC1, ONE, "ws-014")


def test_an_answer_to_the_client_itself_has_its_mac(wire):
    wire.claim(AddressClaim("lease", (IP6,), TWO, on_link=True, lifetime=60), 12, dst_mac=ONE)
    assert wire.contact(13, IP6).mac == ONE


# what a device is called while it is learned


def test_contacts_stay_under_the_address_until_the_quiet_gap(wire):
    assert wire.contact(0) is None
    wire.lease(ONE, 10 * S, "ws-014", kept=True)
    known = Binding(None, ONE, "ws-014")
    assert wire.contact(20 * S) == known
    assert wire.contact(20 * S + GAP) == known
    assert wire.contact(21 * S + 2 * GAP, in_order=False) is None  # the lease is over
    wire.lease(ONE, 22 * S + 2 * GAP, "ws-014", kept=True)
    assert wire.contact(23 * S + 2 * GAP) == Binding(MAC1, ONE, "ws-014")


def test_late_lookups_do_not_extend_the_time_under_the_address(wire):
    wire.contact(0)
    wire.lease(ONE, 10 * S, "ws-014", kept=True, lifetime=9999)
    assert wire.contact(GAP, in_order=False) == Binding(None, ONE, "ws-014")
    assert wire.contact(GAP + 1) == Binding(MAC1, ONE, "ws-014")
    assert wire.contact(5 * GAP) == Binding(MAC1, ONE, "ws-014")


@pytest.mark.parametrize(
    ("kept", "frame", "goes_on"),
    [(True, None, True), (True, ROUTER, True), (False, ONE, True), (False, ROUTER, False)],
    ids=["renewed", "renewed-behind-a-router", "same-frame", "new"],
)
def test_only_the_same_device_stays_under_the_address(wire, kept, frame, goes_on):
    wire.contact(0, mac=frame)
    wire.lease(ONE, 10 * S, "ws-014", kept=kept)
    assert (wire.contact(20 * S, mac=frame).id is None) is goes_on


def test_another_computer_in_the_dock_is_another_device(wire):
    wire.contact(0, mac=ONE)
    wire.lease(ONE, 10 * S, "alice")
    assert wire.contact(20 * S, mac=ONE).id is None
    wire.lease(ONE, 30 * S, "bob")
    assert wire.contact(40 * S, mac=ONE) == Binding(f"{MAC1}/bob", ONE, "bob")
    assert wire.contact(25 * S, mac=ONE, in_order=False) == Binding(None, ONE, "alice")


# what is asked when all is over


def test_a_past_binding_counts_from_before_it_was_known(wire):
    wire.lease(ONE, 100 * S, "ws-014", kept=True)
    wire.lease(TWO, 200 * S, "bob", ip=IP2)
    owner = wire.learned.past_binding
    assert owner(IP, ROUTER, None, 50 * S) == Binding(MAC1, ONE, "ws-014")
    assert owner(IP2, ROUTER, None, 50 * S) is None
    assert owner(IP2, TWO, None, 50 * S) == Binding(MAC2, TWO, "bob")
    assert owner(IP, None, None, 9999 * S) is None


def test_between_two_leases_an_address_is_free(wire):
    wire.lease(ONE, 100 * S, "alice", lifetime=50)
    wire.lease(TWO, 200 * S, "bob", kept=True)
    assert wire.learned.past_binding(IP, ROUTER, None, 160 * S) is None
    assert wire.learned.past_binding(IP, ROUTER, None, 120 * S).hostname == "alice"


def test_is_same_device(wire):
    wire.lease(ONE, 100 * S, "alice")
    wire.lease(TWO, 200 * S, "bob")
    same = wire.learned.is_same_device
    assert same(IP, ONE, None, 110 * S, 190 * S)
    assert not same(IP, ONE, None, 110 * S, 210 * S)
    assert not same(IP, TWO, None, 10 * S, 150 * S)
    assert same(IP, ONE, None, 10 * S, 150 * S)
    assert same(IP, ONE, None, 10 * S, 20 * S)


# limits


def number(n):
    return bytes([10, *n.to_bytes(3)]), b"\2\0" + n.to_bytes(4)


def test_tables_are_bounded_and_evictions_are_counted():
    wire = Wire(limit=10)
    for n in range(100):
        ip, mac = number(n)
        wire.announce(mac, n, ip)
        wire.contact(n, bytes([10, 9, 0, n]))
    assert len(wire.learned) == len(wire.learned._tables._hosts) == 10
    assert wire.learned.evicted == 90 + 190
    assert wire.contact(100, number(99)[0]).mac == number(99)[1]


def test_entries_that_are_used_are_not_evicted():
    wire = Wire(limit=10)
    wire.lease(ONE, 0, "ws-014")
    for n in range(100):
        wire.announce(number(n)[1], n, number(n)[0])
        assert wire.contact(n).mac == ONE


def test_requests_are_bounded(monkeypatch):
    monkeypatch.setattr(claiming, "REQUEST_LIMIT", 4)
    wire = Wire()
    for n in range(10):
        wire.request(number(n)[1], n, f"ws-{n}")
    assert (len(wire.learned._recorder.requests), wire.learned.evicted) == (4, 6)
    wire.request(ONE, 10 + claiming.REQUEST_TIMEOUT)
    assert (len(wire.learned._recorder.requests), wire.learned.evicted) == (1, 6)


def test_routers_are_bounded(monkeypatch):
    monkeypatch.setattr(bindings, "ROUTER_LIMIT", 4)
    wire = Wire()
    for n in range(10):
        wire.announce(number(n)[1], n, number(n)[0], router=True)
    assert (len(wire.learned._tables._routers), wire.learned.evicted) == (4, 6)


def test_old_entries_are_removed_unless_they_have_a_lease():
    wire = Wire()
    wire.announce(TWO, 0, IP2)
    wire.lease(ONE, 1, "ws-014", lifetime=30 * 86_400)
    late = bindings.MAX_AGE + 10
    for n in range(4):
        wire.announce(number(n)[1], late + n, number(n)[0])
    assert len(wire.learned) == 5
    assert wire.contact(late + 5).hostname == "ws-014"
    assert wire.learned.evicted == 0


CLAIMS = st.builds(
    AddressClaim,
    st.sampled_from(["request", "lease", "nak", "release", "announcement"]),
    st.lists(st.sampled_from([IP, IP2, IP6, bytes(4), b"\xff" * 16]), max_size=2).map(tuple),
    st.sampled_from([ONE, TWO, ROUTER, None, bytes(6)]),
    on_link=st.booleans(),
    hostname=st.sampled_from(["", "alice", "bob", "alice.corp.example"]),
    lifetime=st.sampled_from([None, 0, 60, 2**32 - 1]),
    transaction_id=st.sampled_from([b"", b"a", b"b"]),
    client_id=st.sampled_from([b"", b"c"]),
    server_id=st.sampled_from([b"", SERVER, OTHER]),
    renewal=st.booleans(),
    is_router=st.booleans(),
)


@given(
    st.lists(
        st.tuples(CLAIMS, st.integers(0, 20_000), st.sampled_from([ONE, TWO, ROUTER, None])),
        max_size=30,
    ),
    st.lists(st.integers(0, 20_000), max_size=5),
)
def test_any_claims_in_any_order_leave_valid_tables(claims, times):
    wire = Wire(limit=2)
    for claim, time, mac in claims:
        wire.claim(claim, time * S, src_mac=mac, src=IP)
        wire.contact(time * S, mac=mac)
    for time in times:
        for ip in (IP, IP2, IP6):
            for binding in (
                wire.contact(time * S, ip),
                wire.learned.past_binding(ip, ONE, None, time * S),
            ):
                if binding is not None and binding.ambiguity is None:
                    assert binding.mac in (ONE, TWO, ROUTER)
    tables = wire.learned._tables
    assert max(len(tables._addresses), len(tables._hosts)) <= 2
