"""Logs of which nearly nothing is of interest, beside the scripts that people write for them.

A script greps a list of names (``grep -F -f``), and picks the fields of what is left (jq, awk). Its
list has the same domains as the rules of netwatch. It knows nothing of label boundaries, devices,
bans or rotation, so that the comparison is of reading alone. The last run has ten million lines:
the peak of memory has to stay what it is for a tenth of them.
"""

import random
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import veth
from alternate import alternate
from compare import Options
from measure import netwatch

LINES = 10_000_000
"""Lines of the log with which memory is measured, if office traffic has its full size."""

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


def dnsmasq(count: int) -> Iterator[str]:
    """Queries and answers in the format of dnsmasq, with serial numbers."""
    for at, (time, client, name, address) in enumerate(_lookups(count // 2)):
        head = f"Nov 20 {_clock(time)} dnsmasq[290]: {at} {client}/{40000 + at % 20000}"
        yield f"{head} query[A] {name} from {client}\n{head} reply {name} is {address}\n"


FORMATS: dict[str, tuple[Callable[[int], Iterator[str]], str]] = {
    "eve": (
        eve,
        "grep -iF -f {names} {log} | jq -r"
        " 'select(.event_type==\"dns\") | [.timestamp,.src_ip,.dns.rrname] | @tsv'",
    ),
    "zeek": (zeek, "grep -iF -f {names} {log} | awk -F'\\t' '{{print $1, $3, $10}}'"),
    "dnsmasq": (dnsmasq, "grep -iF -f {names} {log} | awk '/query/ {{print $3, $7, $9}}'"),
}
"""How a log of each format is written, and the script that reads it."""


def logs(options: Options) -> dict[str, Any]:
    """Measure each format and its script, and the memory of a long log. Raises
    `veth.MissingError` where no format of logs is there."""
    from netwatch.logs.registry import LOG_FORMATS

    if "dnsmasq" not in LOG_FORMATS:
        raise veth.MissingError("netwatch reads no logs")
    count = max(100_000, LINES // 10 * options.office // FULL)
    names = _names(options.work / "names.txt")
    first = _write(options.work / "logs-start.log", dnsmasq, 2)
    commands = {"start": _scan(first)}
    for name, (made, script) in FORMATS.items():
        path = _write(options.work / f"logs-{name}.log", made, count)
        commands[f"{name} netwatch"] = _scan(path)
        line = script.format(names=shlex.quote(str(names)), log=shlex.quote(str(path)))
        commands[f"{name} script"] = ["sh", "-c", line]
    long = _write(options.work / "logs-long.log", dnsmasq, 10 * count)
    commands["long"] = _scan(long)
    found = alternate("logs", commands, options)
    long.unlink()
    rows = [
        {
            "format": name,
            "cpu": found[f"{name} netwatch"]["cpu"] - found["start"]["cpu"],
            "script": found[f"{name} script"]["cpu"],
            "rss": found[f"{name} netwatch"]["rss"],
        }
        for name in FORMATS
    ]
    rows.append(
        {
            "format": "dnsmasq, ten times as long",
            "cpu": found["long"]["cpu"] - found["start"]["cpu"],
            "script": None,
            "rss": found["long"]["rss"],
        }
    )
    return {"lines": count, "rows": rows}


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    lines = [f"logs of {found['lines']:,} lines, one in {HITS:,} of interest, CPU beyond start"]
    for row in found["rows"]:
        count = found["lines"] * (10 if row["script"] is None else 1)
        rate = count / max(row["cpu"], 1e-9)
        beside = f", the script {row['script'] / row['cpu']:.2f} times" if row["script"] else ""
        lines.append(
            f"{row['format']:<26} {row['cpu']:7.2f} s {rate:12,.0f} lines a CPU second,"
            f" {row['rss'] / 1e6:.0f} MB peak{beside}"
        )
    return "\n".join(lines)


def _scan(path: Path) -> list[str]:
    return netwatch("scan", "-q", "--format", "jsonl", str(path))


def _write(path: Path, made: Callable[[int], Iterator[str]], count: int) -> Path:
    with path.open("w", encoding="ascii") as file:
        file.writelines(made(count))
    return path


def _names(path: Path) -> Path:
    """The domains of the rules, one a line."""
    from netwatch import config
    from netwatch.engine.judge import Judge

    domains = sorted(set(Judge(config.load(None)).domains_of_interest()))
    path.write_bytes(b"".join(domain + b"\n" for domain in domains))
    return path
