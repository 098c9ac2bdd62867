"""A day of an office in a store: captured as packets, and beside them, or in their place, flow
records of a router that samples them, or some of which are lost."""

import struct
from collections.abc import Collection
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


def captured(hours: Collection[int]) -> bytes:
    """A capture of these hours."""
    found: list[Event] = []
    for hour in sorted(hours):
        for minute in MINUTES:
            at = BEGIN + hour * HOUR + minute * 60 * SECOND + SECOND
            name = "www.example.org"
            found.append(Answer(at, 0, CLIENT, name, ((SERVER, 60),)))
            port = 50_000 + hour * 60 + minute
            found.append(Talk(at + SECOND, at + 9 * SECOND, 0, CLIENT, port, SERVER, 80, name))
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


def lines(hours: Collection[int]) -> bytes:
    """The log of a resolver that told the client the address of the app."""
    found = ""
    for hour in sorted(hours):
        at = f"Mar 20 {hour:02}:00:05 gw dnsmasq[900]: {hour + 1} 10.20.1.10/40001"
        found += f"{at} query[A] www.tiktok.com from 10.20.1.10\n"
        found += f"{at} reply www.tiktok.com is 203.0.113.9\n"
    return found.encode()


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
