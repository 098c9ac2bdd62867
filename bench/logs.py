"""Logs of which nearly nothing is of interest, beside the scripts that people write for them.

A script greps a list of names (``grep -F -f``), and picks the fields of what is left (jq, awk). Its
list has the same domains as the rules of netwatch. It knows nothing of label boundaries, devices,
bans or rotation, so that the comparison is of reading alone. `names` reads the first part of the
same log, since it has a line to write for each of its lines.
"""

import random
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alternate import alternate
from compare import Options
from measure import as_text, netwatch

LINES = 1_000_000
"""Lines of a log that is scanned, if office traffic has its full size."""

NAMED = 10
"""`names` reads one part in so many of it."""

HITS = 100_000
"""One line in so many has a name of a banned app."""

FULL = 2_000_000
"""Packets of office traffic in a whole run, to which the size of the logs is relative."""

_START = 1_795_132_800
_TLDS = ("example.com", "example.org", "example.net", "cdn.example", "test.example.co.uk")
_ZEEK = (
    "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tdns\n"
    "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tproto\ttrans_id\trtt\tquery"
    "\tqclass\tqclass_name\tqtype\tqtype_name\trcode\trcode_name\tAA\tTC\tRD\tRA\tZ\tanswers"
    "\tTTLs\trejected\n"
)


def _lookups(count: int) -> Iterator[tuple[int, str, str, str]]:
    """Time, client, name and address of lookups that differ from each other."""
    chosen = random.Random(1)
    for at in range(count):
        name = f"h{chosen.randrange(10**5)}.{chosen.choice('abcdefgh')}.{chosen.choice(_TLDS)}"
        if at % HITS == HITS // 2:
            name = "www.tiktok.com"
        client = f"10.0.{at % 200}.{1 + at % 250}"
        yield _START + at // 100, client, name, f"192.0.2.{at % 250}"


def _clock(time: int) -> str:
    return f"{time // 3600 % 24:02}:{time // 60 % 60:02}:{time % 60:02}"


def eve(count: int) -> Iterator[str]:
    """Answers in the format of Suricata."""
    for at, (time, client, name, address) in enumerate(_lookups(count)):
        yield (
            f'{{"timestamp":"2026-11-20T{_clock(time)}.000000+0000","flow_id":{10**12 + at},'
            f'"event_type":"dns","src_ip":"{client}","src_port":{40000 + at % 20000},'
            '"dest_ip":"10.0.0.53","dest_port":53,"proto":"UDP","dns":{"version":2,'
            f'"type":"answer","id":{at % 65536},"flags":"8180","qr":true,"rd":true,"ra":true,'
            f'"rrname":"{name}","rrtype":"A","rcode":"NOERROR","answers":[{{"rrname":"{name}",'
            f'"rrtype":"A","ttl":300,"rdata":"{address}"}}],"grouped":{{"A":["{address}"]}}}}}}\n'
        )


def zeek(count: int) -> Iterator[str]:
    """Lookups in the format of Zeek."""
    yield _ZEEK
    for at, (time, client, name, address) in enumerate(_lookups(count)):
        yield (
            f"{time}.000000\tC{at:x}abcdef\t{client}\t{40000 + at % 20000}\t10.0.0.53\t53\tudp"
            f"\t{at % 65536}\t0.010000\t{name}\t1\tC_INTERNET\t1\tA\t0\tNOERROR\tF\tF\tT\tT\t0"
            f"\t{address}\t300.000000\tF\n"
        )


def bind(count: int) -> Iterator[str]:
    """Queries in the format of BIND."""
    for at, (time, client, name, _) in enumerate(_lookups(count)):
        yield (
            f"20-Nov-2026 {_clock(time)}.{at % 1000:03} queries: info: client"
            f" @0x7f1c2c00{at % 65536:04x} {client}#{40000 + at % 20000} ({name}): query: {name}"
            " IN A +E(0)K (10.0.0.53)\n"
        )


def squid(count: int) -> Iterator[str]:
    """Tunnels in the native format of Squid."""
    for at, (time, client, name, address) in enumerate(_lookups(count)):
        yield (
            f"{time}.{at % 1000:03} {at % 2000:6} {client} TCP_TUNNEL/200 {4000 + at % 90000}"
            f" CONNECT {name}:443 - HIER_DIRECT/{address} -\n"
        )


FORMATS: dict[str, tuple[Callable[[int], Iterator[str]], str]] = {
    "Zeek": (zeek, "grep -iF -f {names} {log} | awk -F'\\t' '{{print $1, $3, $10}}'"),
    "EVE": (
        eve,
        "grep -iF -f {names} {log} | jq -r"
        " 'select(.event_type==\"dns\") | [.timestamp,.src_ip,.dns.rrname] | @tsv'",
    ),
    "BIND": (bind, "grep -iF -f {names} {log} | awk '{{print $1, $2, $7, $10}}'"),
    "Squid": (squid, "grep -iF -f {names} {log} | awk '{{print $1, $3, $7}}'"),
}
"""How a log of each format is written, and the script that reads it."""


def logs(options: Options) -> dict[str, Any]:
    """Measure `scan`, `names` and the script for each format."""
    count = max(20_000, LINES * options.office // FULL)
    names = _names(options.work / "names.txt")
    rows = []
    for name, (made, script) in FORMATS.items():
        stem = f"logs-{name.lower()}"
        first = _write(options.work / f"{stem}-first.log", made(2))
        path = _write(options.work / f"{stem}.log", made(count))
        part = _write(options.work / f"{stem}-part.log", made(count // NAMED))
        line = script.format(names=shlex.quote(str(names)), log=shlex.quote(str(path)))
        found = alternate(stem, {
            "start of scan": _scan(first), "scan": _scan(path), "script": ["sh", "-c", line],
            "start of names": _names_of(first), "names": _names_of(part),
        }, options)  # fmt: skip
        rows.append({
            "format": name, "lines": count,
            "scan": _rate(path, found["scan"]["cpu"] - found["start of scan"]["cpu"]),
            "names": _rate(part, found["names"]["cpu"] - found["start of names"]["cpu"]),
            "script": _rate(path, found["script"]["cpu"]),
            "rss": max(found["scan"]["rss"], found["names"]["rss"]),
        })  # fmt: skip
        for each in (first, path, part):
            each.unlink()
    return {"rows": rows}


def _rate(path: Path, cpu: float) -> float:
    """MB a CPU second."""
    return path.stat().st_size / 1e6 / max(cpu, 1e-3)


COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    ("log", lambda row: row["format"]),
    ("lines", lambda row: f"{row['lines']:,}"),
    ("`scan`, MB a CPU s", lambda row: f"{row['scan']:,.0f}"),
    ("the script", lambda row: f"{row['script']:,.0f}"),
    ("`names`, MB a CPU s", lambda row: f"{row['names']:,.1f}"),
    ("peak MB", lambda row: f"{row['rss'] / 1e6:.0f}"),
)


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    return as_text(COLUMNS, found["rows"])


def _scan(path: Path) -> list[str]:
    return netwatch("scan", "-q", "--format", "jsonl", str(path))


def _names_of(path: Path) -> list[str]:
    return netwatch("names", "-q", "--format", "jsonl", str(path))


def _write(path: Path, lines: Iterator[str]) -> Path:
    with path.open("w", encoding="ascii") as file:
        file.writelines(lines)
    return path


def _names(path: Path) -> Path:
    """The domains of the rules, one a line."""
    from netwatch import config
    from netwatch.engine.judge import Judge

    domains = sorted(set(Judge(config.load(None)).domains_of_interest()))
    path.write_bytes(b"".join(domain + b"\n" for domain in domains))
    return path
