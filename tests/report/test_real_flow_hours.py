"""What the report and `store query` say of hours that a real exporter reported, which sampled the
packets or not, and of whose messages one is lost."""

import json
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from report.flow_hours import (
    BEGIN,
    CLIENT,
    DAY,
    HOUR,
    SECOND,
    SERVER,
    captured,
    store,
)
from support.asked_stores import run
from support.asking_office import Talk, frames
from support.captures import pcap
from support.programs import needs

pytestmark = needs("pmacctd")

CONNECTIONS = 600
"""One in six seconds, of six packets each."""

NAME = ".".join(["long" * 15] * 3 + ["example"])
"""A request for it is more than the options of TCP may be, so that its payload is not taken for
these."""

QUIET = 2.0
"""Seconds without a message after which the exporter has sent all of its file."""


def busy() -> bytes:
    """A capture of the hour from eight on."""
    found = []
    for number in range(CONNECTIONS):
        at = BEGIN + 8 * HOUR + (6 * number + 1) * SECOND
        found.append(Talk(at, at + 2 * SECOND, 0, CLIENT, 20_000 + number, SERVER, 80, NAME))
    return pcap(frames(found))


def messages(folder: Path, rate: int) -> list[bytes]:
    """What pmacct exports of the hour, of which it looks at one packet in so many."""
    (folder / "busy.pcap").write_bytes(busy())
    configuration = folder / "pmacctd.conf"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        collector.bind(("127.0.0.1", 0))
        configuration.write_text(
            f"daemonize: false\npcap_savefile: {folder}/busy.pcap\n"
            "aggregate: src_host, dst_host, src_port, dst_port, proto, tcpflags\n"
            f"plugins: nfprobe\nnfprobe_receiver: 127.0.0.1:{collector.getsockname()[1]}\n"
            "nfprobe_version: 10\nnfprobe_timeouts: expint=1:tcp.fin=1\n"
            + (f"sampling_rate: {rate}\n" if rate > 1 else "")
        )
        command = ["pmacctd", "-f", str(configuration)]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as exporter:
            try:
                collector.settimeout(60)
                found = [collector.recv(65_535)]
                collector.settimeout(QUIET)
                found += until_quiet(collector)
            finally:
                exporter.terminate()
        return found + until_quiet(collector)


def until_quiet(collector: socket.socket) -> list[bytes]:
    found = []
    try:
        while True:
            found.append(collector.recv(65_535))
    except TimeoutError:
        return found


def told(config: str, folder: Path) -> tuple[str, dict[str, float], list[float], list[float]]:
    """The answer for the day, its coverage, and of each hour what is lost, and the flows."""
    target = folder / "report.json"
    done = run("report", "--from", DAY, "--to", DAY, "-c", config, "-o", str(target))
    assert done.status == 0, done.errors
    (ban,) = json.loads(target.read_text())["bans"]
    words = ("--hours", "--network", "hq", "--since", DAY, "--until", DAY, "--format", "jsonl")
    hours = run("store", "query", "coverage", *words, "-c", config).records
    counts = {key: value for key, value in ban["coverage"].items() if isinstance(value, float)}
    lost, flows = ([each[key] for each in hours] for key in ("lost", "flows"))
    return ban["answer"]["word"], counts, lost, flows


def joined(found: Sequence[bytes]) -> bytes:
    """Messages as an IPFIX file (RFC 5655)."""
    return b"".join(found)


@pytest.mark.parametrize("hours", [range(24), [hour for hour in range(24) if hour != 8]])
def test_a_sampled_hour_is_lost_with_and_without_packets(
    tmp_path: Path, hours: Sequence[int]
) -> None:
    sent = messages(tmp_path, 100)
    del sent[len(sent) // 2]
    config = store(tmp_path, day_pcap=captured(hours), router_ipfix=joined(sent))
    word, counts, lost, flows = told(config, tmp_path)
    assert word == "cannot-be-said"
    # The records are many for the day, and none has a name.
    assert (counts["hours"], counts["captured"], counts["readable"]) == (24.0, 23.0, 0.0)
    assert lost == [1.0 if hour == 8 else 0.0 for hour in range(24)]
    assert flows[8] > (12 if 8 in hours else 0)
    (status,) = run("store", "status", "-c", config, "--format", "jsonl").records
    assert status["losses"]["sampled"] > 10
    # Each message says when it was sent: at the time of the test.
    assert status["losses"]["unreceived"] > 0


def test_an_hour_of_whole_records_is_seen_by_flows(tmp_path: Path) -> None:
    hours = [hour for hour in range(24) if hour != 8]
    sent = messages(tmp_path, 1)
    config = store(tmp_path, day_pcap=captured(hours), router_ipfix=joined(sent))
    word, counts, lost, flows = told(config, tmp_path)
    assert word == "cannot-be-said"
    assert (counts["captured"], counts["by_flows"]) == (24.0, 1.0)
    # Most flows of the day have no name, so none of its hours is readable.
    assert counts["readable"] == 0.0
    assert flows[8] == CONNECTIONS
    assert lost == [0.0] * 24
