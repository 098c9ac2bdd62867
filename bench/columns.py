"""Names as columns: `netwatch names` of DNS messages as Parquet and as Arrow, beside JSON lines."""

import importlib.util
import subprocess
from typing import Any

import veth
from alternate import alternate
from captures import Traffic, capture, empty
from compare import Options
from measure import ENVIRONMENT, netwatch
from shared import ROOT

FORMATS = ("jsonl", "arrow", "parquet")


def columns(options: Options) -> dict[str, Any]:
    """Measure each format, and its start with an empty capture; raises `veth.MissingError` where
    netwatch has no columns or pyarrow is not installed."""
    if importlib.util.find_spec("pyarrow") is None:
        raise veth.MissingError("not installed: pyarrow")
    usage = subprocess.run(
        netwatch("names", "--help"), capture_output=True, text=True, env=ENVIRONMENT, cwd=ROOT
    )
    if "parquet" not in usage.stdout:
        raise veth.MissingError("netwatch names has no --format parquet")
    path, manifest = capture(Traffic("dns", options.dns), options.work)
    inputs = {"start": empty(options.work), "names": path}
    outputs = {name: options.work / f"columns.{name}" for name in FORMATS}
    commands = {
        f"{name} {what}": netwatch("names", "-q", "--format", name, "-o", str(output), str(source))
        for name, output in outputs.items()
        for what, source in inputs.items()
    }
    found = alternate("columns", commands, options)
    rows = [
        {
            "format": name,
            "start": found[f"{name} start"]["cpu"],
            "beyond": found[f"{name} names"]["cpu"] - found[f"{name} start"]["cpu"],
            "rss": found[f"{name} names"]["rss"],
            "bytes": outputs[name].stat().st_size,
        }
        for name in FORMATS
    ]
    return {"messages": manifest["packets"], "rows": rows}


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    lines = [f"names of {found['messages']:,} DNS messages, CPU beyond start"]
    for row in found["rows"]:
        each = 1e6 * row["beyond"] / found["messages"]
        lines.append(
            f"{row['format']:<8} {row['beyond']:7.2f} s {each:6.2f} µs a message,"
            f" {row['rss'] / 1e6:.0f} MB peak, {row['bytes'] / 1e6:.0f} MB written"
        )
    return "\n".join(lines)
