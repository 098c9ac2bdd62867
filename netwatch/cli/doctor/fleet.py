"""A sensor of a fleet: are its credentials good, does the centre answer, what waits for it?"""

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
    from netwatch.config.fleet_section import FleetOptions, SpoolOptions
    from netwatch.fleet.connection import Connection

CLOCK_SECONDS = 1.0
"""Seconds by which the clock may differ from that of the centre: contacts of one device are put
together by their times."""

_QUERY_SECONDS = 2.0
_ATTEMPTS = 3
_CLOSED = (os.strerror(errno.EPIPE), os.strerror(errno.ECONNRESET))


def check(args: argparse.Namespace) -> Iterator[Finding]:
    """What makes this a sensor, if the configuration does."""
    from netwatch.config import load_fleet
    from netwatch.fleet import require_extra

    try:
        options = load_fleet(args.config)
    except ConfigError:
        return  # The check of the configuration has reported it.
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
    """The file of the credentials, and the authority in it. The seed in it has no end of its
    life."""
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
    """How far the clock here is ahead of that of the centre, in s. Raises `NetwatchError`."""
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
    """An open connection to the server. One that refuses a user closes at once, and the client may
    notice that before it reads why: then it is asked again. Raises `NetwatchError`."""
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
    """The offset by the four times of NTP (RFC 5905, section 8), in s."""
    received, answered = int(theirs["received"]), int(theirs["sent"])
    return ((sent - received) + (now - answered)) / 2e9


def _spool(options: "SpoolOptions") -> Iterator[Finding]:
    """Can the spool be written, and how much waits in it?"""
    from netwatch.fleet.spool import Spool

    place = findings.writable("spool", options.folder)
    if place.level != "ok":
        yield place
        return
    # Without a limit, nothing is evicted by looking.
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
    """Which versions of what the centre published are in use here?"""
    from netwatch.updates.published import SHAPES, published_store
    from netwatch.updates.set_format import SetError

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
