"""Records are read alike, compiled and interpreted, whatever a template says of them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.flow_messages import FLOW, SECONDS, flow, ipfix, netflow5, netflow9, set_of, template
from support.interpreted import all_interpreted

from netwatch.flow_export import conversations, exporters, messages
from netwatch.flow_export.elements import REVERSE
from netwatch.flow_export.records import MOST_COUNTED, FlowRecord

MODULES = all_interpreted("netwatch.flow_export.messages", "netwatch.flow_export.conversations")
FORMS = [
    (messages, conversations),
    (MODULES[messages.__name__], MODULES[conversations.__name__]),
]
RECORD = list(vars(FORMS[1][0].FlowRecord(0, 0, b"", b"", 0, 0, 0, 0, 0)))
CONVERSATION = list(vars(FORMS[1][1].Conversation()))

ELEMENTS = (1, 2, 4, 6, 7, 8, 11, 12, 21, 22, 27, 28, 34, 48, 56, 58, 85, 150, 151, 152, 153, 156,
            157, 158, 159, 160, 161, 231, 232, 239, 305, 306, 96)  # fmt: skip
LENGTHS = st.sampled_from([1, 2, 3, 4, 4, 4, 6, 8, 8, 16, 0xFFFF])
FIELDS = st.tuples(st.sampled_from(ELEMENTS), LENGTHS).flatmap(
    lambda pair: st.sampled_from([pair, (*pair, REVERSE)])
)
TEMPLATES = st.one_of(
    st.just(FLOW), st.lists(FIELDS, min_size=1, max_size=9).map(lambda more: (*FLOW, *more)),
    st.lists(FIELDS, min_size=1, max_size=9),
)  # fmt: skip
BODIES = st.one_of(
    st.binary(max_size=400),
    st.lists(st.binary(max_size=40).map(lambda more: flow() + more), max_size=4).map(b"".join),
)


def told(modules, sent):
    """What the messages give: records, conversations, and what was wrong."""
    decoder, put_together = modules[0].FlowDecoder(), modules[1].Conversations()
    records = [record for each in sent for record in decoder.read(each)]
    before = [tuple(getattr(each, name) for name in RECORD) for each in records]
    found = put_together.add(records) + put_together.flush()
    after = [tuple(getattr(each, name) for name in CONVERSATION) for each in found]
    return before, after, decoder.anomalies(), put_together.take_anomalies()


@examples(300)
@given(TEMPLATES, st.lists(BODIES, max_size=3), st.sampled_from([9, 10]))
def test_any_template(described, bodies, version):
    make = ipfix if version == 10 else netflow9
    sent = [make(set_of(2 if version == 10 else 0, template(300, *described)))]
    sent += [make(set_of(300, body)) for body in bodies]
    assert told(FORMS[0], sent) == told(FORMS[1], sent)


@examples(100)
@given(st.lists(st.binary(min_size=48, max_size=48), max_size=4), st.integers(0, 2**32 - 1))
def test_any_records_of_version_5(bodies, uptime):
    sent = netflow5(uptime=uptime, seconds=SECONDS)
    sent = sent[:2] + len(bodies).to_bytes(2) + sent[4:] + b"".join(bodies)
    assert told(FORMS[0], [sent]) == told(FORMS[1], [sent])


MOST = {4: 2**32 - 1, 8: 2**64 - 1}
DESCRIBED = ipfix(set_of(2, template(300, *FLOW)))


def as_told(*sent):
    decoder, put_together = messages.FlowDecoder(), conversations.Conversations()
    found = [each for one in sent for each in put_together.add(decoder.read(one))]
    found += put_together.flush()
    return found, decoder.anomalies() + put_together.take_anomalies()


@pytest.mark.parametrize("field", ["octets", "packets"])
@pytest.mark.parametrize("count", [MOST_COUNTED + 1, 1 << 63, (1 << 64) - 1])
def test_counters_that_cannot_be(field, count):
    found, anomalies = as_told(DESCRIBED, ipfix(set_of(300, flow(**{field: count}), flow())))
    assert anomalies == {"flow-number-impossible": 1}
    assert [each.bytes_out for each in found] == [1000 - 5 * 52 - 8]


@pytest.mark.parametrize(
    "described", [((7, 8), (11, 2)), ((7, 2), (11, 8))], ids=["source", "destination"]
)
def test_ports_that_cannot_be(described):
    fields = (*FLOW[:2], *described, *FLOW[4:])
    ports = b"".join((2 ** (8 * length) - 1).to_bytes(length) for _, length in described)
    body = flow()[:8] + ports + flow()[12:]
    found, anomalies = as_told(ipfix(set_of(2, template(300, *fields)), set_of(300, body)))
    assert not found
    assert anomalies == {"flow-number-impossible": 1}


def test_a_vlan_that_cannot_be_is_none():
    described, bodies = (*FLOW, (58, 2)), [flow() + vlan for vlan in (b"\xff\xff", b"\0\x14")]
    sent = ipfix(set_of(2, template(300, *described)), set_of(300, *bodies))
    found, anomalies = as_told(sent)
    assert anomalies == {"flow-number-impossible": 1}
    assert [each.vlan for each in found] == [-1, 20]


@pytest.mark.parametrize("unit", [150, 152, 154, 156, 158, 22, 161])
@pytest.mark.parametrize("year", [1970, 1999, 2100, 2554, None])
def test_times_that_cannot_be(unit, year):
    """Of every clock, up to the greatest number that there is."""
    size = 4 if unit in (150, 158, 22) else 8
    value = MOST[size] if year is None else (year - 1970) * 31_557_600 * 1000
    body = flow()[:-16] + min(value, MOST[size]).to_bytes(size) * 2
    described = (*FLOW[:7], (unit, size), (unit + 1 if unit not in (22, 161) else 96, size))
    sent = ipfix(set_of(2, template(300, *described)), set_of(300, body))
    found, anomalies = as_told(sent)
    assert len(found) + anomalies["flow-time-impossible"] == 1
    for each in found:
        assert 946_684_800 * 10**9 <= each.first <= each.last <= (SECONDS + 60) * 10**9


def test_numbers_of_more_than_64_bits():
    described = (*FLOW[:5], (1, 0xFFFF), *FLOW[6:])
    for counter, expected in ((b"\1" + bytes(12), 1 << 62), (bytes(9) + b"\x03\xe8", 1000)):
        body = flow()[:13] + bytes([len(counter)]) + counter + flow()[21:]
        sent = ipfix(set_of(2, template(300, *described)), set_of(300, body))
        (record,) = messages.FlowDecoder().read(sent)
        assert record.octets == expected


def test_a_template_that_is_another_one_in_each_message():
    sent = []
    for at in range(50):
        described = FLOW if at % 2 else (FLOW[1], FLOW[0], FLOW[3], FLOW[2], *FLOW[4:])
        sent.append(ipfix(set_of(2, template(300, *described)), set_of(300, flow()), sequence=at))
    found, anomalies = as_told(*sent)
    # Those of the first are read.
    changed = {"flow-template-changed": 49, "flow-template-unsteady": 49}
    assert anomalies == changed | {"flow-records-lost": 48}
    assert len(found) == 1


def test_a_template_that_changed_is_read_once_it_was_sent_again():
    decoder = messages.FlowDecoder()
    described = ipfix(set_of(2, template(300, *FLOW)))
    decoder.read(ipfix(set_of(2, template(300, *FLOW[:5]))))
    decoder.read(described)
    assert not decoder.read(ipfix(set_of(300, flow())))
    assert decoder.unread == 1
    decoder.read(described)
    assert len(decoder.read(ipfix(set_of(300, flow())))) == 1


def test_a_template_that_is_withdrawn_before_each_change():
    decoder = messages.FlowDecoder()
    withdrawn = struct.pack(">HH", 300, 0)
    found = [
        len(decoder.read(ipfix(set_of(2, withdrawn, template(300, *described)), set_of(300, body))))
        for described, body in ((FLOW[:5], b""), (FLOW, flow()), (FLOW[:5], b""), (FLOW, flow()))
    ]
    assert found == [0, 1, 0, 0]


def test_a_template_that_keeps_still_again_is_read():
    decoder = messages.FlowDecoder()
    other = (FLOW[1], FLOW[0], *FLOW[2:])
    for described in (FLOW, other, FLOW, other):
        decoder.read(ipfix(set_of(2, template(300, *described))))
    assert not decoder.read(ipfix(set_of(300, flow())))
    later = SECONDS + exporters.TEMPLATE_AGE // 10**9 + 1
    for _ in range(2):
        decoder.read(ipfix(set_of(2, template(300, *FLOW)), seconds=later))
    assert len(decoder.read(ipfix(set_of(300, flow()), seconds=later))) == 1
    assert decoder.anomalies()["flow-template-unsteady"] == 1


def test_many_clients_take_no_more_than_the_limit(monkeypatch):
    monkeypatch.setattr(conversations, "MAX_WAITING", 100)
    monkeypatch.setattr(conversations, "MAX_KNOWN", 100)
    made = conversations.Conversations()

    def record(number, first):
        return FlowRecord(first, first, number.to_bytes(4), b"\xc0\0\2\1", 40000, 443, 6, 9000, 9)

    found = made.add([record(number, 10**9) for number in range(5000)])
    assert len(found) == made.evicted == 4900
    assert len(made.flush()) == 100
    assert made.take_anomalies() == {"flow-records-full": 4900}
    # Of those that it has forgotten, a later record is of another conversation.
    found = made.add([record(number, 2 * 10**9) for number in (0, 4999)]) + made.flush()
    assert [each.goes_on for each in found] == [False, True]


def test_a_flood_of_templates_takes_only_its_own_room():
    decoder = messages.FlowDecoder()
    decoder.read(DESCRIBED)
    for at in range(40):
        described = [template(256 + 100 * at + each, *FLOW) for each in range(100)]
        decoder.read(ipfix(set_of(2, *described), domain=2))
    assert len(decoder.read(ipfix(set_of(300, flow())))) == 1
    assert decoder.exporters[10, 2].counts == {"flow-templates-full": 4000 - 512}
    assert not decoder.exporters[10, 1].anomalies()


def test_a_record_of_a_template_that_says_nothing():
    records = messages.FlowDecoder().read(
        ipfix(set_of(2, template(300, (8, 4), (12, 4))), set_of(300, bytes(8), bytes(3)))
    )
    assert [(each.protocol, each.octets, each.vlan) for each in records] == [(0, 0, -1)]
