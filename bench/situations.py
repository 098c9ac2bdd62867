"""Situations with known answers, given to netwatch, Suricata, tshark and nDPI:
``python bench/situations.py``. With ``--write`` the table goes to ``bench/conformance.md``.

Each situation of ``tests/support/situations`` is one capture. Suricata has a rule for each domain
of the banned app; of tshark and nDPI it counts whether they show such a name. A tool that is not
installed is left out, and the page says so.
"""

import argparse
import csv
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import shared  # noqa: F401 - extends the import path
import suricata
from conformance.report import PAGE, SITUATIONS
from support.judged_situations import Judged, all_situations, judged, written
from support.situations.situation import Situation
from support.tshark import fields

DOMAINS = ("tiktok.com", "tiktokv.com", "tiktokcdn.com", "tiktokv.eu", "tiktokv.us")
"""The domains of the banned app that the peers look for."""

NAMES = (
    "dns.qry.name",
    "dns.cname",
    "tls.handshake.extensions_server_name",
    "http.host",
    "http2.headers.authority",
    "socks.remote_name",
)
"""The fields of tshark that have a name which a device asked for."""

RIGHT, WRONG, SILENT = "right", "wrong", "silent"


@dataclass(frozen=True, slots=True)
class Tool:
    """A peer: whether it names the banned app in the capture of a situation. `version` is the
    command that prints its version."""

    name: str
    version: Sequence[str]
    names_app: Callable[[Path, Path], bool]


def is_banned(name: str) -> bool:
    """Whether a name, which may have a port, is one of the banned app's."""
    host = name.lower().partition(":")[0].rstrip(".")
    return any(f".{host}".endswith(f".{domain}") for domain in DOMAINS)


def suricata_alerts(capture: Path, folder: Path) -> bool:
    """Whether Suricata raises an alert by one of the rules."""
    work = folder / "suricata"
    done = subprocess.run(suricata.alerts(capture, work, DOMAINS), capture_output=True, timeout=120)
    if done.returncode:
        sys.exit(f"suricata: {done.stderr.decode(errors='replace')}")
    return bool((work / "fast.log").read_text(encoding="ascii", errors="replace"))


def tshark_names(capture: Path, folder: Path) -> bool:
    """Whether a field of tshark has a banned name."""
    rows = fields(capture, NAMES)
    return any(is_banned(name) for row in rows for cell in row for name in cell.split(","))


def ndpi_names(capture: Path, folder: Path) -> bool:
    """Whether nDPI gives a flow a banned name."""
    table = folder / "ndpi.csv"
    subprocess.run(
        ["ndpiReader", "-q", "-i", str(capture), "-C", str(table)],
        capture_output=True,
        check=True,
        timeout=120,
    )
    with table.open(encoding="utf-8", errors="replace", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return any(is_banned(row["server_name_sni"] or "") for row in rows)


TOOLS = (
    Tool("Suricata", ("suricata", "-V"), suricata_alerts),
    Tool("tshark", ("tshark", "--version"), tshark_names),
    Tool("nDPI", ("ndpiReader", "-h"), ndpi_names),
)


def version_of(tool: Tool) -> str:
    """The version of a tool; empty where it is not installed."""
    if shutil.which(tool.version[0]) is None:
        return ""
    done = subprocess.run(tool.version, capture_output=True, text=True, timeout=60)
    found = re.search(r"\d+\.\d+(\.\d+)?", done.stdout + done.stderr)
    return found[0] if found else "of an unknown version"


def told(contact: bool | None, names_app: bool) -> str:
    """What a tool is that names the app or does not, where the device turned to it or did not."""
    if contact is None:
        return "names it" if names_app else "does not"
    if contact:
        return RIGHT if names_app else SILENT
    return WRONG if names_app else RIGHT


def of_netwatch(situation: Situation, found: Judged) -> tuple[str, str]:
    """What netwatch is, and what else it says."""
    word = told(situation.contact, bool(found.alerts))
    also = []
    for alert in found.alerts:
        also += [alert["confidence"], alert["kind"]["value"], alert["outcome"]]
        also += [each["type"] for each in alert.get("contradictions", ())]
    also += [f"blind spot {reason}" for reason in sorted(found.blind)]
    return word, ", ".join(also)


def row_of(situation: Situation, tools: Sequence[Tool]) -> tuple[tuple[str, ...], dict[str, str]]:
    """A row of the table, and what each tool is."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        capture, _ = written(situation, folder)
        words = {
            tool.name: told(situation.contact, tool.names_app(capture, folder)) for tool in tools
        }
    word, also = of_netwatch(situation, judged(situation))
    better = [name for name, each in words.items() if each == RIGHT and word in (WRONG, SILENT)]
    words = {"netwatch": word, **words}
    return (situation.title, also, *words.values(), ", ".join(better)), words


def lines_of(situations: Iterable[Situation], tools: Sequence[Tool]) -> list[str]:
    """The part of the page."""
    names = ["netwatch", *(tool.name for tool in tools)]
    header = ("situation", "what netwatch says", *names, "better than netwatch")
    sums: dict[str, Counter[str]] = {name: Counter() for name in names}
    rows = []
    for situation in situations:
        cells, words = row_of(situation, tools)
        rows.append(cells)
        for name, word in words.items():
            sums[name][word] += 1
    versions = ", ".join(f"{tool.name} {version_of(tool)}" for tool in tools)
    missing = [tool.name for tool in TOOLS if tool not in tools]
    left_out = [f"Not installed, and left out: {', '.join(missing)}.", ""] if missing else []
    return [
        f"The captures of the [situations](situations.md) as these tools read them: {versions}.",
        "Suricata has rules for the domains of the app; of tshark and nDPI it counts whether they",
        "show a name of the app. `bench/situations.py --write` writes this part.",
        "",
        "- *right*: the tool names the app, and the device did turn to it, by a lookup or a",
        "  connection, whatever came of it; or it does neither.",
        "- *wrong*: the tool names the app, and the device did not turn to it.",
        "- *silent*: the device turned to the app, and the tool does not name it.",
        "",
        "Whether the app was in use, and whether it was reached, only netwatch says. A report of",
        "netwatch counts whatever its confidence.",
        "",
        *left_out,
        *table(
            ("tool", RIGHT, WRONG, SILENT),
            ((name, *(str(sums[name][word]) for word in (RIGHT, WRONG, SILENT))) for name in names),
        ),
        "",
        *table(header, rows),
    ]


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def main() -> None:
    """Give the situations to the tools, and print or write what they are."""
    parser = argparse.ArgumentParser(description="Compare netwatch with others on situations.")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    args = parser.parse_args()
    tools = [tool for tool in TOOLS if version_of(tool)]
    text = "\n".join(lines_of(all_situations(), tools))
    if args.write:
        part = f"<!-- situations -->\n\n{text}\n\n<!-- /situations -->"
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(SITUATIONS.sub(lambda _: part, page), encoding="utf-8")
    else:
        print(text)


if __name__ == "__main__":
    main()
