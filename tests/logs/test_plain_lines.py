"""What is read as rows is the same, byte for byte and count for count, as the readers of the
formats say line by line."""

import random
import re
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.interpreted import all_interpreted
from support.log_verdicts import units
from support.paths import ROOT

from netwatch.core.statistics import RunStatistics
from netwatch.engine.log_scan import names_of_log
from netwatch.formats.line_writer import observation_record
from netwatch.logs import layout, log_reader, ordering, plain_lines
from netwatch.logs.log_files import LogOptions

INTERPRETED = all_interpreted("netwatch.logs.plain_lines")["netwatch.logs.plain_lines"]
SAMPLES = ROOT / "tests" / "logs" / "samples"

ZEEK = "\n".join(
    [
        "#separator \\x09",
        "#set_separator\t,",
        "#empty_field\t(empty)",
        "#unset_field\t-",
        "#path\tdns",
        "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\tvlan\tquery\tqtype"
        "\tqtype_name\trcode\trcode_name\tanswers\tTTLs",
        "#types\ttime\tstring\taddr\tport\taddr\tport\tenum\tint\tstring\tcount\tstring\tcount"
        "\tstring\tvector[string]\tvector[interval]",
    ]
)
ZEEK_LINES = [
    "1679303071.118342\tCa\t10.0.0.1\t51612\t10.0.0.53\t53\tudp\t-\twww.TikTok.com\t1\tA\t0\tNOERROR"
    "\twww.tiktok.com.example.net,203.0.113.10\t300.000000,20.5",
    "1679303075.440121\tCb\t10.0.0.2\t1\t10.0.0.53\t53\ttcp\t12\tx.example.org.\t28\tAAAA\t3"
    "\tNXDOMAIN\t-\t-",
    "1679303074.000001\tCc\t2001:db8::1\t4\t2001:db8::53\t53\tudp\t-\tm.example\t65\tHTTPS\t-\t-\t-\t-",
    "1679303076.000001\tCd\t10.0.0.1\t4\t10.0.0.53\t53\tudp\t-\ta.example\t28\tAAAA\t-\tNOERROR"
    "\tb.example,a.example,2001:DB8::1,::ffff:192.0.2.1,192.0.2.2,c.example\t1,2,3.0,4,300000000",
    "1679303077.000001\tCe\t10.0.0.1\t4\t10.0.0.53\t137\tudp\t-\tWORKGROUP\t32\tNB\t0\tNOERROR\t-\t-",
    "1679303078.000001\tCf\t10.0.0.1\t4\t10.0.0.53\t53\ticmp\t-\tq.example\t16\tTXT\t0\tNOERROR"
    "\tTXT 3 1.2,v 9\t5.0,-",
    "1679303079.000001\tCg\t10.0.0.1\t4\t10.0.0.53\t53\tudp\t-\tt\\xc3\\xafk.example\t1\tA\t5\tREFUSED"
    "\t-\t-",
    "1679303079.000002\tCh\t10.0.0.01\t4\t10.0.0.53\t53\tudp\t-\tq.example\t15\tMX\t23\tX\tmx.example"
    "\t60.000000",
    "1679303079.0002\tCi\t10.0.0.1\t70000\t10.0.0.53\t53\tudp\t-\t-\t1\tA\t0\tNOERROR\t(empty)\t-",
]
_HEAD = '"src_ip":"10.0.0.1","src_port":4000,"dest_ip":"10.0.0.53","dest_port":53,"proto":"UDP"'
_BACK = '"src_ip":"10.0.0.53","src_port":53,"dest_ip":"10.0.0.1","dest_port":4000,"proto":"TCP"'
_TIME = '{"timestamp":"2026-11-20T12:00:%02d.%06d%s","flow_id":7,"event_type":"dns",'
EVE_LINES = [
    _TIME % (1, 5, "+0000")
    + _HEAD
    + ',"dns":{"version":2,"type":"query","id":1,"rrname":"Www.Tiktok'
    '.com","rrtype":"A","tx_id":0,"opcode":0}}',
    _TIME % (2, 5, "+0000") + _HEAD + ',"dns":{"version":2,"type":"answer","rrname":"a.example",'
    '"rrtype":"AAAA","rcode":"NXDOMAIN","x":[1,-2.5,[true,null,{"a":[]}],"y"]}}',
    _TIME % (0, 9, "+0100") + _BACK + ',"dns":{"version":3,"type":"response","rcode":"NOERROR",'
    '"queries":[{"rrname":"a.example","rrtype":"A"}],"answers":[{"rrname":"A.example","rrtype":"CNAME"'
    ',"ttl":5,"rdata":"b.example."},{"rrname":"b.example","rrtype":"A","ttl":3000000000,"rdata":'
    '"192.0.2.1"},{"rrname":"z.example","rrtype":"A","ttl":1,"rdata":"192.0.2.2"},{"rrname":'
    '"b.example","rrtype":"AAAA","ttl":1,"rdata":"2001:db8::1"},{"rrname":"b.example","rrtype":"TXT"}'
    ',{"rrname":"b.example","rrtype":"CNAME","rdata":"a.example"}],"grouped":{"A":["192.0.2.1"]}}}',
    _TIME % (3, 1, "Z") + _HEAD + ', "dns": {"version": 3, "type": "request", "rcode": "NOERROR",'
    ' "queries": [{"rrname": "a.example", "rrtype": "HTTPS"}]}}',
    _TIME % (3, 1, "") + _HEAD + ',"dns":{"version":3,"type":"request","queries":[{"rrname":"'
    'a.example","rrtype":"A"},{"rrname":"b.example","rrtype":"A"}]}}',
    _TIME % (4, 1, "+0000") + _HEAD + ',"dns":{"version":2,"type":"answer","rrname":"a.example",'
    '"rrtype":"A","rcode":"NOERROR","grouped":{"A":["192.0.2.1"]}}}',
    _TIME % (4, 1, "+0000") + _HEAD + ',"vlan":[3,4],"dns":{"version":2,"type":"query","rrname":'
    '"\\u0061.example","rrtype":"A"}}',
    _TIME % (5, 1, "+0000") + _HEAD + ',"alert":{"event_type":"alert"},"dns":{"version":2,"type":'
    '"query","rrname":"a.example","rrtype":"A"},"message":"x"}',
    '{"timestamp":"2026-11-20T12:00:05.000000+0000","flow_id":7,"event_type":"tls",'
    + _HEAD.replace("UDP", "TCP")
    + ',"tls":{"sni":"www.tiktok.com","version":"TLS 1.3"}}',
    '{"timestamp":"2026-11-20T12:00:05.000000+0000","event_type":"stats","stats":{}}',
]

_BIND = "20-Nov-2026 12:00:%02d.%03d "
_ASKED = "client @0x7f1c2c00 10.0.0.1#40000 (a.example): "
BIND_LINES = [
    _BIND % (1, 5) + "queries: info: " + _ASKED + "query: Www.Tiktok.com IN A +E(0)K (10.0.0.53)",
    _BIND % (0, 7) + _ASKED + "query: a.example IN HTTPS -T (2001:db8::53)",
    _BIND % (2, 70) + "client 2001:db8::1#4000: query: b_c.example IN AAAA +",
    _BIND % (3, 1) + "info: client fe80::1%eth0#4 (x): view in: query: x IN TYPE65 +TC (10.0.0.53)",
    _BIND % (3, 2) + "queries: info: " + _ASKED + "view in: query: x.example IN PTR +S (10.0.0.53)",
    _BIND % (4, 3) + "queries: info: " + _ASKED + "query: x.example. IN A + (10.0.0.53)",
    _BIND % (4, 4) + "queries: info: " + _ASKED + "query: . IN NS +ET(0) (::ffff:10.0.0.53)",
    _BIND % (4, 5) + _ASKED + "query: a\\032b.example IN A + (10.0.0.53) [ECS 10.0.0.0/24/0]",
    _BIND % (5, 6)
    + "responses: info: "
    + _ASKED
    + "response: a.example IN A NOERROR 1 0 0 + (10.0.0.53)",
    _BIND % (5, 7) + "rpz: info: " + _ASKED + "rpz QNAME NXDOMAIN rewrite a.example/A/IN via a.rpz",
    "2026-11-20T12:00:05.123Z queries: info: " + _ASKED + "query: iso.example IN A + (10.0.0.53)",
]
_SQUID = "17951328%02d.%03d "
SQUID_LINES = [
    _SQUID % (1, 5)
    + "   120 10.0.0.1 TCP_TUNNEL/200 4000 CONNECT www.TikTok.com:443 - HIER_DIRECT/192.0.2.1 -",
    _SQUID % (1, 6)
    + "     0 10.0.0.2 TCP_DENIED/403 3900 CONNECT x.example:8443 - HIER_NONE/- text/html",
    _SQUID % (2, 0)
    + "  2000 10.0.0.2 TCP_MISS/200 390 GET http://a.example/p%20?x b HIER_DIRECT/2001:db8::1 a/b",
    _SQUID % (3, 0)
    + "    10 10.0.0.2 TCP_DENIED/407 390 GET https://b.example:4443/ - HIER_NONE/- -",
    _SQUID % (3, 1)
    + "    10 pc.example TCP_MISS_ABORTED/000 0 POST http://b.example:80 - HIER_DIRECT/b.example -",
    _SQUID % (3, 2)
    + "     5 10.0.0.3 TCP_MISS_ABORTED/000 0 POST http://b.example - ORIGINAL_DST/192.0.2.7 -",
    _SQUID % (4, 2) + "     5 10.0.0.3 NONE_NONE/400 0 NONE error:invalid-request - HIER_NONE/- -",
    _SQUID % (4, 3) + "     5 10.0.0.3 UDP_MISS/000 0 ICP_QUERY http://b.example/ - HIER_NONE/- -",
    _SQUID % (5, 3)
    + "     5 10.0.0.3 TCP_MISS/503 7 get http://192.0.2.9:0/ - FIRSTUP_PARENT/192.0.2.3 -",
    _SQUID % (5, 4)
    + '     5 10.0.0.3 TCP_TUNNEL/200 0 CONNECT 192.0.2.9:443 - HIER_DIRECT/192.0.2.9 - "s.test"',
    _SQUID % (5, 5) + "    -5 10.0.0.3 TAG_NONE/200 0 CONNECT [2001:db8::9]:443 - - -",
    _SQUID % (5, 6) + "     5 10.0.0.3 NONE/503 0 CONNECT no.example:443 - HIER_NONE/- -",
    _SQUID % (5, 7) + "     5 10.0.0.3 NONE/200 9 GET ftp://u@no.example./ - PINNED/192.0.2.9 -",
]


def said(paths: Sequence[Path], options: LogOptions | None = None) -> tuple[Any, ...]:
    """The records of logs in batches, and all counts."""
    counts = RunStatistics()
    batches = [
        [
            observation_record(batch, row)
            for start, stop in batch.spans
            for row in range(start, stop)
        ]
        for unit in units(paths, options)
        for batch in names_of_log(unit, counts)
    ]
    return batches, counts


def assert_same(
    monkeypatch: pytest.MonkeyPatch, paths: Sequence[Path], options: LogOptions | None = None
) -> int:
    """Compare both ways; returns how many lines were plain."""
    plain = 0
    count: Callable[..., None] = log_reader.LogReader.count_plain

    def counted(reader: log_reader.LogReader, lines: int, rows: ordering.Rows) -> None:
        nonlocal plain
        plain += lines
        count(reader, lines, rows)

    with monkeypatch.context() as patch:
        patch.setattr(log_reader.LogReader, "count_plain", counted)
        patch.setattr(log_reader, "IS_COMPILED", True)
        found = said(paths, options)
        patch.setattr(log_reader, "IS_COMPILED", False)
        assert found == said(paths, options)
    return plain


def damaged(line: str, chosen: random.Random) -> bytes:
    """A line of which something is changed."""
    octets = bytearray(line.encode())
    for _ in range(chosen.choice((1, 1, 1, 2, 5))):
        at = chosen.randrange(len(octets))
        other = chosen.randrange(len(octets))
        match chosen.randrange(6):
            case 0:
                octets[at] = chosen.randrange(256)
            case 1:
                octets[at:at] = bytes(
                    [chosen.choice(b'\t",:{}[]()-. \\\r0123456789aAT@#/%+eE\0\x80')]
                )
            case 2:
                del octets[at : at + chosen.randrange(1, 4)]
            case 3:
                octets[at:at] = octets[other : other + chosen.randrange(40)]
            case 4:
                divider = next((each for each in (b"\t", b",") if each in octets), b" ")
                parts = octets.split(divider)
                one, two = chosen.randrange(len(parts)), chosen.randrange(len(parts))
                parts[one] = parts[two]
                octets = bytearray(divider.join(parts))
            case _:
                found = [*re.finditer(rb"[0-9]+", octets)]
                if found:
                    part = chosen.choice(found)
                    words = (b"0", b"00", b"-", b"65536", b"9" * 20, b"1e3", b"1.5", b"null")
                    octets[part.start() : part.end()] = chosen.choice(words)
    return bytes(octets).replace(b"\n", b"")


def test_the_samples_of_all_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = 0
    for folder in sorted(SAMPLES.iterdir()):
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                plain += assert_same(monkeypatch, [file], LogOptions(format=folder.name))
    assert plain >= 3


@pytest.mark.parametrize(
    ("name", "head", "lines", "least"),
    [
        ("zeek", ZEEK, ZEEK_LINES, 3),
        ("suricata-eve", EVE_LINES[0], EVE_LINES, 4),
        ("bind", BIND_LINES[0], BIND_LINES, 4),
        ("squid", SQUID_LINES[0], SQUID_LINES, 6),
    ],
    ids=["zeek", "eve", "bind", "squid"],
)
def test_lines_of_many_kinds(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    head: str,
    lines: list[str],
    least: int,
) -> None:
    path = tmp_path / "some.log"
    path.write_text("\n".join([head, *lines]))
    assert assert_same(monkeypatch, [path], LogOptions(format=name)) >= least
    chosen = random.Random(1)
    plain = 0
    # An event without a version ends the plain lines of its file, so there are many files.
    for number in range(50):
        made = [
            damaged(chosen.choice(lines), chosen)
            if chosen.random() < 0.7
            else chosen.choice(lines).encode()
            for _ in range(160)
        ]
        path.write_bytes((b"\n", b"\r\n")[number % 2].join([head.encode(), *made]))
        plain += assert_same(monkeypatch, [path], LogOptions(format=name))
    assert plain > 500


def test_lines_out_of_order_in_several_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = random.Random(2)
    for number, name in enumerate(("dns.log", "dns_red.log")):
        times = [*range(1_679_303_000, 1_679_312_000)]
        for at in range(0, len(times) - 6000, 977):
            other = at + chosen.randrange(6000)
            times[at], times[other] = times[other], times[at]
        lines = [
            f"{time}.{number:06}\tCa\t10.0.{number}.1\t5\t10.0.0.53\t53\tudp\t-\tn{time}.example\t1\tA"
            "\t0\tNOERROR\t192.0.2.1\t5.0"
            for time in times
        ]
        lines[::500] = [line.replace(".example", "\\x2e.example") for line in lines[::500]]
        (tmp_path / name).write_text("\n".join([ZEEK, *lines, ""]))
    assert assert_same(monkeypatch, [tmp_path / "dns.log", tmp_path / "dns_red.log"]) > 17_000
    batches, counts = said([tmp_path / "dns.log", tmp_path / "dns_red.log"])
    assert sum(map(len, batches)) == 18_000
    assert counts.anomalies["log-record-late"] > 0


@pytest.mark.parametrize(
    ("name", "head", "lines"),
    [
        ("zeek", ZEEK.split("\n"), ZEEK_LINES),
        ("suricata-eve", [], EVE_LINES),
        ("bind", [], BIND_LINES),
        ("squid", [], SQUID_LINES),
    ],
)
def test_the_source_reads_what_the_built_form_reads(
    name: str, head: list[str], lines: list[str]
) -> None:
    reader = log_reader.LogReader("some.log", name, LogOptions())
    for line in head or lines[:1]:
        assert bool([*reader.read(1, line.encode())]) == (not head)
    chosen = random.Random(3)
    made = [line.encode() for line in lines]
    made += [damaged(chosen.choice(lines), chosen) for _ in range(900)]
    found = [read_plain(module, reader, made) for module in (plain_lines, INTERPRETED)]
    assert found[0] == found[1]
    # Some of the damaged lines are plain, too.
    assert len(found[0]) > len(lines)


def read_plain(module: Any, reader: log_reader.LogReader, lines: list[bytes]) -> list[str]:
    """The observations in the lines that are plain."""
    layout = reader._reader.layout
    assert layout is not None
    plain = module.PlainLines(layout, "zeek", "some.log", ("server",))
    found = []
    for number, line in enumerate(lines, 1):
        at = [array("q", [value]) for value in (0, len(line), number)]
        was_read = plain.read(bytearray(line), *at, 0, 1) == 1
        rows = plain.found()
        assert was_read == (rows is not None)
        if rows is not None:
            rows.batch.sources = ("some.log",)
            found += [repr(rows.batch.observation(row)) for row in range(rows.first, rows.last)]
    return found


def test_both_files_of_roles_have_the_same() -> None:
    text = (ROOT / "netwatch" / "logs" / "layout.pxd").read_text(encoding="utf-8")
    in_c = {name: int(value) for name, value in re.findall(r"(ROLE\w+) = (\d+)", text)}
    in_python = {name: value for name, value in vars(layout).items() if type(value) is int}
    assert in_c == in_python
    assert sorted(in_c.values()) == [*range(len(in_c))]


def test_ends_of_tunnels_do_not_delay_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chosen = random.Random(4)
    ends = [*range(1_795_132_000, 1_795_141_000)]
    lines = [
        f"{end}.5 {chosen.choice((1, 9, 4_000_000))} 10.0.0.1 TCP_TUNNEL/200 {number % 2} CONNECT"
        f" n{number}.example:443 - HIER_DIRECT/192.0.2.1 -"
        for number, end in enumerate(ends)
    ]
    lines[::400] = [line + " x" for line in lines[::400]]
    path = tmp_path / "access.log"
    path.write_text("\n".join(lines))
    assert assert_same(monkeypatch, [path]) == 9000 - len(lines[::400])
    _, counts = said([path])
    assert counts.anomalies["log-record-late"] == 0
