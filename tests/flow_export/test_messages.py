import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers import netflow as scapy_netflow
from support.examples import examples
from support.flow_messages import (
    FLOW,
    SECONDS,
    STARTED,
    flow,
    ipfix,
    netflow5,
    netflow9,
    options_template,
    set_of,
    template,
)

from netwatch.core.errors import ParseError
from netwatch.flow_export import exporters, layouts, messages
from netwatch.flow_export.messages import FlowDecoder

CLIENT, SERVER = bytes([10, 20, 6, 20]), bytes([192, 0, 2, 1])
NOW = SECONDS * 10**9


def read(*sent, decoder=None):
    decoder = decoder or FlowDecoder()
    return [record for each in sent for record in decoder.read(each)], decoder


def one(*sent, **options):
    (record,), decoder = read(*sent, **options)
    assert not decoder.anomalies()
    return record


def test_v5():
    record = one(netflow5({}))
    ends = record.source, record.destination, record.source_port, record.destination_port
    assert (record.first, record.last, *ends, record.protocol, record.octets, record.packets) == (
        NOW - 10 * 10**9,
        NOW - 10**9,
        CLIENT,
        SERVER,
        40000,
        443,
        6,
        1000,
        5,
    )
    assert (record.tcp_flags, record.sampling, record.is_biflow) == (0x1B, 1, False)


def test_v5_sampling_of_the_header():
    # The two upper bits say how packets are chosen.
    assert one(netflow5({}, sampling=0x4000 | 100)).sampling == 100


def test_v9_times_are_of_the_uptime():
    described = ((8, 4), (12, 4), (7, 2), (11, 2), (4, 1), (1, 4), (2, 4), (22, 4), (21, 4))
    times = struct.pack(">IIII", 1000, 5, STARTED - 10_000, STARTED - 1000)
    body = CLIENT + SERVER + struct.pack(">HHB", 40000, 443, 6) + times
    record = one(netflow9(set_of(0, template(256, *described)), set_of(256, body)))
    assert (record.first, record.last) == (NOW - 10 * 10**9, NOW - 10**9)
    assert (record.octets, record.packets) == (1000, 5)


def test_uptime_that_began_again_within_a_flow():
    first = (1 << 32) - 5000
    record = one(netflow5({"first": first, "last": 1000}, uptime=2000))
    assert (record.first, record.last) == (NOW - 7 * 10**9, NOW - 10**9)


@pytest.mark.parametrize(
    ("elements", "values", "first", "last"),
    [
        ((150, 151), (SECONDS - 9, SECONDS - 3), NOW - 9 * 10**9, NOW - 3 * 10**9),
        ((158, 159), (5_000_000, 1000), NOW - 5 * 10**9, NOW - 10**6),
        ((150,), (SECONDS - 9,), NOW - 9 * 10**9, NOW - 9 * 10**9),
        ((), (), NOW, NOW),
    ],
    ids=["seconds", "before-export", "start-only", "none"],
)
def test_clocks(elements, values, first, last):
    described = (*FLOW[:7], *((each, 4) for each in elements))
    body = flow()[:-16] + b"".join(value.to_bytes(4) for value in values)
    record = one(ipfix(set_of(2, template(300, *described)), set_of(300, body)))
    assert (record.first, record.last) == (first, last)


def test_ntp_times():
    described = (*FLOW[:7], (156, 8), (157, 8))
    seconds = SECONDS - 1 + 2_208_988_800
    body = flow()[:-16] + struct.pack(">IIII", seconds, 1 << 31, seconds, 3 << 30)
    record = one(ipfix(set_of(2, template(300, *described)), set_of(300, body)))
    assert (record.first, record.last) == (NOW - 500_000_000, NOW - 250_000_000)


def test_start_of_the_exporter_in_options():
    """softflowd sends times of its uptime in IPFIX, and its start in options."""
    described = (*FLOW[:7], (22, 4), (21, 4))
    started = SECONDS * 1000 - STARTED
    options = set_of(3, options_template(400, ((143, 4),), ((160, 8),)))
    body = flow()[:-16] + struct.pack(">II", STARTED - 5000, STARTED - 1000)
    record = one(
        ipfix(
            set_of(2, template(300, *described)),
            options,
            set_of(400, struct.pack(">IQ", 1, started)),
            set_of(300, body),
        )
    )
    assert (record.first, record.last) == (NOW - 5 * 10**9, NOW - 10**9)


def test_sampler_of_a_record():
    described = (*FLOW, (302, 4))
    options = set_of(3, options_template(400, ((302, 4),), ((305, 4), (306, 4))))
    records, _ = read(
        ipfix(
            set_of(2, template(300, *described)),
            options,
            set_of(400, struct.pack(">III", 7, 1, 99), struct.pack(">III", 8, 1, 9)),
            set_of(300, flow() + (7).to_bytes(4), flow() + (8).to_bytes(4), flow() + bytes(4)),
        )
    )
    # Nobody described the sampler 0: it may be the coarsest.
    assert [record.sampling for record in records] == [100, 10, 100]


def test_biflow():
    described = (*FLOW, (1, 8, 29305), (2, 8, 29305), (6, 2, 29305))
    body = flow() + struct.pack(">QQH", 9000, 12, 0x12)
    record = one(ipfix(set_of(2, template(300, *described)), set_of(300, body)))
    assert record.is_biflow
    assert (record.reverse_octets, record.reverse_packets, record.reverse_tcp_flags) == (
        9000,
        12,
        0x12,
    )


def test_biflow_that_the_destination_opened():
    described = (*FLOW, (1, 8, 29305), (239, 1))
    body = flow() + struct.pack(">QB", 9000, 2)
    record = one(ipfix(set_of(2, template(300, *described)), set_of(300, body)))
    assert (record.source, record.source_port, record.octets) == (SERVER, 443, 9000)
    assert (record.destination, record.reverse_octets) == (CLIENT, 1000)


def test_variable_length_and_other_enterprises():
    described = (FLOW[0], (96, 0xFFFF), *FLOW[1:], (7, 3, 35632), (371, 0xFFFF))
    name, long = b"\x05https", b"\xff" + (300).to_bytes(2) + bytes(300)
    body = flow()[:4] + name + flow()[4:] + b"abc" + long
    records, _ = read(ipfix(set_of(2, template(300, *described)), set_of(300, body, body)))
    assert [record.octets for record in records] == [1000, 1000]


def test_reduced_length():
    described = (*FLOW[:5], (1, 3), (2, 5), *FLOW[7:])
    short = (70_000).to_bytes(3) + (9).to_bytes(5)
    body = flow()[:13] + short + flow()[-16:]
    record = one(ipfix(set_of(2, template(300, *described)), set_of(300, body)))
    assert (record.octets, record.packets) == (70_000, 9)


def test_ipv6():
    described = ((27, 16), (28, 16), *FLOW[2:])
    body = bytes(15) + b"\1" + bytes(15) + b"\2" + flow()[8:]
    record = one(ipfix(set_of(2, template(300, *described)), set_of(300, body)))
    assert (record.source, record.destination) == (bytes(15) + b"\1", bytes(15) + b"\2")


def test_template_of_another_domain_is_none():
    _, decoder = read(ipfix(set_of(2, template(300, *FLOW))))
    assert read(ipfix(set_of(300, flow()), domain=2), decoder=decoder)[0] == []
    assert decoder.anomalies() == {"flow-template-missing": 1}
    assert len(read(ipfix(set_of(300, flow())), decoder=decoder)[0]) == 1


def test_withdrawn_template():
    sent = [
        ipfix(set_of(2, template(300, *FLOW), template(301, *FLOW))),
        ipfix(set_of(2, struct.pack(">HH", 300, 0))),
        ipfix(set_of(300, flow()), set_of(301, flow())),
        ipfix(set_of(2, struct.pack(">HH", 2, 0)), sequence=1),
        ipfix(set_of(301, flow()), sequence=1),
    ]
    records, decoder = read(*sent)
    assert len(records) == 1
    assert decoder.anomalies()["flow-template-missing"] == 2


def test_old_template():
    later = SECONDS + exporters.TEMPLATE_AGE // 10**9 + 1
    sent = ipfix(set_of(2, template(300, *FLOW))), ipfix(set_of(300, flow()), seconds=later)
    records, decoder = read(*sent)
    assert not records
    assert decoder.anomalies() == {"flow-template-old": 1}


def test_a_time_to_come_in_a_file_forgets_no_template():
    sent = [
        ipfix(set_of(2, template(300, *FLOW))),
        ipfix(set_of(300, flow()), seconds=SECONDS + 10**9),
        ipfix(set_of(300, flow()), sequence=0),
    ]
    records, decoder = read(*sent)
    assert len(records) == 1
    assert decoder.anomalies()["flow-template-old"] == 1


def test_templates_have_a_limit(monkeypatch):
    monkeypatch.setattr(exporters, "MAX_TEMPLATES", 4)
    sets = [set_of(2, template(number, *FLOW)) for number in range(300, 306)]
    records, decoder = read(ipfix(*sets, set_of(305, flow()), set_of(300, flow())))
    assert len(records) == 1
    assert decoder.anomalies() == {"flow-templates-full": 2, "flow-template-missing": 1}


def test_domains_have_a_limit(monkeypatch):
    monkeypatch.setattr(messages, "MAX_DOMAINS", 3)
    sent = [ipfix(set_of(300, flow()), domain=each) for each in range(20)]
    records, decoder = read(*sent)
    assert not records
    assert len(decoder.exporters) == 3
    # What those that were forgotten have counted stays.
    assert decoder.anomalies() == {"flow-exporters-full": 17, "flow-template-missing": 20}


@pytest.mark.parametrize(
    ("sequences", "lost", "anomalies"),
    [
        ((0, 2, 4), 0, {}),
        ((0, 2, 9), 5, {"flow-records-lost": 5}),
        ((0, 4, 2, 6), 0, {"flow-message-late": 1}),
        (((1 << 32) - 2, 0, 2), 0, {}),
        ((1 << 31, 2), 0, {"flow-exporter-restarted": 1}),
    ],
    ids=["none", "gap", "overtaken", "around", "restart"],
)
def test_sequence(sequences, lost, anomalies):
    sent = [
        ipfix(set_of(2, template(300, *FLOW)), set_of(300, flow(), flow()), sequence=each)
        for each in sequences
    ]
    _, decoder = read(*sent)
    (exporter,) = decoder.exporters.values()
    assert exporter.lost == lost
    assert decoder.anomalies() == anomalies


def test_sequence_of_an_exporter_that_counts_the_message_itself():
    """softflowd sends the number of the first record behind the message."""
    sent, total = [], 0
    for count in (22, 31, 32, 32):
        total += count
        records = [flow()] * count
        sent.append(ipfix(set_of(2, template(300, *FLOW)), set_of(300, *records), sequence=total))
    _, decoder = read(*sent)
    assert not decoder.anomalies()
    lost = ipfix(set_of(300, flow()), sequence=total + 41)
    _, decoder = read(lost, decoder=decoder)
    assert decoder.anomalies() == {"flow-records-lost": 40}


def test_an_exporter_that_counts_anew_is_not_late_for_ever():
    sets = set_of(2, template(300, *FLOW)), set_of(300, flow(), flow())
    numbers = [0, 2, 5000, *range(0, 60, 2), 70]
    _, decoder = read(*(ipfix(*sets, sequence=each) for each in numbers))
    found = decoder.anomalies()
    assert found["flow-exporter-restarted"] == 1
    assert found["flow-message-late"] == exporters.RESTARTED_MESSAGES - 1
    # Those before the restart, and those behind it.
    assert found["flow-records-lost"] == 4996 + 10


@pytest.mark.parametrize(
    "change",
    [
        {"first": STARTED - 1000, "last": STARTED - 10_000},
        {"first": STARTED + 200_000, "last": STARTED + 300_000},
    ],
    ids=["ends-before-it-begins", "in-the-future"],
)
def test_impossible_times_are_counted(change):
    records, decoder = read(netflow5(change, {}))
    assert len(records) == 1
    assert decoder.anomalies() == {"flow-time-impossible": 1}


@pytest.mark.parametrize(("year", "found"), [(1970, 0), (2017, 1)])
def test_times_of_another_year(year, found):
    began = (year - 1970) * 31_557_600_000
    body = flow(first=began, last=began + 5000)
    records, decoder = read(ipfix(set_of(2, template(300, *FLOW)), set_of(300, body)))
    assert len(records) == found
    assert decoder.anomalies()["flow-time-impossible"] == 1 - found


@pytest.mark.parametrize(
    ("sets", "anomaly"),
    [
        ([set_of(2, template(300, *FLOW)[:-2])], "flow-template-bad"),
        ([set_of(2, template(300, (8, 0)))], "flow-template-bad"),
        ([set_of(2, template(300, *FLOW), template(300, *FLOW[:5]))], "flow-template-changed"),
        ([struct.pack(">HH", 300, 3)], "flow-set-bad"),
        ([struct.pack(">HH", 300, 300)], "flow-set-bad"),
        ([set_of(7, bytes(4))], "flow-set-unknown"),
        ([set_of(2, template(300, (96, 0xFFFF))), set_of(300, b"\x09abc")], "flow-record-cut"),
        ([set_of(2, template(300, (4, 1))), set_of(300, b"\6")], "flow-address-missing"),
        (
            [set_of(2, template(300, (8, 4), (28, 16))), set_of(300, bytes(20))],
            "flow-address-missing",
        ),
    ],
)
def test_bad_sets_are_counted(sets, anomaly):
    records, decoder = read(ipfix(*sets))
    assert not records
    assert decoder.anomalies() == {anomaly: 1}


@pytest.mark.parametrize(
    ("data", "anomaly"),
    [
        (b"", "flow-message-cut"),
        (ipfix()[:-1], "flow-message-cut"),
        (netflow5({})[:-1], "flow-message-cut"),
        (netflow9()[:19], "flow-message-cut"),
        (b"\0\7" + bytes(30), "flow-version"),
        (struct.pack(">HHIII", 10, 15, 0, 0, 0), "flow-message-cut"),
    ],
)
def test_no_message(data, anomaly):
    with pytest.raises(ParseError) as error:
        list(FlowDecoder().read(data))
    assert error.value.anomaly == anomaly


PIECES = st.one_of(
    st.binary(max_size=64),
    st.just(set_of(2, template(300, *FLOW))),
    st.just(set_of(300, flow())),
    st.builds(set_of, st.sampled_from([0, 1, 2, 3, 256, 300]), st.binary(max_size=60)),
)


@examples(500)
@given(st.lists(st.lists(PIECES, max_size=5), max_size=4), st.sampled_from([9, 10]))
def test_any_bytes_give_records_or_anomalies(sent, version):
    make = ipfix if version == 10 else netflow9
    decoder = FlowDecoder()
    for pieces in sent:
        for record in decoder.read(make(*pieces)):
            assert record.first <= record.last <= NOW + layouts.AHEAD
            assert len(record.source) == len(record.destination) in (4, 16)


@examples(500)
@given(st.binary(max_size=200))
def test_garbage(data):
    with suppress(ParseError):
        list(FlowDecoder().read(data))


def test_as_scapy_writes_it():
    head = scapy_netflow.NetflowHeader(version=9) / scapy_netflow.NetflowHeaderV9(
        count=2, sysUptime=STARTED, unixSecs=SECONDS
    )
    described = scapy_netflow.NetflowFlowsetV9(
        templates=[
            scapy_netflow.NetflowTemplateV9(
                templateID=260,
                fieldCount=len(FLOW),
                template_fields=[
                    scapy_netflow.NetflowTemplateFieldV9(fieldType=element, fieldLength=length)
                    for element, length in FLOW
                ],
            )
        ]
    )
    data = scapy_netflow.NetflowDataflowsetV9(
        templateID=260, records=[scapy_netflow.NetflowRecordV9(fieldValue=flow())]
    )
    record = one(bytes(head / described / data))
    assert (record.source, record.destination, record.octets) == (CLIENT, SERVER, 1000)
