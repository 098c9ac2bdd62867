"""The packet loss of a live capture with a store, beside that of one without.

The store is written, compacted again and again, and asked by five readers at the same time. The
capture itself has the core that it has without a store; the writer, the compactions and the readers
share the cores with it and with the sender.

``python bench/live_store.py --rates 5000,20000,50000`` sends the same traffic at rising rates to
Suricata and to a capture with a store, one after the other, and prints what became of every packet.
It needs root, `tcpreplay` and Suricata. The exit status is 1 if packets of netwatch are in no count
or in two, or if it lost or skipped any at a rate at which Suricata lost none.
"""

import argparse
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import live
import veth
from captures import Traffic, capture
from compare import Options, progress
from measure import ENVIRONMENT, netwatch
from peers import CONFIG
from shared import ROOT
from stored import Peak

RATES = (25_000, 100_000, 245_000)
"""Packets per second."""
SECONDS = 10.0
"""Duration of each rate."""

QUESTIONS = (
    "SELECT name, count(*) FROM observation GROUP BY name ORDER BY 2 DESC LIMIT 20",
    "SELECT client_ip, count(*) FROM observation WHERE name LIKE '%.tiktok.com' GROUP BY 1",
    "SELECT count(*) FROM flow WHERE bytes_in > 100000",
    "SELECT evidence, count(*) FROM observation GROUP BY 1",
    "SELECT app, count(*) FROM incident GROUP BY 1",
)
"""What the five readers ask, each over and over."""

KEPT = "SELECT (SELECT count(*) FROM observation), (SELECT count(*) FROM flow)"
"""How many observations and flows were kept."""


def loss_with_store(options: Options) -> dict[str, Any]:
    """Measure at each of `RATES` with and without a store; raises
    `veth.MissingError`."""
    veth.require("tcpreplay", "taskset", "chrt")
    path, _ = capture(Traffic("office", live.PACKETS), options.work)
    (plain,) = (reader for reader in live.READERS if reader.name == "netwatch live")
    rows = []
    for rate in RATES:
        progress(f"loss with a store: {rate or 'all'} packets/s")
        rows.append(live.measure_reader(plain, rate, path, options.work, SECONDS))
        folder = options.work / "live-store"
        shutil.rmtree(folder, ignore_errors=True)
        stored = replace(plain, name="with a store", command=with_store(folder))
        with Peak() as sizes, _readers(folder) as answers:
            row = live.measure_reader(stored, rate, path, options.work, SECONDS, sizes.watch)
        said = (options.work / "reader.err").read_text(errors="replace")
        skipped = re.findall(r"^lost .* ([\d,]+) packets? not recorded$", said, re.MULTILINE)
        kept = _ask(folder, KEPT)
        more = {"pss": sizes.bytes, "skipped": int(skipped[0].replace(",", "")) if skipped else 0}
        rows.append(row | more | {"answers": sum(answers), "kept": kept})
        shutil.rmtree(folder)
    return {"rows": rows}


def with_store(folder: Path, *more: str) -> Callable[[Path], list[str]]:
    """The command of a capture with a store in a folder."""

    def command(work: Path) -> list[str]:
        config = work / "live-store.yaml"
        text = CONFIG.read_text(encoding="utf-8")
        # A relative path counts from the folder of the configuration.
        text = text.replace("devices.csv", str(CONFIG.with_name("devices.csv")))
        config.write_text(f"{text}\nstore: {{path: {folder}}}\n", encoding="utf-8")
        out = str(work / "live.jsonl")
        return netwatch("live", "-i", "in", "-c", str(config), "--format", "jsonl", "-o", out,
                        *more)  # fmt: skip

    return command


@contextmanager
def _readers(folder: Path) -> Iterator[list[int]]:
    """Five readers and a compaction, over and over; the number of answers of each reader."""
    over, answers = threading.Event(), [0] * len(QUESTIONS)

    def read(number: int) -> None:
        while not over.wait(0.1):
            answers[number] += bool(_ask(folder, QUESTIONS[number]))

    def compact() -> None:
        while not over.wait(1.0):
            _run("compact", "--store-path", str(folder))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(len(QUESTIONS))]
    threads.append(threading.Thread(target=compact))
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        over.set()
        for thread in threads:
            thread.join()


def _ask(folder: Path, question: str) -> str:
    return _run("sql", "--store-path", str(folder), "--format", "csv", question)


def _run(*command: str) -> str:
    """What a command of the store prints; empty where there is no store yet."""
    done = subprocess.run(
        netwatch("store", *command), capture_output=True, text=True, env=ENVIRONMENT, timeout=120
    )
    return done.stdout.strip().rpartition("\n")[2] if done.returncode == 0 else ""


COLUMNS: tuple[tuple[str, Callable[[dict[str, Any]], str]], ...] = (
    *live.COLUMNS,
    ("answers", lambda row: f"{row['answers']:,}" if "answers" in row else ""),
    ("not recorded", lambda row: f"{row['skipped']:,}" if "skipped" in row else ""),
    ("peak PSS, MB", lambda row: f"{row['pss'] / 1e6:.0f}" if "pss" in row else ""),
    ("observations and flows kept", lambda row: row.get("kept", "").replace(",", ", ")),
)


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    lines = []
    for row in found["rows"]:
        more = f"; {row['answers']} answers, kept {row['kept']}" if "answers" in row else ""
        lines.append(
            f"{row['reader']:<14} {row['pps']:>9,.0f} packets/s, {row['sent']:>9,} sent,"
            f" {row['lost']:>7,} dropped{more}"
        )
    return "\n".join(lines)


def beside(rates: list[int], seconds: float, work: Path) -> list[dict[str, Any]]:
    """At each rate what became of the packets, with Suricata and with a store. The capture has no
    filter, so that all packets come to it as they do to Suricata."""
    veth.require("tcpreplay", "taskset", "chrt", "suricata")
    path, _ = capture(Traffic("office", live.PACKETS), work)
    readers = {reader.program: reader for reader in live.READERS if reader.sees_all}
    folder, rows = work / "live-store", []
    stored = replace(readers[sys.executable], command=with_store(folder, "--no-filter"))
    for rate in rates:
        other = live.measure_reader(readers["suricata"], rate, path, work, seconds)
        shutil.rmtree(folder, ignore_errors=True)
        row = live.measure_reader(stored, rate, path, work, seconds)
        said = (work / "reader.err").read_text(errors="replace")
        skipped = live.count(r"^lost .* ([\d,]+) packets? not recorded$", said)
        rows.append({
            "pps": row["pps"], "sent": row["sent"], "ring dropped": row["lost"],
            "skipped": skipped, "handled": row["saw"] - skipped,
            "uncounted": row["sent"] - row["lost"] - row["saw"],
            "suricata sent": other["sent"], "suricata dropped": other["lost"],
        })  # fmt: skip
        shutil.rmtree(folder)
    return rows


def main() -> int:
    """Measure beside Suricata, and print a line for each rate."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rates", default="5000,10000,20000,50000,100000,200000", metavar="N,…")
    parser.add_argument("--seconds", type=float, default=live.SECONDS)
    parser.add_argument("--work", type=Path, default=ROOT / "bench" / "out", metavar="FOLDER")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    wrong = False
    for row in beside([*map(int, args.rates.split(","))], args.seconds, args.work.resolve()):
        print(", ".join(f"{name} {value:,.0f}" for name, value in row.items()))
        lost = row["ring dropped"] + row["skipped"]
        wrong |= row["uncounted"] != 0 or (lost > 0 and row["suricata dropped"] == 0)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
