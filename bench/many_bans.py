"""Many bans on one app: a scan with one ban, and with a thousand.

Each ban is in force on one day, and the capture is of a day on which one of them is. The bans that
are not in force have to cost nothing but the reading of the configuration. Then all bans are in
force on that day, and the lookups are those of one client: its contacts are judged and counted once
for all bans, and what each ban costs is its alert.
"""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from alternate import alternate, table
from captures import Traffic, capture
from compare import Options
from measure import netwatch
from netwatch_only import MeasurementError, require_complete_count
from peers import CONFIG

BANS = 1000
BANNED_SHARE = 0.05
"""The share of contacts to banned names in the capture."""
DAY = date(2023, 3, 20)
"""The day of the generated traffic."""


def configuration(bans: int, work: Path, *, all_apply: bool = False) -> Path:
    """Write the sample configuration with this number of bans in place of its own, of which one is
    in force on the day of the traffic, or all are; its path."""
    sample = CONFIG.read_text(encoding="utf-8")
    head, _, rest = sample.partition("\nbans:\n")
    tail = rest.partition("\nsignatures:")[2]
    days = (DAY - timedelta(days=0 if all_apply else number) for number in range(bans))
    rows = [
        f"  - {{id: ban-{number}, authority: BE-FED, apps: [tiktok], forbids: [service],"
        f" from: {day}, until: {day}, timezone: Europe/Brussels}}"
        for number, day in enumerate(days)
    ]
    text = f"{head}\nbans:\n" + "\n".join(rows) + f"\n\nsignatures:{tail}"
    path = work / f"bans-{bans}{'-applying' if all_apply else ''}.yaml"
    inventory = f"inventory: {CONFIG.parent / 'devices.csv'}"
    path.write_text(text.replace("inventory: devices.csv", inventory), encoding="utf-8")
    return path


def many_bans(options: Options) -> dict[str, Any]:
    """Measure a scan of DNS lookups with one ban and with `BANS`."""
    traffic = Traffic("dns", max(1000, options.dns // 8), banned=BANNED_SHARE)
    path, manifest = capture(traffic, options.work)
    commands = {
        f"{bans} bans": netwatch(
            "scan", "-q", "-c", str(configuration(bans, options.work)), "--format", "jsonl",
            str(path),
        )
        for bans in (1, BANS)
    }  # fmt: skip
    found = alternate("many-bans", commands, options)
    for row in found.values():
        require_complete_count(row["reported"], manifest["banned_clients"])
    if len({row["reported"] for row in found.values()}) != 1:
        raise MeasurementError("the number of alerts depends on the bans that are not in force")
    rows = [{"bans": int(name.split()[0]), **row} for name, row in found.items()]
    return {
        "packets": traffic.packets,
        "contacts": sum(manifest["banned"].values()),
        "rows": rows,
        "applying": applying_bans(options),
    }


def applying_bans(options: Options) -> list[dict[str, Any]]:
    """Measure a scan of the lookups of one client, with one ban and with `BANS` that apply."""
    traffic = Traffic("dns", max(1000, options.dns // 8), clients=1, banned=BANNED_SHARE)
    path, manifest = capture(traffic, options.work)
    commands = {
        f"{bans} bans": netwatch(
            "scan", "-q", "-c", str(configuration(bans, options.work, all_apply=True)),
            "--format", "jsonl", str(path),
        )
        for bans in (1, BANS)
    }  # fmt: skip
    found = alternate("applying-bans", commands, options)
    rows = [{"bans": int(name.split()[0]), **row} for name, row in found.items()]
    for row in rows:
        require_complete_count(row["reported"], manifest["banned_clients"] * row["bans"])
    return rows


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    rows = {f"{row['bans']} bans": row for row in found["rows"]}
    head = f"{found['packets']:,} DNS messages, {found['contacts']:,} banned names"
    applying = {f"{row['bans']} bans": row for row in found["applying"]}
    return f"{head}\n{table(rows)}\nall bans apply, one client\n{table(applying)}"
