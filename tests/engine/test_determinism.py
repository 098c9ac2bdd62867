"""A scan gives the same records and the same counts in every process."""

import ipaddress
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from craft import Wire
from support.office import DURING, FAR, RESOLVER, SERVICE, capture, configured, hello
from support.paths import PCAPS

from netwatch.cli import main
from netwatch.incidents import scan as scan_module

ANSWERS, ADDRESSES = 300, 20
"""Answers, and addresses of each: so many that some evict others from the table of addresses."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("captures")
    for number in range(2):
        wire = Wire(DURING, number)
        for index in range(ANSWERS):
            first = (198 << 24) + (18 << 16) + (number * ANSWERS + index) * ADDRESSES
            name = f"n{index}.example.org"
            addresses = [ipaddress.ip_address(first + each) for each in range(ADDRESSES)]
            records = [(name, "A", 3600, str(address)) for address in addresses]
            wire.lookup(SERVICE, RESOLVER, name, records)
        hello(wire, SERVICE, FAR)
        capture(made / f"{number}.pcap", wire)
    return made


def scan(folder: Path, config: str, hash_seed: int, jobs: int) -> tuple[str, str]:
    """The records and the summary, without the duration, of a scan by another process."""
    options = ["--format", "jsonl", "-v", "--jobs", str(jobs)]
    done = subprocess.run(
        [sys.executable, "-m", "netwatch", "scan", "-c", config, *options, str(folder)],
        env=os.environ | {"PYTHONHASHSEED": str(hash_seed)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout, re.sub(r" in [\d.]+ s", "", done.stderr)


def test_neither_the_hash_seed_nor_the_number_of_jobs_changes_a_scan(
    folder: Path, tmp_path: Path
) -> None:
    config = configured(tmp_path)
    first = scan(folder, config, 0, 1)
    evicted = re.search(r"resolved-addresses-full ([\d,]+)", first[1])
    assert evicted is not None
    assert int(evicted[1].replace(",", "")) > 100
    assert scan(folder, config, 1, 2) == first


def test_neither_the_order_of_files_nor_the_limit_in_memory_changes_a_scan(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(path) for path in sorted(PCAPS.glob("*.pcap"))]

    def found(order: list[str]) -> tuple[str, str]:
        options = ["-c", str(PCAPS / "netwatch.yaml"), "-v", "--coverage", "--format", "jsonl"]
        assert main(["scan", *options, *order]) == 0
        captured = capsys.readouterr()
        return captured.out, re.sub(r" in [\d.]+ s", "", captured.err)

    whole = found(files)
    assert whole[0].count("netwatch.alert/1") > 20
    limits = scan_module.ScanIncidents.__init__.__kwdefaults__
    # All but two incidents are on disk, and so is what becomes of their contacts later.
    monkeypatch.setitem(limits, "limit", 2)
    monkeypatch.setattr(scan_module, "LATE_PROGRESS_LIMIT", 3)
    written: list[int] = []
    spill = scan_module.ScanIncidents._spill

    def counted(self: scan_module.ScanIncidents) -> None:
        written.append(1)
        spill(self)

    monkeypatch.setattr(scan_module.ScanIncidents, "_spill", counted)
    # Any two come in the other order.
    assert found(files[::-1]) == whole
    assert len(written) > 5
