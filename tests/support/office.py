"""A configuration with every kind of client, and traffic of single contacts."""

import random
from pathlib import Path

import handshakes
import messages
from craft import Conversation, Host, Wire
from support.captures import pcap
from support.frames import GATEWAY

CONFIG = """version: 1
networks:
  - {name: hq, cidrs: [10.20.0.0/16, "2001:db8:20::/48"], class: service, authority: BE-FED}
  - {name: byod, cidrs: [10.30.0.0/16], vlans: [30], class: personal, authority: BE-FED}
  - {name: guest, cidrs: [10.40.0.0/16], class: guest}
  - {name: resolvers, cidrs: [10.20.0.53/32], class: infrastructure}
devices:
  inventory: devices.csv
bans:
  - id: our-rule
    authority: City of Example
    apps: [tiktok]
    forbids: [service]
    advises: [personal]
    from: 2023-03-10
    until: 2023-09-10
    timezone: Europe/Brussels
    legal_basis: Decision 2023/12 art. 3
    severity: high
exemptions:
  - {ban: our-rule, device: lab-07, until: 2023-06-30, reason: research, approved_by: CISO}
signatures: [builtin]
search_suffixes: [corp.example]
incidents: {quiet_gap: 30m}
"""
DEVICES = """id,mac,ip,hostname,owner,class
lab-07,02:00:00:20:07:07,10.20.7.7,lab-07,Forensics,service
phone-12,02:00:00:30:00:12,,phone-12,Fleet,service
"""
SERVICE = Host("10.20.1.7", "02:00:00:20:01:07")
SERVICE6 = Host("2001:db8:20::7", "02:00:00:20:01:08")
PERSONAL = Host("10.30.4.8", "02:00:00:30:04:08", (30,))
STRAY = Host("10.30.4.12", "02:00:00:30:00:12", (30,))
GUEST = Host("10.40.0.9", "02:00:00:40:00:09")
LAB = Host("10.20.7.7", "02:00:00:20:07:07")
RESOLVER = Host("10.20.0.53", "02:00:00:20:00:53")
OUTSIDE = Host("198.51.100.9", GATEWAY)
OURS = Host("10.20.0.80", "02:00:00:20:00:80")
FAR = Host("203.0.113.10", GATEWAY)
FAR6 = Host("2001:db8:ffff::10", GATEWAY)

TIKTOK = "www.tiktok.com"
DURING = "2023-04-03T10:00:00+02:00"


def configured(folder: Path, text: str = CONFIG) -> str:
    """Write a configuration; its path."""
    (folder / "devices.csv").write_text(DEVICES)
    path = folder / "netwatch.yaml"
    path.write_text(text)
    return str(path)


def hello(wire: Wire, client: Host, server: Host, name: str = TIKTOK) -> None:
    """One TLS connection up to the ClientHello."""
    talk = Conversation(wire, client, server, 443)
    message = handshakes.records(handshakes.client_hello(name, wire.rng))
    talk.ask(message, "tls-sni", name)


def lookup(wire: Wire, client: Host, server: Host = RESOLVER, name: str = TIKTOK) -> None:
    """A DNS query and its answer."""
    wire.lookup(client, server, name, [(name, "A", 60, FAR.ip)])


def capture(path: Path, wire: Wire) -> str:
    """Write a capture of a wire, in time order; its path."""
    path.write_bytes(pcap(sorted(wire.frames, key=lambda item: item[0])))
    return str(path)


def one_hello(when: str, client: Host = SERVICE, name: str = TIKTOK, seed: int = 1) -> Wire:
    """A wire with nothing but one ClientHello, at a moment."""
    wire = Wire(when, seed)
    payload = handshakes.records(handshakes.client_hello(name, random.Random(seed)))
    talk = Conversation(wire, client, FAR6 if ":" in client.ip else FAR, 443)
    wire.frames.clear()
    wire.go_to(when)
    talk._out("PA", payload)
    return wire


def query(when: str, client: Host, name: str) -> Wire:
    """A wire with one DNS query, at a moment."""
    wire = Wire(when, 1)
    wire.udp(client, 50000, RESOLVER, 53, messages.query(1, name, "A"))
    return wire
