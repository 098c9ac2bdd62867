"""A person who is everywhere: in a capture, and so in a store, an outbox, evidence captures and a
state file; and readers that decode all of these."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from pyarrow import parquet
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet
from scapy.utils import PcapWriter
from support.contacts import GAP, SENSOR, contact

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.verdict import Device
from netwatch.delivery import dead_letters
from netwatch.delivery.dead_letters import DeadLetter
from netwatch.fleet.sensor_records import read_record
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.state_file import StateFile, StateSaver
from netwatch.store.cases import keep_alerts
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

IP_, MAC, HOST, OWNER, ID = "10.30.0.77", "02:00:00:30:00:77", "janes-phone", "Jane Doe", "byod-77"
OTHER_IP, OTHER_MAC = "10.30.0.90", "02:00:00:30:00:90"
RESOLVER, RESOLVER_MAC = "10.30.0.53", "02:00:00:30:00:53"
SERVER = "203.0.113.7"
BEGIN = 1_679_299_200  # 2023-03-20T08:00:00Z
WORDS = (IP_, MAC, HOST, OWNER, ID, MAC.replace(":", ""), "77.0.30.10.in-addr")

CONFIGURATION = """\
version: 1
networks:
  - {name: byod, cidrs: [10.30.0.0/16], class: personal, authority: City}
devices: {inventory: devices.csv, learn: [dhcp, mdns, arp]}
bans: [{id: rule, authority: City, apps: [tiktok], forbids: [personal]}]
outputs:
  - {name: siem, type: syslog, host: "127.0.0.1:9", transport: tcp}
spool: {path: spool}
store: {path: store}
"""


def _dns(ip: str, mac: str, name: str, kind: str, answers: list[str], port: int) -> list[Packet]:
    """A query of a client and its answer."""
    asked = DNSQR(qname=name, qtype=kind)
    there = Ether(src=mac, dst=RESOLVER_MAC) / IP(src=ip, dst=RESOLVER)
    back = Ether(src=RESOLVER_MAC, dst=mac) / IP(src=RESOLVER, dst=ip)
    records = [DNSRR(rrname=name, type=kind, rdata=text, ttl=60) for text in answers]
    return [
        there / UDP(sport=port, dport=53) / DNS(id=port, rd=1, qd=[asked]),
        back
        / UDP(sport=53, dport=port)
        / DNS(id=port, qr=1, rd=1, ra=1, qd=[asked], an=records, ancount=len(records)),
    ]


def _packets() -> Iterator[Packet]:
    chaddr = bytes.fromhex(MAC.replace(":", ""))
    for kind, here, there in (("request", MAC, RESOLVER_MAC), ("ack", RESOLVER_MAC, MAC)):
        options = [
            ("message-type", kind), ("hostname", HOST), ("client_id", b"\x01" + chaddr),
            ("requested_addr" if kind == "request" else "lease_time",
             IP_ if kind == "request" else 86400),
            ("server_id", RESOLVER), "end",
        ]  # fmt: skip
        ip = IP(src="0.0.0.0", dst="255.255.255.255")
        ports = UDP(sport=68, dport=67)
        if kind == "ack":
            ip, ports = IP(src=RESOLVER, dst=IP_), UDP(sport=67, dport=68)
        yiaddr = IP_ if kind == "ack" else "0.0.0.0"
        message = BOOTP(op=1 + (kind == "ack"), xid=9, chaddr=chaddr, yiaddr=yiaddr)
        yield Ether(src=here, dst=there) / ip / ports / message / DHCP(options=options)
    yield Ether(src=MAC, dst="ff:ff:ff:ff:ff:ff") / ARP(op=2, hwsrc=MAC, psrc=IP_, pdst=IP_)
    yield from _dns(IP_, MAC, "www.tiktok.com", "A", [SERVER], 40001)
    yield from _dns(IP_, MAC, "api16-normal-c-useast1a.tiktokv.com", "A", [SERVER], 40002)
    yield from _dns(OTHER_IP, OTHER_MAC, "www.tiktok.com", "A", [SERVER], 40003)
    yield from _dns(OTHER_IP, OTHER_MAC, "www.example.org", "A", ["198.51.100.1"], 40004)
    yield from _dns(OTHER_IP, OTHER_MAC, f"{HOST}.corp.example", "A", [IP_], 40005)
    yield from _dns(OTHER_IP, OTHER_MAC, "printer.corp.example", "A", [IP_], 40006)
    yield from _dns(OTHER_IP, OTHER_MAC, "77.0.30.10.in-addr.arpa", "PTR", [HOST], 40007)
    link = Ether(src=OTHER_MAC, dst=MAC) / IP(src=OTHER_IP, dst=IP_)
    yield link / TCP(sport=40008, dport=80, flags="S", seq=1)
    request = b"GET / HTTP/1.1\r\nHost: files.corp.example\r\n\r\n"
    yield link / TCP(sport=40008, dport=80, flags="PA", seq=2, ack=1) / request
    yield (
        Ether(src=MAC, dst="01:00:5e:00:00:fb")
        / IP(src=IP_, dst="224.0.0.251", ttl=255)
        / UDP(sport=5353, dport=5353)
        / DNS(qr=1, aa=1, qd=[], an=[DNSRR(rrname=f"{HOST}.local", rdata=IP_, ttl=120)])
    )


def write_files(folder: Path) -> None:
    """The capture, the inventory and the configuration, in a folder."""
    with PcapWriter(str(folder / "day.pcap"), linktype=1) as writer:
        for number, packet in enumerate(_packets()):
            packet.time = BEGIN + number
            writer.write(packet)
    header = "id,mac,ip,hostname,owner,class"
    (folder / "devices.csv").write_text(f"{header}\n{ID},{MAC},{IP_},{HOST},{OWNER},personal\n")
    (folder / "netwatch.yaml").write_text(CONFIGURATION)


def write_dead_letters(folder: Path, record: dict[str, object]) -> None:
    """Dead letters of an output: about the person, about another, and one that is not readable."""
    other = {"id": "0" * 32, "device": {"id": OTHER_IP}}
    letters = [
        DeadLetter("refused", record),
        DeadLetter("refused", other),
        DeadLetter("damaged", None, f"… {HOST} …"),
    ]
    dead_letters.append(folder, "siem", letters, BEGIN)


def write_cases(options: StoreOptions, alerts: Path) -> None:
    """Cases of alerts (a file of JSON lines): each was seen by two sensors."""
    lines = [each for each in alerts.read_text().splitlines() if "netwatch.alert" in each]
    with open_catalogue(options) as catalogue:
        for sensor in ("one", "two"):
            keep_alerts(catalogue, [read_record(sensor, json.loads(each)) for each in lines], GAP)


def write_state(path: Path) -> None:
    """A state file with an open incident of the person, and one of another."""
    incidents = OpenIncidents(GAP, None, lambda alert: None)
    state_file = StateFile(path, print)
    saver = StateSaver(state_file, incidents)
    made = contact(evidence="tls-sni")
    device = Device(ID, IP_, MAC, HOST, OWNER, "personal")
    seen = replace(made.observation, client_ip=parse_ip(IP_), client_mac=parse_mac(MAC))
    incidents.add(replace(made, device=device, observation=seen), SENSOR, 0)
    incidents.add(contact(who=90), SENSOR, 0)
    saver.save()
    state_file.close()


def texts(path: Path) -> Iterator[str]:
    """All that a file says: its bytes, and what is in the pages of Parquet and SQLite files."""
    raw = path.read_bytes()
    yield raw.decode("latin-1")
    if path.suffix == ".parquet":
        for row in parquet.read_table(path).to_pylist():
            yield json.dumps(row, default=lambda value: value.decode("latin-1"), ensure_ascii=False)
        yield str(parquet.ParquetFile(path).metadata.to_dict())
    elif raw.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            yield from database.iterdump()


def mentions(*places: Path) -> list[tuple[str, str]]:
    """Which files below some places say which word of the person, in whatever form."""
    packed = [parse_mac(MAC), parse_ip(IP_)]
    found = []
    for place in places:
        for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
            if not path.is_file():
                continue
            said = [text.lower() for text in texts(path)]
            found += [
                (str(path.relative_to(place.parent)), word)
                for word in WORDS
                if any(word.lower() in text for text in said)
            ]
            if path.suffix == ".pcapng":
                raw = path.read_bytes()
                found += [(path.name, word.hex()) for word in packed if word and word in raw]
    return found
