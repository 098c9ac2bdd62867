"""A day of an office in a store: captured as packets, and beside them, or in their place, flow
records of a router that samples them, or some of which are lost, or logs of services."""

import json
import struct
from collections.abc import Collection
from itertools import product
from pathlib import Path

from support.asked_stores import run
from support.asking_office import Answer, Event, Talk, frames
from support.captures import pcap
from support.flow_messages import FLOW, flow, ipfix, options_template, set_of, template

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
BEGIN = 1_679_270_400 * SECOND
"""2023-03-20, a Monday, in UTC."""

DAY = "2023-03-20"
MINUTES = range(0, 60, 5)
"""When there is a connection in each hour."""

CLIENT, SERVER, APP = bytes([10, 20, 1, 10]), bytes([198, 51, 100, 7]), bytes([203, 0, 113, 9])

CONFIGURATION = """version: 1
networks:
  - {name: hq, cidrs: [10.20.1.0/24], class: service, authority: City}
  - {name: resolvers, cidrs: [10.20.0.0/24], class: infrastructure}
bans:
  - {id: city, authority: City, apps: [tiktok], forbids: [service], timezone: UTC,
     from: 2023-01-01, legal_basis: Decision 1}
store: {path: kept}
"""


def captured(hours: Collection[int], client: bytes = CLIENT) -> bytes:
    """A capture of these hours."""
    found: list[Event] = []
    for hour in sorted(hours):
        for minute in MINUTES:
            at = BEGIN + hour * HOUR + minute * 60 * SECOND + SECOND
            name = "www.example.org"
            found.append(Answer(at, 0, client, name, ((SERVER, 60),)))
            port = 50_000 + hour * 60 + minute
            found.append(Talk(at + SECOND, at + 9 * SECOND, 0, client, port, SERVER, 80, name))
    return pcap(frames(found))


def exported(
    hours: Collection[int],
    *,
    minutes: Collection[int] = MINUTES,
    sampling: int = 1,
    lost: int = 0,
    server: bytes = SERVER,
) -> bytes:
    """Flow records of these hours as an IPFIX file, a message for each connection. One packet of
    `sampling` was looked at; the last message of each hour follows `lost` others that are not
    there."""
    described = [set_of(2, template(300, *FLOW))]
    if sampling > 1:
        options = options_template(400, ((302, 4),), ((305, 4), (306, 4)))
        described += [set_of(3, options), set_of(400, struct.pack(">III", 1, 1, sampling - 1))]
    messages, sequence = [], 0
    for hour in sorted(hours):
        for minute in minutes:
            seconds = BEGIN // SECOND + hour * 3600 + minute * 60 + 30
            times = {"first": seconds * 1000 - 9000, "last": seconds * 1000 - 5000}
            port = 51_000 + hour * 60 + minute
            records = (
                flow(CLIENT, server, port, 443, packets=20, octets=4000, **times),
                flow(server, CLIENT, 443, port, packets=30, octets=40_000, **times),
            )
            sequence += lost if minute == max(minutes) else 0
            messages.append(
                ipfix(*described, set_of(300, *records), seconds=seconds, sequence=sequence)
            )
            # Options data count, too (RFC 7011 section 3.1).
            sequence += len(records) + (sampling > 1)
    return b"".join(messages)


def lines(
    hours: Collection[int], name: str = "www.tiktok.com", minutes: Collection[int] = (0,)
) -> bytes:
    """The log of a resolver that told the client the address of the app, or of another name."""
    found = ""
    for hour, minute in product(sorted(hours), minutes):
        number = 60 * hour + minute + 1
        at = f"Mar 20 {hour:02}:{minute:02}:05 gw dnsmasq[900]: {number} 10.20.1.10/40001"
        found += f"{at} query[A] {name} from 10.20.1.10\n"
        found += f"{at} reply {name} is 203.0.113.9\n"
    return found.encode()


def leases(hours: Collection[int]) -> bytes:
    """The log of a DHCP server."""
    return b"".join(
        b"Mar 20 %02d:%02d:05 gw dnsmasq-dhcp[900]: DHCPACK(eth0) 10.20.1.10 02:00:00:00:00:0a pc\n"
        % (hour, minute)
        for hour in hours
        for minute in MINUTES
    )


def tunnels(hours: Collection[int]) -> bytes:
    """The log of a proxy through which the client connects."""
    return b"".join(
        b"%d.500 200 10.20.1.10 TCP_TUNNEL/200 4000 CONNECT www.example.org:443 -"
        b" HIER_DIRECT/198.51.100.7 -\n" % (BEGIN // SECOND + hour * 3600 + minute * 60)
        for hour in hours
        for minute in MINUTES
    )


def mirrored(hours: Collection[int]) -> dict[str, bytes]:
    """What Zeek logs at a mirror port: connections, and handshakes with a name."""
    connections, handshakes = [], []
    for hour in hours:
        for minute in MINUTES:
            ends = {
                "ts": BEGIN // SECOND + hour * 3600 + minute * 60 + 0.5,
                "uid": f"C{hour}x{minute}",
                "id.orig_h": "10.20.1.10",
                "id.orig_p": 40_000 + hour * 60 + minute,
                "id.resp_h": "198.51.100.7",
                "id.resp_p": 443,
            }
            connections.append(ends | {
                "proto": "tcp", "service": "ssl", "duration": 2.0, "orig_bytes": 900,
                "resp_bytes": 9000, "conn_state": "SF", "history": "ShADadFf",
            })  # fmt: skip
            handshakes.append(ends | {
                "version": "TLSv12", "server_name": "www.example.org", "resumed": False,
                "established": True,
            })  # fmt: skip
    return {
        "conn_log": "".join(f"{json.dumps(each)}\n" for each in connections).encode(),
        "ssl_log": "".join(f"{json.dumps(each)}\n" for each in handshakes).encode(),
    }


def store(folder: Path, **files: bytes) -> str:
    """A store of these files, whose names have an underscore for a point; the path of its
    configuration."""
    path = folder / "netwatch.yaml"
    path.write_text(CONFIGURATION.replace("path: kept", f"path: {folder / 'kept'}"))
    found = []
    for name, content in files.items():
        file = folder / name.replace("_", ".")
        file.write_bytes(content)
        found.append(str(file))
    more = ("--year", "2023", "--timezone", "UTC", "-c", str(path))
    done = run("scan", "-q", "--store", *found, *more)
    assert done.status == 0, done.errors
    return str(path)
