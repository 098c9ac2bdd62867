"""Packets that an agent of sFlow samples: what is found in them says so wherever it is shown."""

import json
import shutil
import socket
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.live import Capture
from support.paths import PCAPS
from support.ports import free_port
from support.sflow_datagrams import datagram, raw, sample

from netwatch.capture.block import CAPTURED, FIELDS, OFFSET
from netwatch.capture.files import CaptureFile
from netwatch.cli import main
from netwatch.core.statistics import RunStatistics
from netwatch.engine.capture_files import read_blocks

pytest.importorskip("pyarrow")

CONFIG = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service, authority: BE-FED}
bans:
  - {id: our-rule, authority: City of Example, apps: [tiktok], forbids: [service],
     from: 2026-01-01, timezone: UTC, legal_basis: Decision 1}
exporters:
  - {address: 127.0.0.1, name: switch}
store: {path: store}
"""
WHOLE, HELLO = "10.20.5.22", "10.20.5.21"
"""Of the first client a whole conversation is sampled, of the second one hello."""

SENT = (*((number, 512) for number in range(1, 20)), (101, 64))
"""The packets of a capture that are sampled, each with the rate."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a live capture leaves."""
    folder, packets = tmp_path_factory.mktemp("sflow"), []
    for block, _ in read_blocks([CaptureFile(str(PCAPS / "five-kinds.pcap"))], RunStatistics()):
        for at in range(0, block.count * FIELDS, FIELDS):
            start = block.records[at + OFFSET]
            packets.append(bytes(block.data[start : start + block.records[at + CAPTURED]]))
    (folder / "netwatch.yaml").write_text(
        CONFIG.replace("path: store", f"path: {folder / 'store'}")
    )
    port = free_port(socket.SOCK_DGRAM)
    options = ("-c", str(folder / "netwatch.yaml"), "--no-view")
    capture = Capture(folder, *options, "--source", "sflow", "-i", f"127.0.0.1:{port}")
    try:
        capture.wait_for_log("started on")
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as agent:
            for sequence, (number, rate) in enumerate(SENT):
                found = sample(raw(packets[number - 1]), rate=rate)
                agent.sendto(datagram(found, sequence=sequence), ("127.0.0.1", port))
        capture.wait_for_records(2)
    finally:
        capture.stop()
    return folder


def of_client(folder: Path) -> dict[str, dict[str, Any]]:
    """The last record of each client."""
    lines = (folder / "one.jsonl").read_text().splitlines()
    return {record["device"]["ip"]: record for record in map(json.loads, lines)}


def test_evidence_says_how_few_packets_were_looked_at(folder: Path) -> None:
    found = of_client(folder)
    assert {each["sampling"] for each in found[WHOLE]["evidence"]} == {512}
    assert [each["sampling"] for each in found[HELLO]["evidence"]] == [64]
    assert not [each for each in found[WHOLE]["evidence"] if "log" in each]


def test_an_answer_that_was_not_sampled_may_have_been_there(folder: Path) -> None:
    found = of_client(folder)
    # The server's acknowledgement is among the samples of one.
    assert found[WHOLE]["confidence"] == "confirmed"
    assert found[HELLO]["confidence"] == "probable"
    assert any(
        "One packet in 64 was looked at" in each for each in found[HELLO]["confidence_reasons"]
    )


def test_whoever_explains_it_says_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ["--store-path", str(folder / "store")]
    assert main(["explain", of_client(folder)[WHOLE]["id"], *store]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "looked at one packet in 512" in page
    assert "Only one packet in 512 of 127.0.0.1:" in page


def test_it_is_known_when_the_store_is_judged_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By another ban, so that its incident is made from the rows alone."""
    config = tmp_path / "netwatch.yaml"
    text = (folder / "netwatch.yaml").read_text()
    config.write_text(text.replace("our-rule", "other-rule"))
    assert main(["rejudge", "-c", str(config), "--all", "--format", "jsonl", "-q"]) == 0
    again = {
        each["device"]["ip"]: each for each in map(json.loads, capsys.readouterr().out.splitlines())
    }
    before = of_client(folder)
    for client in (WHOLE, HELLO):
        assert again[client]["ban"]["id"] == "other-rule"
        assert again[client]["evidence"] == before[client]["evidence"]
        assert again[client]["confidence_reasons"] == before[client]["confidence_reasons"]
    assert main(["store", "query", "flows", "-c", str(config), "--format", "jsonl"]) == 0
    flows = list(map(json.loads, capsys.readouterr().out.splitlines()))
    assert {each["sampling"] for each in flows} == {512}


def test_a_report_says_so(folder: Path, tmp_path: Path) -> None:
    day = of_client(folder)[WHOLE]["first_seen"][:10]
    options = ["-c", str(folder / "netwatch.yaml"), "--from", day, "--to", day]
    assert main(["report", *options, "-o", str(tmp_path / "r.json")]) == 0
    (ban,) = json.loads((tmp_path / "r.json").read_text())["bans"]
    assert sorted(each["sampling"] for each in ban["incidents"]) == [64, 512]
    assert main(["report", *options, "-o", str(tmp_path / "r.html")]) == 0
    assert "one packet in 512" in (tmp_path / "r.html").read_text()


@pytest.mark.skipif(not shutil.which("pmacctd"), reason="needs pmacctd")
def test_samples_of_pmacct(tmp_path: Path) -> None:
    """A real agent, which samples all packets and sends the first bytes of each: lookups fit."""
    (tmp_path / "netwatch.yaml").write_text(
        CONFIG.replace("path: store", f"path: {tmp_path / 'store'}")
    )
    port = free_port(socket.SOCK_DGRAM)
    options = ("-c", str(tmp_path / "netwatch.yaml"), "--no-view")
    capture = Capture(tmp_path, *options, "--source", "sflow", "-i", f"127.0.0.1:{port}")
    agent = tmp_path / "pmacctd.conf"
    agent.write_text(
        f"daemonize: false\npcap_savefile: {PCAPS / 'five-kinds.pcap'}\npcap_savefile_wait: true\n"
        f"plugins: sfprobe\nsampling_rate: 1\nsfprobe_receiver: 127.0.0.1:{port}\n"
        "sfprobe_agentip: 192.0.2.9\n"
    )
    try:
        capture.wait_for_log("started on")
        with subprocess.Popen(["pmacctd", "-f", str(agent)], stderr=subprocess.DEVNULL) as run:
            try:
                capture.wait_for_records(1)
            finally:
                run.kill()
    finally:
        capture.stop()
    kinds = {piece["type"] for each in of_client(tmp_path).values() for piece in each["evidence"]}
    assert kinds & {"dns-query", "dns-answer"}
