"""A fleet. For a sensor: are its credentials valid, does the centre answer, what waits for it? For
the centre: its server, folder, keys and certificates, its sensors, and its room."""

import argparse
import asyncio
import errno
import json
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from netwatch.cli.doctor import finding as findings
from netwatch.cli.doctor.finding import ANSWER_SECONDS, Finding, bad, ok, reason, warn, within
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.text import escaped, quantity

if TYPE_CHECKING:
    from netwatch.config.fleet_section import FleetOptions, ServerOptions, SpoolOptions
    from netwatch.fleet.centre_folder import CentreFolder
    from netwatch.fleet.connection import Connection
    from netwatch.store.options import StoreOptions

CLOCK_SECONDS = 1.0
"""Seconds by which the clock may differ from the centre's: contacts of one device are joined by
their times."""

_QUERY_SECONDS = 2.0
_ATTEMPTS = 3
_CLOSED = (os.strerror(errno.EPIPE), os.strerror(errno.ECONNRESET))

_SHOWN = 5


def check(args: argparse.Namespace) -> Iterator[Finding]:
    """The sensor section of the configuration, if there is one."""
    from netwatch.config import load_fleet
    from netwatch.fleet import require_extra

    options = findings.configured(load_fleet, args)
    if options is None or not options.sensor:
        return
    try:
        require_extra("fleet")
    except ConfigError as error:
        yield bad("fleet", reason(error))
        return
    is_usable = True
    for finding in _credentials(options):
        is_usable = is_usable and finding.level != "bad"
        yield finding
    if is_usable:
        yield _centre(options)
    yield from _spool(options.spool)
    yield from _published(options.published)


def _credentials(options: "FleetOptions") -> Iterator[Finding]:
    """The file of the credentials, and the authority in it. The seed in it does not expire."""
    from netwatch.fleet.connection import read_credentials

    assert options.credentials is not None
    try:
        found = read_credentials(options.credentials, options.sensor)
    except ConfigError as error:
        todo = f"'netwatch fleet enrol {options.sensor}' at the centre makes new ones"
        yield bad("credentials", f"{options.credentials}: {reason(error)}", todo)
        return
    if urlsplit(found.centre).netloc != urlsplit(options.centre).netloc:
        text = f"{options.credentials} is for {found.centre}, and 'fleet' names {options.centre}"
        yield warn("credentials", text, "is it the same centre under another name?")
    if found.ca:
        place = f"the authority in {options.credentials}"
        yield findings.validity("credentials", found.ca.encode(), place)
    else:
        yield ok("credentials", f"{options.credentials} is for {found.sensor}")


def _centre(options: "FleetOptions") -> Finding:
    """Does the centre answer, and what time is it there?"""
    from netwatch.fleet.connection import RefusedError

    try:
        offset = within(2 * ANSWER_SECONDS, lambda: asyncio.run(_clock_offset(options)))
    except RefusedError as error:
        return bad("centre", reason(error))
    except NetwatchError as error:
        return bad("centre", reason(error), "packets captured meanwhile wait in the spool")
    server = urlsplit(options.centre).netloc
    if abs(offset) > CLOCK_SECONDS:
        text = f"{server} answers; the clock here is {offset:+.1f} s off"
        return warn("centre", text, "let a time service set the clocks: chrony, systemd-timesyncd")
    return ok("centre", f"{server} answers; the clocks differ by {offset * 1000:+.0f} ms")


async def _clock_offset(options: "FleetOptions") -> float:
    """How far the clock here is ahead of the centre's, in s. Raises `NetwatchError`."""
    import nats.errors

    from netwatch.fleet.access import subject

    connection = await _connected(options)
    try:
        sent = time.time_ns()
        where = subject(options.sensor, "clock")
        answer = await connection.client.request(where, b"{}", timeout=_QUERY_SECONDS)
        return _offset(sent, json.loads(answer.data), time.time_ns())
    except nats.errors.NoRespondersError:
        raise NetwatchError("the server answers, but the centre does not run") from None
    except (nats.errors.Error, TimeoutError):
        raise NetwatchError("the server answers, but the centre is silent") from None
    except (ValueError, KeyError, TypeError):
        raise NetwatchError("the centre answers, but not with its time") from None
    finally:
        await connection.close()


async def _connected(options: "FleetOptions") -> "Connection":
    """An open connection to the server. A server that refuses a user closes at once, and the client
    may notice that before it reads the reason: then it asks again. Raises `NetwatchError`."""
    from netwatch.fleet.alert_sink import sensor_peer
    from netwatch.fleet.connection import Connection, RefusedError

    for attempt in range(_ATTEMPTS):
        connection = Connection(sensor_peer(options))
        try:
            await connection.open()
        except RefusedError:
            raise
        except NetwatchError as error:
            if attempt == _ATTEMPTS - 1 or not str(error).endswith(_CLOSED):
                raise
        else:
            return connection
    raise AssertionError


def _offset(sent: int, theirs: Any, now: int) -> float:
    """The offset from the four times of NTP (RFC 5905, section 8), in s."""
    received, answered = int(theirs["received"]), int(theirs["sent"])
    return ((sent - received) + (now - answered)) / 2e9


def _spool(options: "SpoolOptions") -> Iterator[Finding]:
    """Can the spool be written, and how much waits in it?"""
    from netwatch.fleet.spool import Spool

    place = findings.writable("spool", options.folder)
    if place.level != "ok":
        yield place
        return
    # Without a limit, reading it evicts nothing.
    spool = Spool(options.folder, 1 << 62)
    files = spool.files()
    if spool.problem:
        yield bad("spool", spool.problem)
        return
    size = sum(file.size for file in files)
    text = f"{options.folder}: {quantity(len(files), 'file')}, {findings.amount(size)} of"
    text += f" {findings.amount(options.max_bytes)}"
    room = findings.free(options.folder)
    if size > options.max_bytes / 2:
        todo = "above its limit the oldest rows are evicted: does the centre answer?"
        yield warn("spool", text, todo)
    elif room < options.max_bytes - size:
        text += f", and {findings.amount(room)} are free on the disk"
        yield warn("spool", text, "the disk fills before the spool: lower 'max_bytes'")
    else:
        yield ok("spool", text)


def _published(folder: Path) -> Iterator[Finding]:
    """Which versions published by the centre are in use here?"""
    from netwatch.updates.set_format import SHAPES, SetError
    from netwatch.updates.store import published_store

    for kind in SHAPES:
        try:
            found = published_store(folder, kind).open_current()
        except SetError as error:
            yield bad("published", escaped(reason(error)))
            continue
        if found is None:
            yield ok("published", f"no {kind} of the centre is in use")
            continue
        installed, _ = found
        text = f"{kind} {installed.version} ({installed.hash}) of the centre is in use"
        if installed.is_expired(datetime.now(UTC)):
            todo = f"the centre has to publish a newer one: netwatch fleet publish {kind}"
            yield warn("published", f"{text}, and has expired", todo)
        else:
            yield ok("published", text)


def check_centre(args: argparse.Namespace) -> Iterator[Finding]:
    """The centre section of the configuration, if there is one."""
    from netwatch.config import load_fleet, load_store
    from netwatch.fleet import require_extra

    found = findings.configured(lambda path: (load_fleet(path), load_store(path)), args)
    options, store = found or (None, None)
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
    """Is the server program there, or the credentials for an existing server?"""
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
    """The folder with the keys, its content, and the server that uses it."""
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
    """The server's certificate; one from its own authority is renewed at a start."""
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
