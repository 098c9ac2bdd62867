"""A live capture of flow records, whose names a resolver's log has."""

import json
import socket
import time
import urllib.request
from contextlib import closing
from pathlib import Path

from support.flow_messages import FLOW, flow, ipfix, set_of, template
from support.live import Capture
from support.ports import free_port
from support.waiting import wait_until

from netwatch.cli import main

CLIENT, SERVER = bytes([10, 20, 6, 20]), bytes([192, 0, 2, 81])


def said(port: int) -> str:
    """What the metrics endpoint says."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        return str(answer.read(), "utf-8")


def test_flow_to_an_address_that_a_log_has_named(tmp_path: Path) -> None:
    log, port = tmp_path / "dnsmasq.log", free_port(socket.SOCK_DGRAM)
    metrics = free_port()
    log.touch()
    config, store = tmp_path / "netwatch.yaml", tmp_path / "store"
    config.write_text(CONFIG.replace("STORE", str(store)).replace("sampling: 100, ", ""))
    capture = Capture(
        tmp_path,
        *("-c", str(config)),
        *("--source", "flows", f"udp://127.0.0.1:{port}", str(log), "--as", "dnsmasq"),
        *("--timezone", "UTC", "--no-view", "--metrics", f"127.0.0.1:{metrics}"),
    )
    try:
        capture.wait_for_log("started on")
        now = int(time.time())
        asked = time.strftime("%b %e %H:%M:%S gw dnsmasq[900]:", time.gmtime(now - 1))
        log.write_text(
            f"{asked} 11 10.20.6.20/40001 query[A] www.tiktok.com from 10.20.6.20\n"
            f"{asked} 11 10.20.6.20/40001 reply www.tiktok.com is 192.0.2.81\n"
            + "".join(
                f"{asked} 12 10.20.6.21/40001 query[A] {name} from 10.20.6.21\n"
                f"{asked} 12 10.20.6.21/40001 reply {name} is 192.0.2.82\n"
                for name in ("www.tiktok.com", "www.example.org")
            )
        )
        capture.wait_for_records(2)
        times = {"first": now * 1000, "last": now * 1000 + 500}
        out = flow(destination=SERVER, octets=2000, **times)
        back = flow(SERVER, CLIENT, 443, 40000, octets=90_000, packets=70, **times)
        other = flow(bytes([10, 20, 6, 21]), bytes([192, 0, 2, 82]), **times)
        sent = ipfix(set_of(2, template(300, *FLOW)), set_of(300, out, back, other), seconds=now)
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as exporter:
            exporter.sendto(sent, ("127.0.0.1", port))
        wait_until(lambda: 'reading="flow-record"} 1' in said(metrics))
    finally:
        capture.stop()
    assert main(["store", "query", "coverage", "--hours", "--format", "jsonl", "--store-path",
                 str(store), "-o", str(tmp_path / "hours.jsonl")]) == 0  # fmt: skip
    hours = map(json.loads, (tmp_path / "hours.jsonl").read_text().splitlines())
    assert [each["one_of_k"] for each in hours if each["flows"]] == [{"2": 1}]
    (record,) = [
        each
        for each in capture.records()
        if each["device"]["ip"] == "10.20.6.20" and each["status"] == "closed"
    ]
    (evidence,) = [each for each in record["evidence"] if each["type"] == "ip-from-dns"]
    assert (evidence["source"], evidence["log"]["format"]) == (f"udp://127.0.0.1:{port}", "ipfix")
    assert record["counts"]["bytes_in"] > 80_000, json.dumps(record)
    assert record["confidence"] == "probable"


CONFIG = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16], class: service, authority: BE-FED}
bans:
  - {id: our-rule, authority: City of Example, apps: [tiktok], forbids: [service],
     from: 2026-01-01, timezone: UTC, legal_basis: Decision 1}
exporters:
  - {address: 127.0.0.1, name: core, sampling: 100, clock: arrival}
store: {path: STORE}
"""


def test_what_did_not_arrive_is_missing_in_the_report(tmp_path: Path) -> None:
    port, metrics = free_port(socket.SOCK_DGRAM), free_port()
    config, store = tmp_path / "netwatch.yaml", tmp_path / "store"
    config.write_text(CONFIG.replace("STORE", str(store)))
    capture = Capture(
        tmp_path,
        *("-c", str(config), "--source", "flows", f"udp://127.0.0.1:{port}"),
        *("--no-view", "--metrics", f"127.0.0.1:{metrics}"),
    )
    try:
        capture.wait_for_log("started on")
        # An exporter without a clock, some of whose messages are lost.
        uptime, day = 3600, time.strftime("%Y-%m-%d", time.gmtime())
        times = {"first": uptime * 1000, "last": uptime * 1000 + 500}
        both = flow(destination=SERVER, **times), flow(SERVER, CLIENT, 443, 40000, **times)
        described = set_of(2, template(300, *FLOW))
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as exporter:
            for sequence in (0, 2, 46):
                sent = ipfix(described, set_of(300, *both), seconds=uptime, sequence=sequence)
                exporter.sendto(sent, ("127.0.0.1", port))
        wait_until(lambda: 'anomaly="flow-records-lost"} 42' in said(metrics))
        wait_until(lambda: 'anomaly="flow-sampled"} 6' in said(metrics))
        assert "flow-clock-wrong" not in said(metrics)
    finally:
        capture.stop()
    report = tmp_path / "r.json"
    options = ["-c", str(config), "--from", day, "--to", day, "-o", str(report)]
    assert main(["report", *options]) == 0
    (ban,) = json.loads(report.read_text())["bans"]
    assert "lost" in {each["reason"] for each in ban["coverage"]["missing"]}, capture.log()
    assert ban["answer"]["word"] == "cannot-be-said"


def test_floods_change_nothing_for_another_exporter(tmp_path: Path) -> None:
    """Unknown senders, and a known one that describes ever new templates."""
    port, metrics = free_port(socket.SOCK_DGRAM), free_port()
    config = tmp_path / "netwatch.yaml"
    config.write_text(
        CONFIG.replace("STORE", str(tmp_path / "store")).replace(
            "exporters:\n", "exporters:\n  - {address: 127.0.0.2, name: noisy}\n"
        )
    )
    capture = Capture(
        tmp_path,
        *("-c", str(config), "--source", "flows", f"udp://127.0.0.1:{port}"),
        *("--no-view", "--metrics", f"127.0.0.1:{metrics}"),
    )

    def queue(port: int) -> int:
        """The bytes that wait at a UDP port of this machine."""
        lines = map(str.split, Path("/proc/net/udp").read_text().splitlines()[1:])
        return sum(int(each[4][9:], 16) for each in lines if int(each[1][9:], 16) == port)

    def memory() -> int:
        """The resident memory of the command, kB."""
        status = Path(f"/proc/{capture.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def counted(name: str) -> int:
        """The value of a metric, 0 before it is there."""
        return int(float(said(metrics).partition(f'{name}"}} ')[2].split("\n")[0] or 0))

    rounds, unknown, templates = 100, 20, 60
    try:
        capture.wait_for_log("started on")
        now = int(time.time())
        times = {"first": now * 1000, "last": now * 1000 + 500}
        described, before, number = set_of(2, template(300, *FLOW)), memory(), 256
        good, noisy, *others = (socket.socket(type=socket.SOCK_DGRAM) for _ in range(2 + unknown))
        for at, each in enumerate((good, noisy, *others), 1):
            each.bind((f"127.0.0.{at}", 0))
            each.connect(("127.0.0.1", port))
        for turn in range(rounds):
            for each in others:
                each.send(ipfix(described, seconds=now))
            new = [template(256 + (number + n) % 60_000, *FLOW) for n in range(templates)]
            number += templates
            noisy.send(ipfix(set_of(2, *new), seconds=now))
            record = set_of(300, flow(source_port=41_000 + turn, **times))
            good.send(ipfix(described, record, seconds=now, sequence=turn))
            # The queue of a socket is short.
            wait_until(lambda: queue(port) == 0)
        wait_until(lambda: counted('anomaly="flow-templates-full') == rounds * templates - 512)
        wait_until(lambda: counted('anomaly="flow-sampled') == rounds)
        assert counted('event="exporter-unknown') == rounds * unknown
        assert "flow-records-lost" not in said(metrics)
        assert memory() - before < 50_000
    finally:
        for each in (good, noisy, *others):
            each.close()
        capture.stop()
