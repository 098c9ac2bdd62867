"""Flow records in files: all of the same traffic, by the tools that write them."""

import json
import re
import shutil
from contextlib import suppress
from datetime import UTC
from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples
from support.log_records import SAMPLES, read
from support.logs import check_entry, items_of, sample_files

from netwatch.core.addresses import ip_text
from netwatch.core.errors import RecordError
from netwatch.core.statistics import RunStatistics
from netwatch.flow_export import conversations
from netwatch.flow_export.known_exporters import Exporters, KnownExporter
from netwatch.logs.fields import maybe_object
from netwatch.logs.flow_logs import FLOW_LOGS
from netwatch.logs.records import PLAIN, LogFlows, LogLoss, ReaderContext
from netwatch.logs.registry import LOG_FORMATS
from netwatch.logs.times import LocalTimes

BEGIN = 1795946400 * 10**9
CLIENT, SERVER = "10.20.6.20:40100", "192.0.2.81:443"


def short(flow):
    """Where a flow goes, and how much payload it has."""
    ends = [f"{ip_text(end.ip)}:{end.port}" for end in (flow.client, flow.server)]
    return flow.transport, *ends, flow.bytes_out, flow.bytes_in


def entries_of(items):
    """What items say, each flow by itself."""
    for item in items:
        yield from item.entry.flows() if isinstance(item.entry, LogFlows) else [item.entry]


ALL = [
    ("tcp", CLIENT, SERVER, 517, 41608),
    ("tcp", "10.20.6.21:40200", "198.51.100.7:443", 532, 13848),
    ("tcp", "2001:db8:20::14:40300", "2001:db8:99::7:443", 449, 27728),
    ("udp", "10.20.6.20:50000", SERVER, 3600, 3600),
]
"""The traffic. How many bytes of TCP are payload is an estimate."""


@pytest.mark.parametrize(
    "sample",
    [
        "ipfix/router.ipfix",
        pytest.param(
            "nfcapd/router.nfcapd",
            marks=pytest.mark.skipif(not shutil.which("nfdump"), reason="needs nfdump"),
        ),
        "nfdump/flows.csv",
        "nfdump/flows.ndjson",
        "nfdump-json/flows.json",
        "pmacct/flows.csv",
        "pmacct/flows.json",
    ],
)
def test_flows_of_exporters(sample):
    statistics = RunStatistics()
    found = items_of(SAMPLES / sample, sample.partition("/")[0], statistics=statistics)
    flows = sorted(entries_of(found), key=lambda each: each.first)
    assert not statistics.unread_records
    for flow, expected in zip(flows, ALL, strict=True):
        assert short(flow)[:3] == expected[:3]
        assert flow.bytes_out == pytest.approx(expected[3], abs=120)
        assert flow.bytes_in == pytest.approx(expected[4], rel=0.02)
    assert [flow.first - BEGIN for flow in flows] == [0, 5 * 10**9, 7 * 10**9, 10 * 10**9]
    assert flows[0].last - BEGIN == 1_020_000_000


@pytest.mark.parametrize(
    ("sample", "flows", "lasted"),
    [
        (
            "aws-vpc/default.log",
            [ALL[0], ("tcp", "10.20.6.21:40200", "198.51.100.7:443", 0, 0)],
            59,
        ),
        ("aws-vpc/translated.log", ALL[:1], 59),
        ("azure-flows/network.json", ALL[:1], 0),
        ("azure-flows/group.json", ALL[:2], 0),
        ("google-vpc/flows.json", ALL[:1], 1.02),
    ],
)
def test_flows_of_clouds(sample, flows, lasted):
    statistics = RunStatistics()
    found = items_of(SAMPLES / sample, sample.partition("/")[0], statistics=statistics)
    assert not statistics.unread_records
    entries = sorted((item.entry for item in found), key=lambda each: each.first)
    for flow, expected in zip(entries, flows, strict=True):
        assert short(flow)[:3] == expected[:3]
        assert flow.bytes_out == pytest.approx(expected[3], abs=120)
        assert flow.bytes_in == pytest.approx(expected[4], rel=0.02)
    assert entries[0].last - entries[0].first == round(lasted * 10**9)


def entries(name, *lines):
    return read(LOG_FORMATS[name], lines, PLAIN)


AWS = b"2 123456789010 eni-12345678 10.20.6.20 192.0.2.81 40100 443 6 5 717 1795946400 1795946459"


ROUTER = KnownExporter()
ROUTER.address, ROUTER.sampling, ROUTER.clock = ip_network("10.0.0.1"), 64, 3600 * 10**9
NFDUMP_HEADER = b"firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,routerIP"
NFDUMP_JSON = (
    b'{"type":"FLOW","first":"2026-11-29T11:00:00.000","last":"2026-11-29T11:00:01.000",'
    b'"in_packets":5,"in_bytes":717,"proto":6,"src4_addr":"10.20.6.20","src_port":40100,'
    b'"dst4_addr":"192.0.2.81","dst_port":443,"ip4_router":"%s"}'
)
PMACCT_JSON = (
    b'{"ip_src":"10.20.6.20","ip_dst":"192.0.2.81","port_src":40100,"port_dst":443,"packets":5,'
    b'"bytes":717,"ip_proto":"tcp","timestamp_start":"2026-11-29 11:00:00","peer_ip_src":"%s",'
    b'"sampling_rate":8}'
)
PMACCT_HEADER = (
    b"PEER_SRC_IP,SRC_IP,DST_IP,SRC_PORT,DST_PORT,PROTOCOL,TIMESTAMP_START,PACKETS,BYTES"
)


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("nfdump", (NFDUMP_JSON,), 1),
        ("nfdump", (NFDUMP_JSON.replace(b"ip4_router", b"ip6_router"),), 1),
        (
            "nfdump",
            (
                NFDUMP_HEADER,
                b"2026-11-29 11:00:00.000,1.000,6,10.20.6.20,40100,192.0.2.81,443,5,717,%s",
            ),
            1,
        ),
        ("pmacct", (PMACCT_JSON,), 8),
        (
            "pmacct",
            (
                PMACCT_HEADER,
                b"%s,10.20.6.20,192.0.2.81,40100,443,tcp,2026-11-29 11:00:00.000000,5,717",
            ),
            1,
        ),
    ],
)
def test_what_the_configuration_has_about_the_exporter_counts(name, lines, said):
    """Its clock is an hour ahead. Of another one the record's own words count."""
    for sender, first, sampling in (
        (b"10.0.0.1", BEGIN, 64),
        (b"10.0.0.2", BEGIN + 3600 * 10**9, said),
        (b"", BEGIN + 3600 * 10**9, said),
    ):
        context = ReaderContext(LocalTimes(UTC), exporters=Exporters([ROUTER]))
        reader = FLOW_LOGS[name].reader(context)
        found = [each for line in lines for each in reader.read(line.replace(b"%s", sender), PLAIN)]
        (flow,) = [*found, *reader.flush()]
        assert (flow.first, flow.sampling) == (first, sampling)
        assert reader.anomalies["flow-sampled"] == (sampling > 1)


@pytest.mark.parametrize(
    ("name", "line", "reason"),
    [
        ("aws-vpc", AWS, "fields-missing"),
        ("aws-vpc", AWS.replace(b"192.0.2.81", b"192.0.2.x") + b" ACCEPT OK", "address-invalid"),
        ("aws-vpc", AWS.replace(b"1795946459", b"1") + b" ACCEPT OK", "time-invalid"),
        ("aws-vpc", b"2 1 eni-1 - - - - - - - 1795946460 1795946519 - SKIPDATA", "records-skipped"),
        ("nfdump", b"2026-11-29 10:00:00.000,1.020,6,10.20.6.20", "fields-missing"),
        ("nfdump", b'{"type":"FLOW","first":"2026","last":"2026","in_packets":1}', "time-invalid"),
        ("pmacct", b'{"ip_src":"10.0.0.1","ip_dst":"10.0.0.2","bytes":1}', "time-missing"),
        ("google-vpc", b'{"jsonPayload":{"connection":{},"bytes_sent":"1"}}', "time-invalid"),
    ],
)
def test_what_cannot_be_read_is_counted(name, line, reason):
    with pytest.raises(RecordError) as error:
        entries(name, line)
    assert str(error.value) == reason


@pytest.mark.parametrize(
    "document",
    [
        b'{"records":[%s,\n%s]}',
        b'{"records":[\n%s,\n%s\n]}',
        b'{"records":[%s\n,%s]}',
        b'{"records":[\n%s\n,\n%s]}\n',
    ],
)
def test_document_of_azure_in_lines(document):
    tuples = b'["1795946401,10.20.6.%d,192.0.2.81,40100,443,T,O,A,E,5,717,32,43280"]'
    record = (
        b'{"category":"NetworkSecurityGroupFlowEvent","properties":{"flows":[{"flows":'
        b'[{"flowTuples":%s}]}]}}'
    )
    written = document % (record % (tuples % 20), record % (tuples % 21))
    found = entries("azure-flows", *written.split(b"\n"))
    assert [ip_text(each.client.ip) for each in found] == ["10.20.6.20", "10.20.6.21"]


def test_a_flow_of_azure_that_cannot_be_read_is_left_out():
    good = '"1795946401,10.20.6.20,192.0.2.81,40100,443,T,O,A,E,5,717,32,43280"'
    bad = [
        '"1,2"',
        "7",
        f'"{10**17}{good[11:]}',
        '"1795946401,here,192.0.2.81,40100,443,T,O,A,E,5,717,32,43280"',
    ]
    tuples = ",".join([good, *bad, good.replace("40100", "40101")]).encode()
    record = (
        b'{"category":"NetworkSecurityGroupFlowEvent","properties":{"flows":[{"flows":'
        b'[{"flowTuples":[%s]}]}]}}' % tuples
    )
    reader = LOG_FORMATS["azure-flows"].reader(ReaderContext(LocalTimes()))
    found = [*reader.read(record, PLAIN), *reader.flush()]
    assert [each.client.port for each in found] == [40100, 40101]
    assert reader.anomalies == {"flow-of-record-bad": 4}


def test_an_interval_that_amazon_left_out_is_lost(tmp_path):
    lines = AWS + b" ACCEPT OK\n2 1 eni-1 - - - - - - - 1795946460 1795946519 - SKIPDATA\n"
    (tmp_path / "aws.log").write_bytes(lines * 30)
    statistics = RunStatistics()
    found = [
        item.entry for item in items_of(tmp_path / "aws.log", "aws-vpc", statistics=statistics)
    ]
    losses = {each for each in found if isinstance(each, LogLoss)}
    assert losses == {LogLoss(BEGIN + 119 * 10**9, BEGIN + 60 * 10**9, BEGIN + 119 * 10**9, 0)}
    assert statistics.unread_records[str(tmp_path / "aws.log"), "records-skipped"] == 30


def test_records_that_did_not_find_the_other_direction_are_counted(monkeypatch):
    monkeypatch.setattr(conversations, "MAX_WAITING", 0)
    reader = LOG_FORMATS["aws-vpc"].reader(ReaderContext(LocalTimes()))
    assert len(list(reader.read(AWS + b" ACCEPT OK", PLAIN))) == 1
    assert reader.anomalies == {"flow-records-full": 1}


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.sampled_from(
        ["", "-", "1e999", "9" * 18, "9" * 40, "10.0.0.1", "::", "2100-01-01T00:00:00Z"]
    ),
    st.text(max_size=9),
    st.lists(st.integers(), max_size=2),
    st.just({}),
)


def _leaves(value, path=()):
    """The paths of all values in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from _leaves(value[key], (*path, key))


def _replaced(value, path, new):
    if not path:
        return new
    made = value.copy()
    made[path[0]] = _replaced(value[path[0]], path[1:], new)
    return made


@pytest.mark.parametrize("name", FLOW_LOGS)
@examples(300)
@given(data=st.data())
def test_a_field_that_is_anything(name, data):
    lines = [line for path in sample_files(name) for line in path.read_bytes().splitlines()]
    line = data.draw(st.sampled_from(lines))
    new = data.draw(VALUES)
    record = maybe_object(line)
    if record is not None:
        path = data.draw(st.sampled_from(list(_leaves(record))))
        line = json.dumps(_replaced(record, path, new)).encode()
    else:
        fields = re.split(rb"([ ,])", line)
        at = data.draw(st.integers(0, len(fields) // 2)) * 2
        fields[at] = str(new).encode("utf-8", "surrogatepass")
        line = b"".join(fields)
    reader = LOG_FORMATS[name].reader(ReaderContext(LocalTimes()))
    for each in (*lines[:1], line):
        with suppress(RecordError):
            for entry in reader.read(each, PLAIN):
                check_entry(entry)
    for entry in reader.flush():
        check_entry(entry)
