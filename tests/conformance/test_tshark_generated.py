"""Generated captures of every link, format and protocol: exactly their names, and tshark
sees the same."""

import bz2
import gzip
import json
import lzma
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from craft import Wire
from support import tshark
from support.captures import enhanced, interface, pcap, section, simple, unknown
from support.frames import LINKS, Link
from support.traffic import Shows, mixed, shown

from netwatch.cli import main

FIELDS = ("dns.qry.name", "dns.cname", "dns.svcb.targetname", "http.host")
SNI = "tls.handshake.extensions_server_name"

Printed = Callable[[Path], Shows]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Printed:
    """What ``netwatch names`` prints of a file."""

    def _printed(path: Path) -> Shows:
        assert main(["names", str(path), "--format", "jsonl", "-q"]) == 0
        reported = capsys.readouterr()
        assert reported.err == ""
        records = [json.loads(line) for line in reported.out.splitlines()]
        assert all(record["source"] == str(path) for record in records)
        return Counter(
            (record["evidence"], record["client"]["ip"], record["name"]) for record in records
        )

    return _printed


def read_by_tshark(path: Path) -> dict[str, Shows]:
    """What tshark reads, by the interface of the capture; a repeated segment counts once."""
    columns = ("frame.interface_id", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst")
    columns += ("tcp.stream", "tcp.seq_raw", "dns.flags.response", "quic", SNI, *FIELDS)
    seen: dict[str, Shows] = {}
    segments: set[tuple[str, str, str]] = set()
    for values in tshark.fields(path, columns):
        row = dict(zip(columns, values, strict=True))
        segment = row["tcp.stream"], row["tcp.seq_raw"], row[SNI]
        if all(segment) and segment in segments:
            continue
        segments.add(segment)
        answer = row["dns.flags.response"].startswith(("1", "True"))
        end = "dst" if answer else "src"
        client = row[f"ip.{end}"] or row[f"ipv6.{end}"]
        kinds = ["dns-answer" if answer else "dns-query", "dns-cname", "dns-cname", "http-host"]
        kinds.append("quic-sni" if row["quic"] else "tls-sni")
        counts = seen.setdefault(row["frame.interface_id"], Counter())
        for kind, column in zip(kinds, (*FIELDS, SNI), strict=True):
            for name in filter(None, row[column].split(",")):
                counts[kind, client, name.lower().partition(":")[0]] += 1
    return seen


def by_link() -> list[tuple[Link, Wire]]:
    """All protocols on every link, each link with ports of its own."""
    return [(link, mixed(100 + number, link=link)) for number, link in enumerate(LINKS)]


def total(counts: dict[str, Shows]) -> Shows:
    return sum(counts.values(), Counter())


@pytest.mark.parametrize("link", LINKS, ids=lambda link: link.name)
def test_exactly_the_names_on_every_link(link: Link, printed: Printed, tmp_path: Path) -> None:
    wire = mixed(link=link)
    path = tmp_path / "link.pcap"
    path.write_bytes(pcap(wire.frames, link.number))
    assert printed(path) == shown(wire)


def all_links(path: Path) -> dict[str, Shows]:
    """Write all links into one pcapng, an interface each; what each shows."""
    links = by_link()
    blocks = [section(), *(interface(link.number, resolution=9) for link, _ in links)]
    for number, (_, wire) in enumerate(links):
        blocks += [enhanced(frame, time, on=number) for time, frame in wire.frames]
    path.write_bytes(b"".join(blocks))
    return {str(number): shown(wire) for number, (_, wire) in enumerate(links)}


def test_all_links_in_one_pcapng(printed: Printed, tmp_path: Path) -> None:
    path = tmp_path / "links.pcapng"
    assert total(all_links(path)) == printed(path)


@tshark.needed
def test_tshark_agrees_on_every_link(tmp_path: Path) -> None:
    path = tmp_path / "links.pcapng"
    expected = all_links(path)
    assert read_by_tshark(path) == expected


def classic(order: str, nanos: bool) -> Callable[[Wire], bytes]:
    return lambda wire: pcap(wire.frames, order=order, nanos=nanos)


def ng(order: str, *, obsolete: bool = False) -> Callable[[Wire], bytes]:
    """Two sections, the second with two interfaces of different clocks, and blocks that
    nobody knows in between."""

    def write(wire: Wire) -> bytes:
        half = len(wire.frames) // 2
        out = [section(order), unknown(order), interface(order=order)]
        out += [
            enhanced(frame, time // 1000, order=order, obsolete=obsolete)
            for time, frame in wire.frames[:half]
        ]
        other = ">" if order == "<" else "<"
        out += [section(other), interface(order=other, resolution=9)]
        out += [interface(order=other, offset=1_000_000_000), unknown(other)]
        for number, (time, frame) in enumerate(wire.frames[half:]):
            ticks = (time, time // 1000 - 10**15)[number % 2]
            out.append(enhanced(frame, ticks, on=number % 2, order=other, obsolete=obsolete))
        return b"".join(out)

    return write


def simples(wire: Wire) -> bytes:
    return section() + interface() + b"".join(simple(frame) for _, frame in wire.frames)


FORMATS = {
    "pcap-little-us": classic("<", False),
    "pcap-big-us": classic(">", False),
    "pcap-little-ns": classic("<", True),
    "pcap-big-ns": classic(">", True),
    "pcapng-little": ng("<"),
    "pcapng-big": ng(">"),
    "pcapng-obsolete": ng("<", obsolete=True),
    "pcapng-simple": simples,
}
COMPRESSIONS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "lz4": lz4.frame.compress,
}


@pytest.mark.parametrize("write", FORMATS.values(), ids=FORMATS.keys())
def test_exactly_the_names_in_every_format(
    write: Callable[[Wire], bytes], printed: Printed, tmp_path: Path
) -> None:
    wire = mixed()
    path = tmp_path / "capture"
    path.write_bytes(write(wire))
    assert printed(path) == shown(wire)


@tshark.needed
@pytest.mark.parametrize(
    "kind", ["pcap-big-us", "pcap-little-ns", "pcapng-little", "pcapng-obsolete"]
)
def test_tshark_agrees_in_these_formats(kind: str, tmp_path: Path) -> None:
    wire = mixed()
    path = tmp_path / "capture"
    path.write_bytes(FORMATS[kind](wire))
    assert total(read_by_tshark(path)) == shown(wire)


@pytest.mark.parametrize("compress", COMPRESSIONS.values(), ids=COMPRESSIONS.keys())
@pytest.mark.parametrize("kind", ["pcap-little-us", "pcapng-big"])
def test_exactly_the_names_in_every_compression(
    compress: Callable[[bytes], bytes], kind: str, printed: Printed, tmp_path: Path
) -> None:
    wire = mixed()
    path = tmp_path / "capture.of-no-ending"
    path.write_bytes(compress(FORMATS[kind](wire)))
    assert printed(path) == shown(wire)


def test_times_are_the_same_in_every_format(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wire = mixed()
    wire.frames = [(time // 1000 * 1000, frame) for time, frame in wire.frames]
    reported = set()
    for kind in FORMATS.keys() - {"pcapng-simple"}:
        path = tmp_path / kind
        path.write_bytes(FORMATS[kind](wire))
        assert main(["names", str(path), "--format", "jsonl", "-q"]) == 0
        records = map(json.loads, capsys.readouterr().out.splitlines())
        reported.add(tuple(record["time"].rstrip("Z").rstrip("0") for record in records))
    assert len(reported) == 1
