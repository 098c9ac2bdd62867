"""What a command imports, counted and not timed: a small capture costs little but the start."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.made_captures import pcap
from support.paths import ROOT

CONFIG = ROOT / "pcaps" / "netwatch.yaml"

PROGRAM = """
import contextlib, io, json, sys

before = set(sys.modules)
from netwatch.cli import main

with contextlib.redirect_stdout(io.StringIO()):
    status = main(sys.argv[1:])
print(json.dumps([status, sorted(set(sys.modules) - before)]))
"""

_HEAVY = """
    aiohttp asyncio bz2 concurrent.futures cryptography difflib dpkt email geoip2 hpack
    http idna importlib.metadata importlib.resources isal logging lz4 lzma maxminddb
    multiprocessing numpy orjson pickle prometheus_client publicsuffixlist pyarrow random
    requests rich scapy secrets socket sqlite3 ssl subprocess tempfile tuf urllib3 uuid
    xml yaml zstandard
    netwatch.delivery.configuration netwatch.dissect.loop.loop netwatch.engine.engine
    netwatch.engine.observe netwatch.formats.ocsf netwatch.live netwatch.inventory.lease_files
    netwatch.protocols netwatch.sinks.registry netwatch.updates.options
    netwatch.watch.snapshot netwatch.watch.endpoint_options
"""
HEAVY = frozenset(_HEAVY.split())
"""Modules that take long to import, and of which these commands have no use."""

COMMANDS = {
    "scan": (["scan", "-q", "-c", str(CONFIG), "{capture}"], HEAVY, 167),
    "names": (["names", "-q", "{capture}"], HEAVY, 168),
    "match": (["signatures", "match", "www.tiktok.com"], HEAVY, 126),
}
"""Commands by name: the arguments, what they must not import, and how many modules of netwatch at
most: a few more than there were when that was set."""


def start(arguments: list[str], folder: Path) -> tuple[int, list[str]]:
    """The exit status of a command, and the modules that it imported. The catalogue is in the
    cache, as it is from the second start on."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder)}
    environment.pop("NETWATCH_CACHE", None)
    command = [sys.executable, "-c", PROGRAM, *arguments]
    for _ in range(2):
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
        )
        assert not done.stderr
    status, modules = json.loads(done.stdout)
    return status, modules


@pytest.mark.parametrize("name", COMMANDS)
def test_a_start_imports_what_it_uses(name: str, tmp_path: Path) -> None:
    capture = tmp_path / "empty.pcap"
    capture.write_bytes(pcap([]))
    arguments, heavy, most = COMMANDS[name]
    given = [word.format(capture=capture) for word in arguments]
    status, modules = start(given, tmp_path)
    assert status == 0
    assert heavy & {*modules} == set()
    ours = [module for module in modules if module.startswith("netwatch")]
    assert len(ours) <= most, len(ours)
