"""Compressed captures: the same office traffic plain, by gzip and by zstd, beside the programs that
only decompress it.
"""

import shlex
import subprocess
from typing import Any

import veth
from alternate import alternate, table
from captures import Traffic, capture
from compare import Options
from measure import netwatch
from peers import CONFIG

PACKETS = 1_000_000
"""Packets of the capture, some 860 MB, or fewer where less office traffic is measured."""
COMPRESSORS = {"gz": ("gzip", "-6"), "zst": ("zstd", "-3", "-q")}
"""By the suffix of the file: the command that compresses its standard input."""


def compressed(options: Options) -> dict[str, Any]:
    """Measure a scan of each form; raises `veth.MissingError` without the compressors."""
    veth.require_programs(*(command[0] for command in COMPRESSORS.values()))
    path, _ = capture(Traffic("office", min(PACKETS, options.office)), options.work)
    paths = {"plain": path}
    for suffix, command in COMPRESSORS.items():
        paths[suffix] = path.with_suffix(f".pcap.{suffix}")
        with path.open("rb") as plain, paths[suffix].open("wb") as out:
            subprocess.run(command, stdin=plain, stdout=out, check=True)
    scan = netwatch("scan", "-q", "-c", str(CONFIG), "--format", "jsonl")
    commands = {name: [*scan, str(each)] for name, each in paths.items()}
    for suffix, command in COMPRESSORS.items():
        only = shlex.join([command[0], "-dc", str(paths[suffix])])
        commands[f"{command[0]} -dc"] = ["sh", "-c", f"exec {only} > /dev/null"]
    found = alternate("compressed", commands, options)
    sizes = {name: each.stat().st_size for name, each in paths.items()}
    for suffix in COMPRESSORS:
        paths[suffix].unlink()
    return {"sizes": sizes, "commands": found}


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    sizes = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in found["sizes"].items())
    return f"compressed captures: {sizes}\n{table(found['commands'])}"
