"""Flow records beside the log of a resolver, from the scan to the report of a ban."""

import json
import re
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from support.flow_messages import FLOW, ipfix, options_template, set_of, template
from support.flow_messages import flow as message

from netwatch.cli import main
from netwatch.report.reading import is_by_flows

CONFIG = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service, authority: BE-FED}
bans:
  - {id: our-rule, authority: City of Example, apps: [tiktok], forbids: [service],
     from: 2026-11-29, timezone: UTC, legal_basis: Decision 1}
store: {path: store}
"""
DNS = """\
Nov 30 09:59:58 gw dnsmasq[900]: 11 10.20.6.20/40001 query[A] www.tiktok.com from 10.20.6.20
Nov 30 09:59:58 gw dnsmasq[900]: 11 10.20.6.20/40001 reply www.tiktok.com is 192.0.2.81
Nov 30 09:59:59 gw dnsmasq[900]: 12 10.20.6.21/40001 query[A] www.tiktok.com from 10.20.6.21
Nov 30 09:59:59 gw dnsmasq[900]: 12 10.20.6.21/40001 reply www.tiktok.com is 192.0.2.82
Nov 30 09:59:59 gw dnsmasq[900]: 13 10.20.6.21/40001 query[A] www.example.org from 10.20.6.21
Nov 30 09:59:59 gw dnsmasq[900]: 13 10.20.6.21/40001 reply www.example.org is 192.0.2.82
"""
HEADER = "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n"


def flow(at: str, client: str, server: str, port: int = 40100) -> str:
    """Both directions of a flow, as nfdump writes them."""
    return (
        f"2026-11-30 {at}.000,1.000,6,{client},{port},{server},443,14,2480,1\n"
        f"2026-11-30 {at}.100,1.000,6,{server},443,{client},{port},40,42480,1\n"
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "netwatch.yaml").write_text(CONFIG)
    # The folders of a collector and of a resolver are not the same.
    for name, lines in (
        ("dns/dnsmasq.log", DNS),
        (
            "flows/router.csv",
            HEADER
            + flow("10:00:00", "10.20.6.20", "192.0.2.81")
            + flow("10:00:01", "10.20.6.21", "192.0.2.82")
            + flow("10:00:02", "10.20.6.22", "192.0.2.81")
            + flow("10:00:03", "10.20.6.20", "198.51.100.9", 40101),
        ),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(lines)
    return tmp_path


def scan(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, object]]:
    """The records of a scan by the address of their device."""
    options = ["--format", "jsonl", "--year", "2026", "--timezone", "UTC", "-q"]
    assert main(["scan", *options, *arguments]) == 0
    records = map(json.loads, capsys.readouterr().out.splitlines())
    return {record["device"]["ip"]: record for record in records}


@pytest.mark.parametrize("paths", [("flows", "dns"), ("dns/dnsmasq.log", "flows/router.csv")])
def test_a_flow_belongs_to_a_name_that_its_client_was_told(
    folder: Path, capsys: pytest.CaptureFixture[str], paths: tuple[str, ...]
) -> None:
    found = scan(capsys, *paths)
    # The third device asked nobody, so nothing is said of it.
    assert found.keys() == {"10.20.6.20", "10.20.6.21"}
    # The record of the second direction tells of both.
    (evidence,) = [
        each for each in found["10.20.6.20"]["evidence"] if each["type"] == "ip-from-dns"
    ]
    assert evidence["source"] == "flows/router.csv"
    assert evidence["log"] == {"format": "nfdump", "line": 3, "lacks": []}
    # A log of dnsmasq does not tell how long an answer is valid.
    assert evidence["answer"] == {"address": "192.0.2.81", "ttl": None, "rcode": "NOERROR"}
    assert found["10.20.6.20"]["confidence"] == "probable"
    assert found["10.20.6.20"]["counts"]["bytes_in"] > 40_000
    # The second had the address for another name, too.
    assert not [each for each in found["10.20.6.21"]["evidence"] if each["type"] == "ip-from-dns"]


def told(at: str, client: str, name: str, *addresses: str) -> str:
    """A lookup and its answer in a log of dnsmasq."""
    head = f"Nov 30 {at} gw dnsmasq[900]: 99 {client}/40002 "
    replies = "".join(f"{head}reply {name} is {address}\n" for address in addresses)
    return f"{head}query[A] {name} from {client}\n{replies}"


OWN = "api16-normal-c-useast1a.tiktokv.com"
"""A name that only the app calls."""

SHARED = told("09:59:57", "10.20.6.29", "www.example.net", "192.0.2.90")
SETS = [
    # Two names of the app at an address of its own.
    (
        told("09:59:58", "10.20.6.30", OWN, "192.0.2.90")
        + told("09:59:58", "10.20.6.30", "api.tiktokv.com", "192.0.2.90"),
        "probable",
        ["api.tiktokv.com", OWN],
        "The device had been told it",
    ),
    # Another device was told the address for another name.
    (
        SHARED + told("09:59:58", "10.20.6.30", OWN, "192.0.2.90"),
        "possible",
        [OWN],
        "The device had been told it",
    ),
    # Only another device was told it.
    (
        told("09:59:58", "10.20.6.31", OWN, "192.0.2.90"),
        "possible",
        [OWN],
        "others had been told it",
    ),
]


@pytest.mark.parametrize(("log", "grade", "names", "why"), SETS)
def test_a_flow_record_has_the_names_that_it_can_be_of(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    log: str,
    grade: str,
    names: list[str],
    why: str,
) -> None:
    (folder / "netwatch.yaml").write_text(CONFIG.replace("UTC,", "UTC, min_confidence: possible,"))
    (folder / "dns" / "dnsmasq.log").write_text(log)
    (folder / "flows" / "router.csv").write_text(
        HEADER + flow("10:00:00", "10.20.6.30", "192.0.2.90")
    )
    record = scan(capsys, "flows", "dns", "--store")["10.20.6.30"]
    (candidates,) = record["candidates"]
    assert (candidates["names"], candidates["count"]) == (names, 1)
    assert "192.0.2.90" in candidates["why"]
    assert why in candidates["why"]
    grounds = {each["type"] for each in record["evidence"]}
    assert "ip-from-dns" in grounds
    is_own = why.startswith("The device")
    assert (record["counts"]["bytes_in"] > 40_000) is is_own
    assert record["confidence"] == ("probable" if is_own else "possible")
    assert any("flow record has no name" in each for each in record["confidence_reasons"]) or is_own
    # The same where only what may be of interest is read of the log, and from the store.
    assert scan(capsys, "flows", "dns")["10.20.6.30"] == record
    assert main(["rejudge", "--format", "jsonl", "-q"]) == 0
    assert capsys.readouterr().out == ""


def test_an_incident_says_that_only_flow_records_show_its_connections(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "dns" / "dnsmasq.log").write_text(told("09:59:58", "10.20.6.30", OWN, "192.0.2.90"))
    (folder / "flows" / "router.csv").write_text(
        HEADER + flow("10:00:00", "10.20.6.30", "192.0.2.90")
    )
    record = scan(capsys, "flows", "dns", "--store")["10.20.6.30"]
    assert main(["explain", record["id"]]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "flow record line 3 of flows/router.csv (nfdump)" in page
    assert "They are known from flow records (nfdump), which have addresses and no names" in page
    assert "hello that hides it" not in page
    assert main(["explain", "--subject", record["id"]]) == 0
    assert "only the address was recorded" in " ".join(capsys.readouterr().out.split())
    period = ["--from", "2026-11-30", "--to", "2026-11-30"]
    assert main(["report", *period, "-o", "r.json"]) == 0
    (ban,) = json.loads((folder / "r.json").read_text())["bans"]
    assert [each["by_flows"] for each in ban["incidents"]] == [True]
    assert main(["report", *period, "-o", "r.html"]) == 0
    assert "flow records alone, which have no names" in (folder / "r.html").read_text()


@pytest.mark.parametrize(
    ("evidence", "is_by_flows_alone"),
    [
        ([("dns-answer", "dnsmasq"), ("ip-from-dns", "ipfix")], True),
        ([("ip-from-dns", "ipfix"), ("tls-sni", None)], False),
        ([("ip-from-dns", None)], False),
        ([("dns-answer", "dnsmasq")], False),
    ],
)
def test_connections_are_known_by_flow_records_alone(
    evidence: list[tuple[str, str | None]], is_by_flows_alone: bool
) -> None:
    record = {
        "evidence": [{"type": type_, "log": log and {"format": log}} for type_, log in evidence]
    }
    assert is_by_flows(record) is is_by_flows_alone


def test_one_of_several_names_is_a_blind_spot(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "dns" / "dnsmasq.log").write_text(
        "".join(
            told("09:59:58", "10.20.6.30", name, "192.0.2.90")
            for name in (OWN, "www.example.org", "web.whatsapp.com")
        )
        # Neither name of these is of an app that is banned.
        + told("09:59:58", "10.20.6.31", "web.whatsapp.com", "192.0.2.91")
        + told("09:59:58", "10.20.6.31", "www.example.org", "192.0.2.91")
    )
    (folder / "flows" / "router.csv").write_text(
        HEADER
        + flow("10:00:00", "10.20.6.30", "192.0.2.90")
        + flow("10:00:00", "10.20.6.31", "192.0.2.91")
    )
    command = ["scan", "flows", "dns", "--year", "2026", "--timezone", "UTC", "--coverage"]
    assert main([*command, "--format", "jsonl"]) == 0
    out, summary = capsys.readouterr()
    assert "ip-from-dns" not in out
    assert "one-of-k, 1 flow that may go to a banned app: k 3: 1" in summary
    record = json.loads(out.splitlines()[-1])
    assert record["unnamed"] == {"flow-record": 1, "one-of-k": 1}
    assert record["one_of_k"] == {"3": 1}


def write_sets(folder: Path) -> None:
    """Flows at ten, one of three and one of two names, and one of two names of no banned app."""
    (folder / "dns" / "dnsmasq.log").write_text(
        "".join(
            told("09:59:58", "10.20.6.30", name, "192.0.2.90")
            for name in (OWN, "www.example.org", "web.whatsapp.com")
        )
        + told("09:59:58", "10.20.6.31", OWN, "192.0.2.91")
        + told("09:59:58", "10.20.6.31", "www.example.org", "192.0.2.91")
        + told("09:59:58", "10.20.6.32", "web.whatsapp.com", "192.0.2.92")
        + told("09:59:58", "10.20.6.32", "www.example.org", "192.0.2.92")
    )
    (folder / "flows" / "router.csv").write_text(
        HEADER
        + "".join(flow("10:00:00", f"10.20.6.3{n}", f"192.0.2.9{n}") for n in range(3))
        + flow("10:00:01", "10.20.6.31", "192.0.2.91", 40101)
    )


def hours(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[object, object]]:
    """What the stored hours say of names that were not read."""
    capsys.readouterr()
    assert main(["store", "query", "coverage", "--hours", "--format", "jsonl"]) == 0
    records = map(json.loads, capsys.readouterr().out.splitlines())
    return {each["hour"][11:13]: (each["unnamed"], each["one_of_k"]) for each in records}


def test_stored_hours_say_of_how_many_names_a_flow_has_one(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sets(folder)
    scan(capsys, "flows", "dns", "--store")
    counted = {"flow-record": 1, "one-of-k": 3}, {"2": 2, "3": 1}
    assert hours(capsys)["10"] == counted
    assert main(["store", "query", "coverage", "--hours"]) == 0
    assert "2=2 3=1" in capsys.readouterr().out
    period = ["--from", "2026-11-30", "--to", "2026-11-30"]
    assert main(["report", *period, "-o", "r.json"]) == 0
    (network,) = json.loads((folder / "r.json").read_text())["coverage"]["networks"]
    assert (network["unnamed"], network["one_of_k"]) == counted
    assert network["flows"] == 4
    assert main(["report", *period, "-o", "r.html"]) == 0
    assert "of a banned app (k from 2 to 3, median 2)" in (folder / "r.html").read_text()


def test_judging_again_counts_anew_which_flows_may_be_of_a_banned_app(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sets(folder)
    scan(capsys, "flows", "dns", "--store")
    before = hours(capsys)
    (folder / "netwatch.yaml").write_text(CONFIG.replace("[tiktok]", "[whatsapp]"))
    assert main(["rejudge", "-q"]) == 0
    assert hours(capsys) == before
    for _ in range(2):  # another time changes nothing
        assert main(["rejudge", "--record", "-q"]) == 0
        assert hours(capsys)["10"] == ({"flow-record": 2, "one-of-k": 2}, {"2": 1, "3": 1})
    (folder / "netwatch.yaml").write_text(CONFIG)
    assert main(["rejudge", "--record", "-q"]) == 0
    assert hours(capsys) == before


def test_hours_that_flow_records_alone_cover_are_not_readable(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    day = "".join(
        flow(f"{hour:02}:{minute:02}:00", "10.20.6.20", "198.51.100.9", 30000 + 60 * hour + minute)
        for hour in range(24)
        for minute in (10, 40)
    )
    (folder / "flows" / "router.csv").write_text(HEADER + day)
    scan(capsys, "flows", "dns", "--store")
    assert main(["report", "--from", "2026-11-30", "--to", "2026-11-30", "-o", "r.json"]) == 0
    (ban,) = json.loads((folder / "r.json").read_text())["bans"]
    coverage = ban["coverage"]
    assert (coverage["hours"], coverage["captured"], coverage["by_flows"]) == (24, 24, 24)
    assert (coverage["judged"], coverage["readable"]) == (24, 0)
    assert {each["reason"] for each in coverage["missing"]} == {"unreadable"}
    assert ban["answer"]["word"] == "cannot-be-said"


BEGIN = 1_796_032_800
"""2026-11-30 10:00 UTC, s."""


def exported(numbers: Iterable[int], options: bytes = b"") -> bytes:
    """An IPFIX file: a message each quarter of an hour, with these sequence numbers."""
    messages = [ipfix(set_of(2, template(300, *FLOW)), options, seconds=BEGIN)]
    for quarter, sequence in enumerate(numbers):
        now = BEGIN + quarter * 900
        times = {"first": (now + 1) * 1000, "last": (now + 5) * 1000}
        client, server = bytes([10, 20, 6, 20]), bytes([192, 0, 2, 81])
        out = message(client, server, source_port=40100 + quarter, octets=2480, **times)
        back = message(server, client, 443, 40100 + quarter, octets=42_480, **times)
        described = set_of(2, template(300, *FLOW))
        messages.append(ipfix(described, set_of(300, out, back), seconds=now, sequence=sequence))
    return b"".join(messages)


def test_records_that_did_not_arrive_are_missing_in_the_report(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "flows" / "router.csv").unlink()
    # Between 10:30 and 10:45 forty records are missing.
    (folder / "flows" / "router.ipfix").write_bytes(exported([0, 2, 4, 46, 48, 50, 52, 54]))
    scan(capsys, "flows", "dns", "--store")
    assert main(["report", "--from", "2026-11-30", "--to", "2026-11-30", "-o", "r.json"]) == 0
    (ban,) = json.loads((folder / "r.json").read_text())["bans"]
    lost = [each for each in ban["coverage"]["missing"] if each["reason"] == "lost"]
    assert [(each["from"], each["until"]) for each in lost] == [
        ("2026-11-30T10:30:00Z", "2026-11-30T11:00:00Z")
    ]
    assert ban["answer"]["word"] == "cannot-be-said"
    assert main(["store", "status", "--store-path", "store"]) == 0
    assert "never received  40" in capsys.readouterr().out


FLAPPING = (FLOW[1], FLOW[0], FLOW[3], FLOW[2], *FLOW[4:])
"""The fields of another exporter behind the same address and number."""


@pytest.mark.parametrize(
    ("described", "why"),
    [
        # Its template comes behind the records.
        ([None, FLOW], "flow-template-missing"),
        # Messages redefine it, and nobody knows which fields the records behind them have.
        ([FLOW, FLAPPING, FLOW, FLOW, None], "flow-template-unsteady"),
        ([FLAPPING, FLOW, None], "flow-template-unsteady"),
    ],
)
def test_records_that_cannot_be_read_for_sure_accuse_nobody_and_count_as_lost(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    described: list[tuple[tuple[int, int], ...] | None],
    why: str,
) -> None:
    times = {"first": (BEGIN + 901) * 1000, "last": (BEGIN + 905) * 1000}
    client, server = bytes([10, 20, 6, 20]), bytes([192, 0, 2, 81])
    both = message(client, server, **times), message(server, client, 443, 40000, **times)
    sent = []
    for number, fields in enumerate(described):
        sets = [] if fields is None else [set_of(2, template(300, *fields))]
        if fields is None:
            sets.append(set_of(300, *both))
        sent.append(ipfix(*sets, seconds=BEGIN + 900 + number))
    (folder / "flows" / "router.csv").unlink()
    (folder / "flows" / "router.ipfix").write_bytes(b"".join(sent))
    options = ["--format", "jsonl", "--year", "2026", "--timezone", "UTC", "--store"]
    assert main(["scan", *options, "flows", "dns"]) == 0
    out, summary = capsys.readouterr()
    assert why in summary
    assert "ip-from-dns" not in out
    assert main(["store", "status", "--store-path", "store"]) == 0
    assert re.search(r"never received +[12]\b", capsys.readouterr().out)


def write_sampled(folder: Path) -> None:
    """Flow records of a router that looks at one packet in 100."""
    (folder / "flows" / "router.csv").unlink()
    sampler = set_of(3, options_template(400, ((302, 4),), ((305, 4), (306, 4))))
    sampler += set_of(400, struct.pack(">III", 1, 1, 99))
    (folder / "flows" / "router.ipfix").write_bytes(exported([1, 3], sampler))


def test_a_flow_of_sampled_packets_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sampled(folder)
    record = scan(capsys, "flows", "dns")["10.20.6.20"]
    (evidence,) = [each for each in record["evidence"] if each["type"] == "ip-from-dns"]
    assert evidence["log"] == {"format": "ipfix", "line": 2, "lacks": [], "sampling": 100}
    # The bytes are those of the sample.
    assert record["counts"]["bytes_in"] < 100_000
    (folder / "alerts.jsonl").write_text(json.dumps(record) + "\n")
    assert main(["explain", record["id"], "--alerts", "alerts.jsonl"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Only one packet in 100 of flows/router.ipfix was looked at; bytes are those" in shown
    assert "looked at one packet in 100" in shown


def test_a_flow_of_sampled_packets_says_so_when_it_is_judged_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The ban comes after the flows, so that the incident is made from the store alone."""
    write_sampled(folder)
    (folder / "netwatch.yaml").write_text(CONFIG.replace("[tiktok]", "[wechat]"))
    assert scan(capsys, "flows", "dns", "--store") == {}
    assert main(["store", "query", "flows", "--format", "jsonl"]) == 0
    flows = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert [each["sampling"] for each in flows] == [100, 100]
    (folder / "netwatch.yaml").write_text(CONFIG)
    assert main(["rejudge", "--record", "-q"]) == 0
    capsys.readouterr()
    assert main(["store", "query", "incidents", "--format", "jsonl"]) == 0
    records = list(map(json.loads, capsys.readouterr().out.splitlines()))
    (record,) = [each for each in records if each["device"]["ip"] == "10.20.6.20"]
    (evidence,) = [each for each in record["evidence"] if each["type"] == "ip-from-dns"]
    assert evidence["log"]["sampling"] == 100
    assert main(["explain", record["id"], "--store-path", "store"]) == 0
    assert "looked at one packet in 100" in " ".join(capsys.readouterr().out.split())


def test_flows_in_files_of_an_older_format_have_no_sampling(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    scan(capsys, "flows", "dns", "--store")
    (path,) = (folder / "store").rglob("flow/**/*.parquet")
    rows = parquet.ParquetFile(path).read()
    older = rows.drop_columns(["sampling"]).replace_schema_metadata({"netwatch.format": "4"})
    parquet.write_table(older, path)
    assert main(["store", "query", "flows", "--format", "jsonl"]) == 0
    flows = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert len(flows) == rows.num_rows
    assert not [each for each in flows if "sampling" in each]
    assert main(["rejudge", "-q"]) == 0
    assert main(["store", "compact"]) == 0
    assert main(["rejudge", "-q"]) == 0


def test_a_file_of_a_collector_names_an_exporter_whose_sampling_is_configured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "flows" / "router.csv"
    header, *lines = path.read_text().splitlines()
    rows = [f"{header},routerIP", *(f"{line},10.0.0.1" for line in lines)]
    path.write_text("".join(f"{row}\n" for row in rows))
    (folder / "netwatch.yaml").write_text(
        f"{CONFIG}exporters:\n  - {{address: 10.0.0.0/24, sampling: 64}}\n"
    )
    record = scan(capsys, "flows", "dns")["10.20.6.20"]
    (evidence,) = [each for each in record["evidence"] if each["type"] == "ip-from-dns"]
    assert evidence["log"] == {"format": "nfdump", "line": 3, "lacks": [], "sampling": 64}


LYING = ((8, 4), (12, 4), (7, 8), (11, 8), (4, 1), (1, 8), (2, 8), (58, 8), (152, 8), (153, 8))
"""Fields that have room for more than there can be."""


def test_a_lying_exporter_is_counted_and_accuses_nobody(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    most = (1 << 64) - 1
    addresses = bytes([10, 20, 6, 20]), bytes([192, 0, 2, 81])
    now = BEGIN * 1000
    lies = [
        (40100, 443, most, most, most, now + 1000, now + 2000),
        (40101, 1 << 40, 5000, 50, 0, now + 1000, now + 2000),
        (most, 443, 5000, 50, 4095, now + 1000, now + 2000),
        (40102, 443, 5000, 50, 0, 0, 1),
        (40103, 443, 5000, 50, 0, most, most),
        (40104, 443, 5000, 50, 0, now + 2000, now + 1000),
    ]
    messages = []
    for number, (source, destination, octets, packets, vlan, first, last) in enumerate(lies):
        body = b"".join(addresses) + struct.pack(">QQB", source, destination, 6)
        body += struct.pack(">QQQQQ", octets, packets, vlan, first, last)
        # It is described anew each time, and sent again.
        at = 300 + number
        described = set_of(2, *(template(at, *each) for each in (LYING[::-1], LYING, LYING)))
        messages.append(ipfix(described, set_of(at, body), seconds=BEGIN, sequence=number * 10**6))
    (folder / "flows" / "router.csv").unlink()
    (folder / "flows" / "router.ipfix").write_bytes(b"".join(messages))
    options = ["--format", "jsonl", "--year", "2026", "--timezone", "UTC", "--store"]
    assert main(["scan", *options, "flows", "dns"]) == 0
    found = capsys.readouterr()
    for name in ("flow-number-impossible", "flow-time-impossible", "flow-template-changed"):
        assert name in found.err
    records = {each["device"]["ip"]: each for each in map(json.loads, found.out.splitlines())}
    record = records["10.20.6.20"]
    # The lookup is the resolver's.
    assert (record["confidence"], record["counts"]["handshakes"]) == ("probable", 0)
    assert 0 <= record["counts"]["bytes_in"] < 1 << 50
    assert 0 <= record["counts"]["bytes_out"] < 1 << 50


def zeek(at: int, client: str, server: str, number: int) -> str:
    ends = {"ts": at, "uid": f"C{number}", "id.orig_h": client, "id.orig_p": 40_100 + number,
            "id.resp_h": server, "id.resp_p": 443}  # fmt: skip
    sizes = {"proto": "tcp", "duration": 1.0, "orig_bytes": 900, "resp_bytes": 42_000}
    return json.dumps({**ends, **sizes, "conn_state": "SF", "history": "ShADadFf"})


def suricata(at: int, client: str, server: str, number: int) -> str:
    first, last = (f"2026-11-30T10:00:{at % 60 + more:02}.000000+0000" for more in (0, 1))
    flow = {"pkts_toserver": 14, "pkts_toclient": 40, "bytes_toserver": 2480,
            "bytes_toclient": 42_480, "start": first, "end": last, "age": 1, "state": "closed",
            "reason": "timeout", "alerted": False}  # fmt: skip
    return json.dumps(
        {"timestamp": last, "flow_id": 900 + number, "event_type": "flow", "src_ip": client,
         "src_port": 40_100 + number, "dest_ip": server, "dest_port": 443, "proto": "TCP",
         "flow": flow}
    )  # fmt: skip


def fortigate(at: int, client: str, server: str, number: int) -> str:
    return (
        f'date=2026-11-30 time=10:00:{at % 60:02} eventtime={at}000000000 tz="+0000"'
        f' logid="0000000013" type="traffic" subtype="forward" level="notice" vd="root"'
        f" srcip={client} srcport={40_100 + number} dstip={server} dstport=443"
        f' sessionid={number} proto=6 action="close" service="HTTPS" duration=1 sentbyte=18800'
        " rcvdbyte=79000 sentpkt=30 rcvdpkt=69"
    )


@pytest.mark.parametrize("write", [zeek, suricata, fortigate])
def test_connections_without_a_name_belong_to_names_of_the_log_of_a_resolver(
    folder: Path, capsys: pytest.CaptureFixture[str], write: Callable[[int, str, str, int], str]
) -> None:
    """Logs of all connections beside the log of a resolver that another program wrote."""
    (folder / "flows" / "router.csv").unlink()
    ends = ("10.20.6.20", "192.0.2.81"), ("10.20.6.21", "192.0.2.82"), ("10.20.6.22", "192.0.2.81")
    lines = [write(1_796_032_800 + at, *each, at) for at, each in enumerate(ends)]
    (folder / "flows" / "connections.log").write_text("".join(f"{each}\n" for each in lines))
    found = scan(capsys, "flows", "dns")
    assert found.keys() == {"10.20.6.20", "10.20.6.21"}
    kinds = {ip: [each["type"] for each in record["evidence"]] for ip, record in found.items()}
    assert "ip-from-dns" in kinds["10.20.6.20"]
    assert found["10.20.6.20"]["confidence"] == "probable"
    # The second had the address for another name, too, and the third asked nobody.
    assert "ip-from-dns" not in kinds["10.20.6.21"]


DOUBT = "also sent impossible numbers or times"


def write_later(folder: Path, *lies: dict[str, int], is_csv: bool = False) -> None:
    """Flows four minutes after the lookups, so that they are incidents of their own: two of which
    one comes before some lies of the same exporter, and one behind them."""
    ban = CONFIG.replace("timezone: UTC,", "timezone: UTC, min_confidence: possible,")
    (folder / "netwatch.yaml").write_text(ban + "incidents: {quiet_gap: 1m}\n")
    (folder / "dns" / "dnsmasq.log").write_text(
        "".join(line for line in DNS.splitlines(keepends=True) if "6.20" in line)
        + "".join(
            line.replace("10.20.6.20", "10.20.6.23").replace("2.81", "2.83")
            for line in DNS.splitlines(keepends=True)
            if "6.20" in line
        )
    )
    path = folder / "flows" / "router.csv"
    begin = (BEGIN + 240) * 1000
    if is_csv:
        lie = flow("10:04:00", "10.20.6.29", "198.51.100.9").replace(",2480,", f",{1 << 64},")
        path.write_text(
            HEADER
            + flow("10:04:00", "10.20.6.20", "192.0.2.81")
            + (lie if lies else "")
            + flow("10:04:30", "10.20.6.23", "192.0.2.83")
        )
        return
    path.unlink()

    def both(client: int, server: int, at: int) -> list[bytes]:
        sides = bytes([10, 20, 6, client]), bytes([192, 0, 2, server])
        times = {"first": at, "last": at + 500}
        return [
            message(*sides, octets=2000, **times),
            message(*sides[::-1], 443, 40000, octets=90_000, packets=70, **times),
        ]

    messages = [
        ipfix(
            set_of(2, template(300, *FLOW)), set_of(300, *both(20, 81, begin)), seconds=BEGIN + 300
        )
    ]
    told = [message(bytes([10, 20, 6, 29]), **lie) for lie in lies]
    messages.append(ipfix(set_of(300, *told), sequence=2, seconds=BEGIN + 300) if told else b"")
    behind = set_of(300, *both(23, 83, begin + 30_000))
    messages.append(ipfix(behind, sequence=2 + len(told), seconds=BEGIN + 300))
    (folder / "flows" / "router.ipfix").write_bytes(b"".join(messages))


AT = {"first": (BEGIN + 240) * 1000, "last": (BEGIN + 241) * 1000}


@pytest.mark.parametrize(
    ("lies", "is_csv"),
    [
        ([{"octets": (1 << 64) - 1, **AT}], False),
        ([{"first": 1000, "last": 2000}], False),
        ([{"first": AT["last"], "last": AT["first"]}], False),
        ([AT], True),
    ],
    ids=["number", "time", "order", "csv"],
)
def test_what_a_lying_exporter_sends_afterwards_is_at_most_possible(
    folder: Path, capsys: pytest.CaptureFixture[str], lies: list[dict[str, int]], is_csv: bool
) -> None:
    grades = {}
    for told in ([], lies):
        write_later(folder, *told, is_csv=is_csv)
        options = ["--format", "jsonl", "--year", "2026", "--timezone", "UTC"]
        for jobs in ("1", "2"):
            assert main(["scan", *options, "--jobs", jobs, "flows", "dns"]) == 0
            found = capsys.readouterr()
            records = [json.loads(each) for each in found.out.splitlines()]
            later = {
                each["device"]["ip"]: each for each in records if not each["counts"]["lookups"]
            }
            grades[bool(told), jobs] = {ip: each["confidence"] for ip, each in later.items()}
            reasons = " ".join(later["10.20.6.23"]["confidence_reasons"])
            assert (DOUBT in reasons, "flow-doubted" in found.err) == (bool(told), bool(told))
        (folder / "flows" / "router.csv").touch()
    # What is judged again from the store is as doubtful: its last flows are those behind the lie.
    assert main(["scan", *options, "--store", "-q", "flows", "dns"]) == 0
    (folder / "netwatch.yaml").write_text(CONFIG.replace("[tiktok]", "[whatsapp]"))
    assert main(["rejudge", "--record", "-q"]) == 0
    (folder / "netwatch.yaml").write_text(CONFIG)
    assert main(["rejudge", "--record", "-q"]) == 0
    capsys.readouterr()
    assert main(["store", "query", "incidents", "--format", "jsonl"]) == 0
    stored = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert {
        each["device"]["ip"]: each["confidence"] for each in stored if not each["counts"]["lookups"]
    } == grades[True, "1"]
    for jobs in ("1", "2"):
        before, behind = grades[False, jobs], grades[True, jobs]
        assert before == {"10.20.6.20": "probable", "10.20.6.23": "probable"}
        # What was complete before the lie is as sure as it was.
        assert behind == {"10.20.6.20": "probable", "10.20.6.23": "possible"}
