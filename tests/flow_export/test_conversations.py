import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from netwatch.flow_export import conversations
from netwatch.flow_export.conversations import GOES_ON, WAIT, Conversations, payload
from netwatch.flow_export.records import MOST_COUNTED, FlowRecord

CLIENT, SERVER = bytes([10, 20, 6, 20]), bytes([192, 0, 2, 1])
SECOND = 10**9


def record(**values):
    usual = {
        "first": 100 * SECOND,
        "last": 110 * SECOND,
        "source": CLIENT,
        "destination": SERVER,
        "source_port": 40000,
        "destination_port": 443,
        "protocol": 6,
        "octets": 2000,
        "packets": 10,
    }
    return FlowRecord(**(usual | values))


def answer(**values):
    ports = {"source_port": 443, "destination_port": 40000}
    return record(**({"source": SERVER, "destination": CLIENT, "octets": 90_000} | ports | values))


def other_host(**values):
    return record(**({"source": bytes([10, 20, 6, 21])} | values))


def sides(found):
    return (found.client_ip, found.client_port), (found.server_ip, found.server_port)


def together(*records):
    made = Conversations()
    found = made.add(records)
    return found + list(made.flush())


@pytest.mark.parametrize("sent", [(record(), answer()), (answer(), record())])
def test_two_directions(sent):
    (found,) = together(*sent)
    assert sides(found) == ((CLIENT, 40000), (SERVER, 443))
    assert (found.bytes_out, found.bytes_in) == (2000 - 520 - 8, 90_000 - 520 - 8)
    assert not found.goes_on


def test_times_of_both_directions():
    (found,) = together(record(last=130 * SECOND), answer(first=101 * SECOND))
    assert (found.first, found.last) == (100 * SECOND, 130 * SECOND)


@pytest.mark.parametrize(
    ("sent", "out", "back"), [(record(), 1472, 0), (answer(), 0, 89_472)], ids=["client", "server"]
)
def test_one_direction(sent, out, back):
    (found,) = together(sent)
    assert sides(found) == ((CLIENT, 40000), (SERVER, 443))
    assert (found.bytes_out, found.bytes_in) == (out, back)


def test_biflow():
    (found,) = together(record(is_biflow=True, reverse_octets=90_000, reverse_packets=10))
    assert (found.bytes_out, found.bytes_in) == (1472, 89_472)


def test_initiator_of_a_biflow_is_the_client_whatever_its_port():
    (found,) = together(answer(is_biflow=True, reverse_octets=600, reverse_packets=1))
    assert sides(found)[0] == (SERVER, 443)


@pytest.mark.parametrize(
    ("ports", "times", "client"),
    [
        ((5000, 6000), (100, 101), CLIENT),
        ((5000, 6000), (101, 100), SERVER),
        ((6000, 5000), (100, 100), CLIENT),
        ((80, 40000), (100, 101), SERVER),
    ],
    ids=["first", "second", "higher-port", "well-known-port"],
)
def test_who_is_the_client(ports, times, client):
    of_client = record(source_port=ports[0], destination_port=ports[1], first=times[0] * SECOND)
    of_server = answer(source_port=ports[1], destination_port=ports[0], first=times[1] * SECOND)
    (found,) = together(of_client, of_server)
    assert found.client_ip == client


def test_parts_of_one_conversation_have_one_number():
    later = {"first": 110 * SECOND + GOES_ON, "last": 300 * SECOND}
    first, second = together(record(), answer(), record(**later), answer(**later))
    assert first.number == second.number
    assert (first.goes_on, second.goes_on) == (False, True)


def test_ports_that_are_used_again_are_another_conversation():
    later = {"first": 111 * SECOND + GOES_ON, "last": 300 * SECOND}
    first, second = together(record(), answer(), record(**later), answer(**later))
    assert first.number != second.number
    assert not second.goes_on


def test_parts_of_one_direction_before_any_of_the_other():
    later = {"first": 110 * SECOND, "last": 120 * SECOND}
    found = together(record(), record(**later), answer(), answer(**later))
    assert sum(each.bytes_in for each in found) == 2 * 89_472
    assert sum(each.bytes_out for each in found) == 2 * 1472
    assert len({each.number for each in found}) == 1


def test_a_record_waits_no_longer_than_its_time():
    made = Conversations()
    assert not list(made.add([record()]))
    other = record(source_port=1234, first=109 * SECOND, last=110 * SECOND + WAIT)
    assert not list(made.add([other]))
    (found,) = made.add([record(source_port=1235, last=111 * SECOND + WAIT)])
    assert sides(found)[0] == (CLIENT, 40000)


def test_a_record_that_is_sent_late_waits_as_long_as_any_other():
    made = Conversations()
    late = 30 * WAIT
    assert made.add([other_host(last=late)]) == []
    assert made.add([record()]) == []
    assert made.add([other_host(source_port=40001, last=late + WAIT // 2)]) == []
    (found,) = made.add([answer()])
    assert (found.bytes_out, found.bytes_in) == (1472, 89_472)
    assert made.add([record(source_port=40002)]) == []
    ended = made.add([other_host(source_port=40003, last=late + 2 * WAIT)])
    assert [each.client_port for each in ended] == [40000, 40001, 40002]


def test_waiting_records_have_a_limit(monkeypatch):
    monkeypatch.setattr(conversations, "MAX_WAITING", 2)
    made = Conversations()
    found = made.add([record(source_port=port) for port in range(5000, 5005)])
    assert len(found) == made.evicted == 3
    assert len(list(made.flush())) == 2


def test_a_conversation_is_as_sampled_as_its_coarser_half():
    (found,) = together(record(sampling=10), answer(sampling=100))
    assert found.sampling == 100
    assert [each.sampling for each in together(answer(sampling=7))] == [7]


@pytest.mark.parametrize(
    "lie",
    [
        {"octets": (1 << 64) - 1},
        {"octets": MOST_COUNTED + 1},
        {"packets": 1 << 46},
        {"reverse_octets": 1 << 63, "is_biflow": True},
        {"source_port": 1 << 16},
        {"vlan": 5000},
        {"sampling": 1 << 32},
    ],
)
def test_numbers_that_cannot_be_are_not_known(lie):
    made = Conversations()
    found = [*made.add([record(**lie)]), *made.flush()]
    assert made.take_anomalies() == {"flow-number-impossible": 1}
    assert made.take_anomalies() == {}
    for each in found:
        assert lie.keys() & {"vlan", "sampling"}
        assert each.vlan == -1
        assert each.sampling <= 1 << 24


def test_a_time_to_come_makes_no_other_record_wait_or_go():
    made = Conversations()
    assert not made.add([record()])
    to_come = record(source_port=1, first=2 * 10**18, last=2 * 10**18)
    # The first one has waited long enough, by this clock.
    assert len(made.add([to_come])) == 1
    # By the others, it would wait for decades, and those behind it with it.
    (found,) = made.add([record(source_port=40002)])
    assert found.last == to_come.last
    (found,) = made.add([answer(destination_port=40002)])
    assert sides(found)[0] == (CLIENT, 40002)


def test_other_protocols_are_none():
    assert not together(record(protocol=1), record(protocol=50))


@pytest.mark.parametrize(
    ("protocol", "address", "octets", "packets", "expected"),
    [
        (17, CLIENT, 128, 1, 100),
        (17, bytes(16), 128, 1, 80),
        (6, CLIENT, 60 + 52 + 52, 3, 0),  # SYN, ACK, FIN with timestamps
        (6, CLIENT, 52 + 40 + 40, 3, 0),  # the same without
        (6, CLIENT, 52 + 40 + 557 + 40 * 50, 53, 529),  # hello, then acknowledgements
        (6, CLIENT, 60 + 569 + 52 * 50, 52, 517),
        (6, bytes(16), 80 + 72 + 72, 3, 0),
        (6, CLIENT, 0, 0, 0),
        (6, CLIENT, 1, 1000, 0),
    ],
)
def test_payload(protocol, address, octets, packets, expected):
    assert payload(protocol, address, octets, packets) == pytest.approx(expected, abs=20)


PORTS = st.sampled_from([53, 443, 5000, 6000])
NUMBERS = st.integers(0, MOST_COUNTED)
RECORDS = st.builds(
    lambda first, length, **values: record(first=first, last=first + length, **values),
    first=st.integers(0, 10**12),
    length=st.integers(0, 10**11),
    source=st.sampled_from([CLIENT, SERVER]),
    destination=st.sampled_from([CLIENT, SERVER]),
    source_port=PORTS,
    destination_port=PORTS,
    protocol=st.sampled_from([1, 6, 17]),
    octets=NUMBERS,
    packets=NUMBERS,
    is_biflow=st.booleans(),
)


@examples(500)
@given(st.lists(RECORDS, max_size=20))
def test_each_record_is_in_exactly_one_conversation(records):
    made = Conversations()
    found = made.add(records) + list(made.flush())
    carried = [each for each in records if each.protocol != 1]
    assert len(carried) / 2 <= len(found) <= len(carried)
    assert min((each.first for each in carried), default=0) == min(
        (each.first for each in found), default=0
    )
    for each in found:
        assert each.first <= each.last
        assert each.bytes_out >= 0 <= each.bytes_in
