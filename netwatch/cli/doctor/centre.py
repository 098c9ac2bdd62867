"""The centre of a fleet: its server, folder, keys and certificates, its sensors, and its room."""

import argparse
import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from netwatch.cli.doctor import finding as findings
from netwatch.cli.doctor.finding import ANSWER_SECONDS, Finding, bad, ok, reason, warn, within
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.text import quantity

if TYPE_CHECKING:
    from netwatch.config.fleet_section import FleetOptions, ServerOptions
    from netwatch.fleet.centre_folder import CentreFolder
    from netwatch.store.options import StoreOptions

_SHOWN = 5


def check(args: argparse.Namespace) -> Iterator[Finding]:
    """What makes this a centre, if the configuration does."""
    from netwatch.config import load_fleet, load_store
    from netwatch.fleet import require_extra

    try:
        options, store = load_fleet(args.config), load_store(args.config)
    except ConfigError:
        return  # The check of the configuration has reported it.
    if options is None or options.server is None:
        return
    try:
        require_extra("fleet")
    except ConfigError as error:
        yield bad("centre", reason(error))
        return
    if store is None:
        text = "there is no 'store', where a centre keeps what sensors report"
        yield bad("centre", text, "store: {path: /var/lib/netwatch/store}")
    yield from _server(options.server)
    yield from _folder(options, options.server)
    if store is not None:
        yield _sensors(store, options.server.silence)


def _server(server: "ServerOptions") -> Iterator[Finding]:
    """Is the program of the server there, or the credentials for one that is joined?"""
    from netwatch.fleet.server import find_program

    if server.join:
        if server.credentials is not None and not os.access(server.credentials, os.R_OK):
            yield bad("nats-server", f"{server.credentials} cannot be read")
        return
    try:
        yield ok("nats-server", find_program())
    except NetwatchError as error:
        yield bad("nats-server", reason(error))


def _folder(options: "FleetOptions", server: "ServerOptions") -> Iterator[Finding]:
    """The folder with the keys, what is in it, and the server that uses it."""
    from netwatch.fleet.centre_folder import BUCKET_BYTES, FLOW_KEY, CentreFolder

    seed = server.folder / "centre.seed"
    names = ("centre.seed", "ca.pem", "server.key", FLOW_KEY)
    finding = findings.writable("centre", server.folder, names)
    if finding.level == "bad":
        yield finding
        return
    if not seed.exists():
        yield warn("centre", f"{server.folder} has no keys yet: 'netwatch fleet centre' makes them")
        return
    yield finding
    for name in names:
        path = server.folder / name
        if path.exists() and path.stat().st_mode & 0o077:
            yield bad("keys", f"{path}: others than its owner can read it", f"chmod 600 {path}")
    yield from _certificate(options, server)
    folder = CentreFolder(options)
    yield _reachable(options, server, folder)
    if not server.join:
        needed = server.max_bytes + BUCKET_BYTES - _used(server.folder / "jetstream")
        room = findings.free(server.folder)
        most = findings.amount(max(0, needed))
        text = f"{findings.amount(room)} free; the stream may use {most}"
        if room < needed:
            yield warn("stream", f"{text} more", "lower 'max_bytes' of 'server', or free some")
        else:
            yield ok("stream", f"{text} more")


def _certificate(options: "FleetOptions", server: "ServerOptions") -> Iterator[Finding]:
    """The certificate of the server; that of its own authority is renewed at a start."""
    if server.join or not options.centre.startswith("tls:"):
        return
    host = urlsplit(options.centre).hostname or ""
    if server.certificate and server.key:
        yield findings.pair("centre TLS", server.certificate, server.key, host)
        return
    certificate, key = server.folder / "server.pem", server.folder / "server.key"
    if certificate.exists():
        finding = findings.pair("centre TLS", certificate, key, host)
        if finding.level == "warn":
            todo = "'netwatch fleet centre' makes a new one when it starts"
            finding = warn(finding.subject, finding.text, todo)
        yield finding
    authority = server.folder / "ca.pem"
    if authority.exists():
        pem = authority.read_bytes().partition(b"-----BEGIN PRIVATE KEY-----")[0]
        yield findings.validity("authority", pem, str(authority))


def _reachable(options: "FleetOptions", server: "ServerOptions", folder: "CentreFolder") -> Finding:
    """Does the server answer, and let the centre in?"""
    from netwatch.fleet.server import try_server

    place = server.join or f"{server.host}:{server.port}"
    try:
        sensors = len(folder.sensors())
        within(2 * ANSWER_SECONDS, lambda: asyncio.run(try_server(options, folder)))
    except NetwatchError as error:
        start = "is it started?" if server.join else "netwatch fleet centre starts it"
        return bad("server", reason(error), start)
    return ok("server", f"{place} answers; {quantity(sensors, 'sensor')} enrolled")


def _used(folder: Path) -> int:
    """Bytes of all files below a folder, which another process may remove meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def _sensors(store: "StoreOptions", silence: float) -> Finding:
    """Which sensors are not heard, and which reject what was published?"""
    from netwatch.store.catalogue import Catalogue
    from netwatch.store.fleet_sensors import FleetSensor, roster
    from netwatch.store.options import require_extra
    from netwatch.store.status import open_unchanged

    def read() -> "list[FleetSensor]":
        with Catalogue(open_unchanged(store, ANSWER_SECONDS - 1)) as catalogue:
            return list(roster(catalogue))

    try:
        require_extra("store")
        sensors = within(ANSWER_SECONDS, read)
    except NetwatchError as error:
        return warn("sensors", reason(error))
    now = time.time_ns()
    silent = [
        sensor.name
        for sensor in sensors
        if (sensor.heard is None or now - sensor.heard > silence * 1e9)
        and sensor.status.get("state") != "stopped"
    ]
    rejecting = [
        f"{sensor.name} rejects the {kind} {sensor.rejected[kind].version}"
        for sensor in sensors
        for kind in sensor.rejected
        if sensor.is_rejecting(kind)  # type: ignore[arg-type]
    ]
    applied = sorted({f"{kind} {a.version}" for s in sensors for kind, a in s.applied.items()})
    text = quantity(len(sensors), "sensor")
    text += f"; applied: {', '.join(applied[:_SHOWN])}" if applied else ""
    problems = [f"{name} is not heard" for name in silent] + rejecting
    if problems:
        more = f", and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        text += f"; {', '.join(problems[:_SHOWN])}{more}"
        return warn("sensors", text, "netwatch fleet status shows more")
    return ok("sensors", text)
