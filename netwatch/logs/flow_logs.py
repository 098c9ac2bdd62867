"""Flow records that are no packets of an exporter: lines of nfdump and pmacct, and the flow logs of
clouds, each a row of `FLOW_LOGS`.

A row says how the lines look and what makes of one its flow records; the reader puts the two
directions together (`netwatch.flow_export.conversations`). The lines of the two collectors have
what "nfdump(1)" and "pmacct's CONFIG-KEYS" call ``csv``, ``ndjson`` and ``json``; those of the
clouds are described in "Flow log records" (Amazon VPC), "Virtual network flow logs" and "NSG flow
logs" (Azure), and "VPC Flow Logs record format" (Google Cloud).
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC

import orjson

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.errors import RecordError
from netwatch.flow_export.conversations import Conversation, Conversations
from netwatch.flow_export.records import MOST_COUNTED, UNTAGGED, FlowRecord, Known, corrected
from netwatch.logs.fields import columns, csv_row, json_object, number, port, text
from netwatch.logs.json_lists import NO_FLOWS
from netwatch.logs.records import (
    Carried,
    LogEntry,
    LogLoss,
    ReaderContext,
    RecordReader,
    Sample,
    log_flow,
)
from netwatch.logs.times import LAST, SECOND, LocalTimes, epoch, rfc3339

Values = Mapping[str, object]
"""The fields of a record by their names."""

MAX_TUPLES = 4096
"""Flows of one record of Azure that are read."""

_OF_UTC = LocalTimes(UTC)
_NOTHING = Known()
_PROTOCOLS = {"tcp": 6, "udp": 17, "t": 6, "u": 17}
_FLAGS = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16, "U": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowLog:
    """A row of the table. `lines` reads a line, given the header that an earlier one was, which it
    may replace, and gives nothing for one that is no record; `flows` makes flow records of its
    fields, or says with a `RecordError` that one of several cannot be read, and with a `LogLoss`
    that the log has left some out. Lines are of this log if one of `looks` is in them, JSON objects
    if `is_object` says so. Those with a text in `always` are headers. One of the fields `exporter`
    has the address of who exported a flow."""

    title: str
    flows: Callable[[Values, LocalTimes], Iterable[FlowRecord | LogLoss | RecordError]]
    lines: Callable[[bytes, list[str]], Values] = lambda record, _: json_object(record)
    looks: tuple[re.Pattern[bytes], ...] = ()
    is_object: Callable[[Values], bool] = lambda _: False
    always: tuple[bytes, ...] = ()
    exporter: tuple[str, ...] = ()

    def recognise(self, sample: Sample) -> int:
        """The number of lines of this log."""
        return sum(
            self.is_object(values)
            if values is not None
            else any(look.search(line) is not None for look in self.looks)
            for line, values in zip(sample.lines, sample.objects, strict=True)
        )

    def reader(self, context: ReaderContext) -> "FlowLogReader":
        """What reads one log of it."""
        return FlowLogReader(self, context)


class FlowLogReader(RecordReader):
    """Reads the lines of one log."""

    def __init__(self, log: FlowLog, context: ReaderContext) -> None:
        super().__init__(context)
        self._log = log
        self._header: list[str] = []
        self._exporters = context.exporters
        self._conversations = Conversations()

    def read(self, record: bytes, carried: Carried) -> Iterator[LogEntry]:
        """The conversations that are complete. Raises `RecordError`."""
        values = self._log.lines(record, self._header)
        if not values:
            return
        for flow in self._log.flows(values, self._times):
            if isinstance(flow, RecordError):
                self.anomalies["flow-of-record-bad"] += 1
                continue
            if isinstance(flow, LogLoss):
                yield flow
                raise RecordError("records-skipped")
            known = self._known(values)
            (flow,), wrong = corrected([flow], known)
            self.anomalies.update(wrong)
            if not 0 <= flow.first <= flow.last < LAST:
                self.is_doubted = True
                raise RecordError("time-invalid")
            yield from self._logged(self._conversations.add([flow]))
        self.anomalies.update(self._conversations.take_anomalies())

    def _known(self, values: Values) -> Known:
        """The configuration of the exporter that a record names. A file does not say when a record
        arrived, so its own times are used in place of `ARRIVAL`."""
        if self._exporters is None:
            return _NOTHING
        written = next((text(values[name]) for name in self._log.exporter if name in values), "")
        known = self._exporters.of(written) if parse_ip(written) is not None else None
        if known is None:
            return _NOTHING
        shift = -known.clock if isinstance(known.clock, int) else 0
        return Known(shift, known.sampling or 0)

    def flush(self) -> Iterator[LogEntry]:
        """What waited for the other direction."""
        return self._logged(self._conversations.flush())

    def _logged(self, found: list[Conversation]) -> Iterator[LogEntry]:
        """The flows of conversations. After a number or a time that cannot be the rest of the log
        is doubted: which exporter it is from, lines may say or not."""
        self.is_doubted = self.is_doubted or self._conversations.impossible > 0
        if not self.is_doubted:
            return map(log_flow, found)
        self.anomalies["flow-doubted"] += len(found)
        return (replace(log_flow(each), is_doubted=True) for each in found)


def _record(
    times: tuple[int, int],
    sides: tuple[object, object],
    ports: tuple[object, object],
    protocol: object,
    octets: object,
    packets: object,
    *,
    reverse_octets: object = 0,
    reverse_packets: object = 0,
    is_biflow: bool = False,
    tcp_flags: int = 0,
    vlan: object = 0,
    source_mac: bytes | None = None,
    sampling: int = 1,
) -> FlowRecord:
    """A flow record, of fields as logs write them. Raises `RecordError`."""
    source, destination = (parse_ip(text(each)) for each in sides)
    if source is None or destination is None or len(source) != len(destination):
        raise RecordError("address-invalid")
    named = _PROTOCOLS.get(text(protocol).lower())
    if named is None:
        named = number(protocol)
    if not all(0 <= time < LAST for time in times):
        raise RecordError("time-invalid")
    return FlowRecord(
        *times,
        source,
        destination,
        port(ports[0]),
        port(ports[1]),
        named,
        _counter(octets),
        _counter(packets),
        tcp_flags=tcp_flags,
        reverse_octets=_counter(reverse_octets),
        reverse_packets=_counter(reverse_packets),
        is_biflow=is_biflow,
        vlan=number(vlan) or UNTAGGED,
        source_mac=source_mac,
        sampling=sampling,
    )


def _counter(value: object) -> int:
    """A counter. Text with so many digits that it is no number is one that cannot be."""
    written = text(value)
    return MOST_COUNTED + 1 if len(written) > 18 and written.isdecimal() else number(value)


def _nfdump_line(record: bytes, header: list[str]) -> Values:
    """A line of ``-o csv``, whose header is the first one, or of ``-o ndjson``. Of a file without
    flows all three forms have the words for it."""
    if record == NO_FLOWS:
        return {}
    if record.startswith(b"{"):
        return json_object(record)
    row = csv_row(record)
    if row[:2] == ["firstSeen", "duration"]:
        header[:] = row
        return {}
    if not header or len(row) != len(header):
        raise RecordError("fields-missing")
    return dict(zip(header, row, strict=True))


def _nfdump_flows(values: Values, times: LocalTimes) -> Iterator[FlowRecord]:
    if "firstSeen" in values:
        first = rfc3339(text(values["firstSeen"]), times)[0]
        lasted = epoch(text(values.get("duration")))[0]
        yield _record(
            (first, first + lasted),
            (values.get("srcAddr"), values.get("dstAddr")),
            (values.get("srcPort"), values.get("dstPort")),
            values.get("proto"),
            values.get("bytes"),
            values.get("packets"),
        )
    elif values.get("type") == "FLOW":
        first, last = (
            rfc3339(text(values.get(name)), times)[0]
            if name in values
            else _of_old_nfdump(text(values.get(f"t_{name}")), times)
            for name in ("first", "last")
        )
        back = number(values.get("out_bytes"))
        yield _record(
            (first, last),
            (
                values.get("src4_addr", values.get("src6_addr")),
                values.get("dst4_addr", values.get("dst6_addr")),
            ),
            (values.get("src_port"), values.get("dst_port")),
            values.get("proto"),
            values.get("in_bytes"),
            values.get("in_packets"),
            tcp_flags=sum(_FLAGS.get(each, 0) for each in text(values.get("tcp_flags"))),
            reverse_octets=back,
            reverse_packets=values.get("out_packets"),
            is_biflow=back > 0,
            vlan=values.get("vlanID", values.get("src_vlan")),
            source_mac=parse_mac(text(values.get("in_src_mac")))
            if "in_src_mac" in values
            else None,
        )


def _of_old_nfdump(written: str, times: LocalTimes) -> int:
    """A time of nfdump 1.6, whose milliseconds lack their leading zeros. Raises `RecordError`."""
    seconds, _, milliseconds = written.partition(".")
    return rfc3339(f"{seconds}.{milliseconds:0>3}", times)[0]


def _pmacct_line(record: bytes, header: list[str]) -> Values:
    """A line of ``print_output: csv``, whose header is the first one, by the names of JSON."""
    if record.startswith(b"{"):
        return json_object(record)
    row = csv_row(record)
    if "SRC_IP" in row and "BYTES" in row:
        header[:] = [_PMACCT_COLUMNS.get(name, name.lower()) for name in row]
        return {}
    if not header or len(row) != len(header):
        raise RecordError("fields-missing")
    return dict(zip(header, row, strict=True))


_PMACCT_COLUMNS = {
    "SRC_IP": "ip_src", "DST_IP": "ip_dst", "SRC_PORT": "port_src", "DST_PORT": "port_dst",
    "PROTOCOL": "ip_proto", "SRC_MAC": "mac_src", "IN_VLAN": "vlan_in", "VLAN": "vlan",
    "PEER_SRC_IP": "peer_ip_src",
}  # fmt: skip


def _pmacct_flows(values: Values, times: LocalTimes) -> Iterator[FlowRecord]:
    if "ip_src" not in values or "bytes" not in values:
        return
    first = _pmacct_time(values.get("timestamp_start", values.get("stamp_inserted")), times)
    last = _pmacct_time(values.get("timestamp_end", values.get("stamp_updated")), times)
    if first is None:
        raise RecordError("time-missing")
    mac = text(values.get("mac_src"))
    yield _record(
        (first, first if last is None else last),
        (values["ip_src"], values.get("ip_dst")),
        (values.get("port_src"), values.get("port_dst")),
        values.get("ip_proto"),
        values.get("bytes"),
        values.get("packets"),
        tcp_flags=number(values.get("tcp_flags")),
        vlan=values.get("vlan_in", values.get("vlan")),
        source_mac=parse_mac(mac) if mac else None,
        sampling=number(values.get("sampling_rate")) or 1,
    )


def _pmacct_time(value: object, times: LocalTimes) -> int | None:
    """A time, None for the one that is all zeros, and for none. With ``timestamps_since_epoch`` it
    is in seconds."""
    written = text(value)
    if not written or written.startswith("0000"):
        return None
    return (epoch(written) if written[:10].isdigit() else rfc3339(written, times))[0]


_AWS_DEFAULT = columns(
    "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start"
    " end action log-status"
)
_AWS_HEADER = frozenset({"srcaddr", "dstaddr", "start", "end"})


def _aws_line(record: bytes, header: list[str]) -> Values:
    """A line, whose header is the first one, or has the default format."""
    row = record.decode("utf-8", "surrogateescape").split()
    if _AWS_HEADER.issubset(name.replace("_", "-") for name in row):
        header[:] = [name.replace("_", "-") for name in row]
        return {}
    names = header or _AWS_DEFAULT
    if len(row) != len(names):
        raise RecordError("fields-missing")
    values = {name: value for name, value in zip(names, row, strict=True) if value != "-"}
    return values if "bytes" in values or values.get("log-status") == "SKIPDATA" else {}


def _aws_flows(values: Values, times: LocalTimes) -> Iterator[FlowRecord | LogLoss]:
    first, last = number(values.get("start")) * SECOND, number(values.get("end")) * SECOND
    if values.get("log-status") == "SKIPDATA":
        # The log itself says that it lacks records of this interval, not how many.
        if not 0 < first <= last:
            raise RecordError("records-skipped")
        yield LogLoss(last, first, last, 0)
        return
    yield _record(
        (first, last),
        (
            values.get("pkt-srcaddr", values.get("srcaddr")),
            values.get("pkt-dstaddr", values.get("dstaddr")),
        ),
        (values.get("srcport"), values.get("dstport")),
        values.get("protocol"),
        values.get("bytes"),
        values.get("packets"),
    )


def _google_flows(values: Values, times: LocalTimes) -> Iterator[FlowRecord]:
    payload = values.get("jsonPayload", values)
    connection = payload.get("connection") if isinstance(payload, dict) else None
    if not isinstance(connection, dict) or not isinstance(payload, dict):
        return
    yield _record(
        tuple(rfc3339(text(payload.get(name)))[0] for name in ("start_time", "end_time")),  # type: ignore[arg-type]
        (connection.get("src_ip"), connection.get("dest_ip")),
        (connection.get("src_port"), connection.get("dest_port")),
        connection.get("protocol"),
        payload.get("bytes_sent"),
        payload.get("packets_sent"),
    )


def _is_google(values: Values) -> bool:
    payload = values.get("jsonPayload", values)
    return isinstance(payload, dict) and "connection" in payload and "bytes_sent" in payload


def _azure_line(record: bytes, header: list[str]) -> Values:
    """A record, or a line of the document of an hour, whose records are one behind the other in a
    list that may be divided into lines."""
    line = record.strip().removeprefix(b'{"records":[').strip(b", ")
    if line.endswith(b"]}") and not record.startswith(b'{"records"'):
        line = line.removesuffix(b"]}")
    for written in (record, line):
        try:
            found = orjson.loads(written)
        except orjson.JSONDecodeError:
            continue
        if isinstance(found, dict):
            return found
    return {} if line in (b"", b"]}", b"{") else json_object(record)


def _azure_flows(values: Values, times: LocalTimes) -> Iterator[FlowRecord | RecordError]:
    records = values.get("records", [values])
    left = MAX_TUPLES
    for record in records if isinstance(records, list) else []:
        for written in _azure_tuples(record):
            if not left:
                raise RecordError("too-many-flows")
            left -= 1
            try:
                yield from _azure_flow(text(written).split(","))
            except RecordError as error:
                yield error


def _azure_tuples(record: object) -> Iterator[object]:
    """The flows of a record: of virtual networks, or of security groups."""
    if not isinstance(record, dict):
        return
    flows = record.get("flowRecords") or record.get("properties")
    for flow in _list(flows, "flows"):
        for group in (*_list(flow, "flowGroups"), *_list(flow, "flows")):
            yield from _list(group, "flowTuples")


def _list(values: object, name: str) -> list[object]:
    found = values.get(name) if isinstance(values, dict) else None
    return found if isinstance(found, list) else []


def _azure_flow(written: list[str]) -> Iterator[FlowRecord]:
    """A flow: time, addresses, ports, protocol, direction, then decision and state (groups) or
    state and encryption (networks), then packets and bytes of both directions. The time is in
    seconds or milliseconds. A flow that begins has no counters yet."""
    if len(written) < 8:
        raise RecordError("fields-missing")
    moment = number(written[0]) * (1_000_000 if len(written[0]) > 11 else SECOND)
    if moment >= LAST:
        raise RecordError("time-invalid")
    if len(written) < 13 or "B" in written[7:9]:
        return
    sent_packets, sent, received_packets, received = written[9:13]
    yield _record(
        (moment, moment),
        (written[1], written[2]),
        (written[3], written[4]),
        written[5],
        sent,
        sent_packets,
        reverse_octets=received,
        reverse_packets=received_packets,
        is_biflow=True,
    )


FLOW_LOGS: dict[str, FlowLog] = {
    "nfdump": FlowLog(
        title="nfdump, flows as CSV or lines of JSON",
        flows=_nfdump_flows,
        lines=_nfdump_line,
        looks=(
            re.compile(rb"\AfirstSeen,duration,"),
            re.compile(rb"\A" + NO_FLOWS + rb"\Z"),
            re.compile(rb"\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3},\d+\.\d{3},\w+,[\da-f.:]+,"),
        ),
        always=(b"firstSeen,",),
        exporter=("ip4_router", "ip6_router", "routerIP"),
        is_object=lambda values: values.get("type") == "FLOW" and "in_packets" in values,
    ),
    "pmacct": FlowLog(
        title="pmacct, flows as CSV or lines of JSON",
        flows=_pmacct_flows,
        lines=_pmacct_line,
        looks=(re.compile(rb"\A(?:[A-Z_]+,)*SRC_IP,(?:[A-Z_]+,)*BYTES\b"),),
        always=(b"SRC_IP,",),
        exporter=("peer_ip_src",),
        is_object=lambda values: "ip_src" in values and "ip_dst" in values and "bytes" in values,
    ),
    "aws-vpc": FlowLog(
        title="Amazon VPC flow logs",
        flows=_aws_flows,
        lines=_aws_line,
        always=(b"srcaddr ", b"SKIPDATA"),
        looks=(
            re.compile(rb"\A(?:[a-z_-]+ )*srcaddr (?:[a-z_-]+ )*dstaddr "),
            re.compile(rb"\A[2-9] \d{12} eni-\w+ .* (?:OK|NODATA|SKIPDATA)\s*\Z"),
        ),
    ),
    "azure-flows": FlowLog(
        title="Azure flow logs of virtual networks and security groups",
        flows=_azure_flows,
        lines=_azure_line,
        looks=(re.compile(rb'"flowTuples"\s*:\s*\['),),
        is_object=lambda values: any(
            isinstance(each, dict)
            and each.get("category") in ("FlowLogFlowEvent", "NetworkSecurityGroupFlowEvent")
            for each in (values, *_list(values, "records"))
        ),
    ),
    "google-vpc": FlowLog(
        title="Google Cloud VPC flow logs", flows=_google_flows, is_object=_is_google
    ),
}
"""The flow logs by the names of their formats."""

NFDUMP_JSON = replace(FLOW_LOGS["nfdump"], title="nfdump, flows as one list in JSON")
"""What ``nfdump -o json`` writes."""

NFCAPD = replace(
    FLOW_LOGS["nfdump"],
    title="nfcapd, files of flow records, read by nfdump",
    flows=lambda values, _: _nfdump_flows(values, _OF_UTC),
)
"""Files of nfcapd, of which ``nfdump`` makes lines of JSON with times of UTC."""
