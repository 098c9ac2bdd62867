"""The generated traffic is what its manifest says."""

import hashlib
import io
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import dpkt
import flows
import pytest
import stock
import wire
from scapy.layers.dns import DNS
from support.paths import BENCH


def traffic(tmp_path: Path, *options: str) -> tuple[Path, dict[str, object]]:
    path, notes = tmp_path / "traffic.pcap", tmp_path / "traffic.json"
    command = [sys.executable, str(BENCH / "traffic.py"), *options]
    command += ["-o", str(path), "--manifest", str(notes)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return path, json.loads(notes.read_text())


def frames(path: Path) -> list[tuple[float, bytes]]:
    with path.open("rb") as file:
        return list(dpkt.pcap.Reader(file))


def folded(data: bytes) -> int:
    padded = data + b"\0" * (len(data) & 1)
    total = sum(int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.mark.parametrize("vlan", [(), ("--vlan", "20")], ids=["untagged", "tagged"])
def test_office_checksums_are_right(tmp_path: Path, vlan: tuple[str, ...]) -> None:
    path, _ = traffic(tmp_path, "office", "--packets", "1000", *vlan)
    seen: Counter[str] = Counter()
    for _, frame in frames(path):
        ether = dpkt.ethernet.Ethernet(frame)
        network = ether.data
        start = 18 if vlan else 14
        if vlan:
            assert ether.vlan_tags[0].id == 20
        if isinstance(network, dpkt.ip.IP):
            assert folded(frame[start : start + 20]) == 0xFFFF
            head, protocol = start + 20, network.p
        else:
            head, protocol = start + 40, network.nxt
        body = frame[head:]
        pseudo = network.src + network.dst + len(body).to_bytes(4, "big")
        assert folded(pseudo + bytes([0, 0, 0, protocol]) + body) == 0xFFFF
        seen[f"{type(network).__name__}{protocol}"] += 1
    assert set(seen) == {"IP6", "IP17", "IP66", "IP617"}


def test_same_seed_same_bytes_also_through_a_pipe(tmp_path: Path) -> None:
    path, _ = traffic(tmp_path, "office", "--packets", "2000", "--seed", "5")
    command = [sys.executable, str(BENCH / "traffic.py"), "office", "--packets", "2000"]
    piped = subprocess.run([*command, "--seed", "5"], check=True, capture_output=True, timeout=120)
    other = subprocess.run([*command, "--seed", "6"], check=True, capture_output=True, timeout=120)
    assert hashlib.sha256(piped.stdout).digest() == hashlib.sha256(path.read_bytes()).digest()
    assert other.stdout != piped.stdout


def text(name: bytes) -> str:
    return name.decode().removesuffix(".")


def test_dns_names_are_those_of_the_manifest(tmp_path: Path) -> None:
    path, manifest = traffic(tmp_path, "dns", "--packets", "801")
    found: dict[str, Counter[str]] = {
        "dns-query": Counter(), "dns-answer": Counter(), "dns-cname": Counter()
    }  # fmt: skip
    last = 0.0
    for time, frame in frames(path):
        assert time >= last
        last = time
        message = DNS(dpkt.ethernet.Ethernet(frame).data.data.data)
        found["dns-answer" if message.qr else "dns-query"][text(message.qd[0].qname)] += 1
        found["dns-cname"].update(text(record.rdata) for record in message.an if record.type == 5)
    assert manifest["packets"] == found["dns-query"].total() + found["dns-answer"].total() == 801
    assert {kind: dict(names) for kind, names in found.items()} == manifest["names"]


def test_office_hellos_are_those_of_the_manifest(tmp_path: Path) -> None:
    path, manifest = traffic(tmp_path, "office", "--packets", "6000")
    streams: dict[tuple[bytes, bytes, int, int], dict[int, bytes]] = {}
    hosts: Counter[str] = Counter()
    swapped = 0
    for _, frame in frames(path):
        network = dpkt.ethernet.Ethernet(frame).data
        segment = network.data
        if not isinstance(segment, dpkt.tcp.TCP) or segment.dport not in (80, 443):
            continue
        if segment.dport == 80 and segment.data:
            hosts[dpkt.http.Request(segment.data).headers["host"]] += 1
            continue
        key = (network.src, network.dst, segment.sport, segment.dport)
        if segment.flags == dpkt.tcp.TH_SYN:
            streams[key] = {segment.seq + 1: b""}
        elif segment.data:
            parts = streams[key]
            swapped += len(parts) == 1 and segment.seq not in parts
            parts[segment.seq] = segment.data
    names: Counter[str] = Counter()
    two_segments = 0
    for parts in streams.values():
        seq, data = next(iter(parts)) & 0xFFFFFFFF, b""
        while len(data) < 5 or len(data) < 5 + int.from_bytes(data[3:5], "big"):
            if not parts.get(seq):
                break
            two_segments += len(data) > 0
            data += parts[seq]
            seq += len(parts[seq])
        else:
            hello = dpkt.ssl.TLSHandshake(data[5:]).data
            names.update(value[5:].decode() for kind, value in hello.extensions if kind == 0)
    assert swapped > 0
    assert two_segments > len(streams) // 4
    assert dict(names) == manifest["names"]["tls-sni"]
    assert dict(hosts) == manifest["names"]["http-host"]


def test_a_hello_counts_when_it_is_whole() -> None:
    common = stock.Stock(1, None, clients=10)
    seen = set()
    for _ in range(20):
        writer, flow = wire.Writer(io.BytesIO()), flows.TcpConnection(common, 4, http=False)
        names = common.ledger.names.setdefault("tls-sni", Counter())
        before, two = names.total(), flow.parts == 2
        expected = [None] * 3 + [("tls-sni", flow.site.name)] * two + [None]
        told = []
        for time in range(len(expected)):
            assert names.total() == before
            assert flow.step(writer, time)
            told.append(flow.incomplete_message())
        assert told == expected
        assert names.total() == before + 1
        seen.add(two)
    assert seen == {True, False}


def test_a_reader_that_leaves_early_ends_it_quietly() -> None:
    command = [sys.executable, str(BENCH / "traffic.py"), "office", "--packets", "20000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(24)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == 1


def test_more_names_come_when_more_may(tmp_path: Path) -> None:
    _, few = traffic(tmp_path, "dns", "--packets", "4000", "--names", "20")
    _, many = traffic(tmp_path, "dns", "--packets", "4000", "--names", "50000")
    assert 20 < few["distinct_names"] < 100 < 1000 < many["distinct_names"]


def test_data_shows_no_name_in_as_many_flows_as_asked(tmp_path: Path) -> None:
    path, manifest = traffic(tmp_path, "data", "--packets", "3000", "--active", "100")
    ends: dict[tuple[bytes, bytes, int], int] = {}
    for _, frame in frames(path):
        network = dpkt.ethernet.Ethernet(frame).data
        segment = network.data
        key = (network.src, network.dst, segment.dport)
        assert ends.setdefault(key, segment.seq) == segment.seq
        assert segment.sport == 443
        ends[key] = (segment.seq + len(segment.data)) & 0xFFFFFFFF
    assert len(ends) == 100
    assert manifest["observations"] == {}


@pytest.mark.parametrize("options", [("--active", "0"), ("--names", "0"), ("--names", "10000000")])
def test_traffic_that_cannot_be_is_refused(options: tuple[str, ...]) -> None:
    command = [sys.executable, str(BENCH / "traffic.py"), "data", "--packets", "1", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--names must be 1 to" in done.stderr
