"""``netwatch fleet``: many sensors, one centre."""

import argparse
import asyncio
import gc
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwatch.cli import fleet_publish
from netwatch.cli.fleet_publish import centre_config, centre_folder, when_known
from netwatch.cli.group import Group, add_log_format_option
from netwatch.cli.printing import print_columns, print_line, print_message, print_record
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.private_files import below
from netwatch.core.text import quantity
from netwatch.formats.values import log_line, rfc3339

if TYPE_CHECKING:
    from netwatch.config import Config
    from netwatch.store.fleet_sensors import FleetSensor

_EPILOG = """examples:
  netwatch fleet enrol brussels-1 -o brussels-1.creds   the one file that the sensor needs
  netwatch fleet centre -c centre.yaml                  collect what sensors report, until Ctrl-C
  netwatch fleet status -c centre.yaml                  when each sensor was heard, and its state
  netwatch fleet revoke brussels-1                      its credentials are void from now on
  netwatch fleet refused list                           what the centre could not store, and why
"""

_CENTRE_EPILOG = """signals:
  SIGTERM, SIGINT  end; uncommitted data stays at the server and the sensors
  SIGHUP           make the server read certificates and sensors again

exit status: 0 ended by a signal; 1 the server or the store cannot be used; 2 usage or
configuration error
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group of commands; `parents` contain the common options."""
    group = Group(
        groups,
        parents,
        "fleet",
        help="many sensors, one centre",
        description="A centre collects what sensors report. It needs 'fleet' with 'server', and"
        " 'store', in its configuration; a sensor needs the file that 'enrol' makes.",
        epilog=_EPILOG,
    )
    parser = group.command(
        "centre", _centre, "collect what sensors report", _CENTRE_EPILOG, table=False
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="log problems only")
    add_log_format_option(parser)
    parser = group.command("enrol", _enrol, "make the credentials of a sensor", table=False)
    parser.add_argument("name", metavar="NAME", help="the name of the sensor, like brussels-1")
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="the new file (default NAME.creds); never replaced"
    )
    group.command("status", _status, "show the state of each sensor")
    fleet_publish.add(group)
    fleet_publish.add_trust(group)


def _enrol(args: argparse.Namespace) -> int:
    """Run ``netwatch fleet enrol``; returns the exit status."""
    from netwatch.fleet.access import open_signing_key
    from netwatch.fleet.connection import write_credentials

    config = centre_config(args.config)
    folder = centre_folder(config)
    path = Path(args.output or f"{args.name}.creds")
    if path.exists():
        raise NetwatchError(f"{path} exists already")
    credentials = folder.enrol(args.name, open_signing_key(folder.path / "keys").public)
    try:
        write_credentials(path, credentials)
    except NetwatchError:
        folder.revoke(args.name)
        raise
    folder.write_configuration()
    print_message(f"{path} has the credentials of {args.name}. Carry it to the sensor, and write")
    print_message(f'there: fleet: {{sensor: {args.name}, centre: "{credentials.centre}",'
                  f" credentials: {path.name}}}")  # fmt: skip
    print_message(when_known(config))
    return 0


def _centre(args: argparse.Namespace) -> int:
    """Run ``netwatch fleet centre``; returns the exit status."""
    config = centre_config(args.config)
    from netwatch.fleet.centre import Centre

    def report(text: str) -> None:
        print_message(log_line(text, time.time_ns(), args.log_format))

    centre = Centre(config, report)
    assert config.fleet is not None
    if not args.quiet:
        assert config.store is not None
        report(f"the centre {config.fleet.centre} stores into {config.store.shown}")
    # Existing objects stay, and need not be checked in every run of the garbage collector.
    gc.collect()
    gc.freeze()
    try:
        with below(config.store.path if config.store else None):
            asyncio.run(_run(centre))
    finally:
        centre.close()
    return 0


async def _run(centre: Any) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, centre.reload)
    await centre.run(stop)


def _status(args: argparse.Namespace) -> int:
    """Run ``netwatch fleet status``; returns the exit status."""
    config = centre_config(args.config)
    from netwatch.store.fleet_sensors import roster
    from netwatch.store.opening import open_catalogue

    if config.store is None:
        text = "expected 'store', where a centre keeps what sensors report"
        raise ConfigError.of(config.path or "netwatch.yaml", text)
    with open_catalogue(config.store) as catalogue:
        sensors = roster(catalogue)
    now = time.time_ns()
    records = [_record(sensor, now) for sensor in sensors]
    if args.format == "jsonl":
        for record in records:
            print_record(record)
    else:
        print_columns([_HEAD, *(_row(record) for record in records)])
        for line in _reasons(records):
            print_line(line)
    return _tell_of_server(config)


def _tell_of_server(config: "Config") -> int:
    """Report if the server does not answer: then no sensor can be heard, and what is shown is old.
    Returns the exit status."""
    from netwatch.fleet.server import try_server

    assert config.fleet is not None
    try:
        asyncio.run(try_server(config.fleet, centre_folder(config)))
    except NetwatchError as error:
        print_message(
            f"netwatch: the server does not answer ({error}), so no sensor can be heard: the state"
            " shown is from before. Is 'netwatch fleet centre' running?"
        )
        return 1
    return 0


_HEAD = ("SENSOR", "STATE", "HEARD", "CLOCK", "PACKETS/S", "DROPPED", "SPOOL", "SET", "CONFIG",
         "VERSION")  # fmt: skip

SILENT_SECONDS = 60
"""Seconds after which a sensor that was not heard is shown as silent."""


def _record(sensor: "FleetSensor", now: int) -> dict[str, Any]:
    """The record of a sensor."""
    from netwatch.store.run_rows import OUTSIDE

    status = sensor.status
    outside = status.get(OUTSIDE)
    ago = None if sensor.heard is None else max(0.0, (now - sensor.heard) / 1e9)
    return {
        "sensor": sensor.name,
        "state": _state(sensor, ago),
        "heard": None if sensor.heard is None else rfc3339(sensor.heard, 3),
        "heard_seconds": None if ago is None else round(ago, 1),
        "silent_since": None if sensor.silent_since is None else rfc3339(sensor.silent_since, 3),
        "clock_offset_seconds": (
            None if sensor.clock_offset is None else round(sensor.clock_offset / 1e9, 6)
        ),
        "version": status.get("version"),
        "rate": status.get("rate"),
        "packets": status.get("packets"),
        "dropped": status.get("dropped"),
        "rows_dropped": status.get("rows_dropped"),
        "spool": status.get("spool"),
        "reasons": status.get("reasons", []),
        "refused": sensor.refused,
        "refused_reason": sensor.refused_reason,
        "outside": outside if isinstance(outside, list) else [],
        "applied": {kind: each.version for kind, each in sorted(sensor.applied.items())},
        "rejected": {
            kind: {"version": each.version, "reason": each.reason}
            for kind, each in sorted(sensor.rejected.items())
            if sensor.is_rejecting(kind)  # type: ignore[arg-type]
        },
    }


def _state(sensor: "FleetSensor", ago: float | None) -> str:
    if ago is None:
        return "never heard"
    if sensor.status.get("state") == "stopped":
        return "stopped"
    if sensor.silent_since is not None or ago > SILENT_SECONDS:
        return "silent"
    return str(sensor.status.get("health") or "ok")


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    ago, offset, spool = record["heard_seconds"], record["clock_offset_seconds"], record["spool"]
    size = spool.get("bytes") if isinstance(spool, dict) else None
    return (
        record["sensor"],
        record["state"],
        "-" if ago is None else f"{ago:.0f} s ago",
        "-" if offset is None else f"{offset:+.3f} s",
        _amount(record["rate"], ",.0f"),
        _amount(record["dropped"], ",d"),
        "-" if not isinstance(size, int) else f"{size / 1e6:.1f} MB",
        *(record["applied"].get(kind, "-") for kind in ("set", "configuration")),
        str(record["version"] or "-"),
    )


def _amount(value: object, form: str) -> str:
    try:
        return format(value, form)
    except (TypeError, ValueError):
        return "-"


def _reasons(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The problems of sensors, a sentence each."""
    for record in records:
        name = record["sensor"]
        if isinstance(record["reasons"], list):
            for reason in record["reasons"]:
                yield f"{name}: {reason}"
        for kind, each in record["rejected"].items():
            yield f"{name} rejected the {kind} {each['version']}: {each['reason']}"
        if record["refused"]:
            refused = quantity(record["refused"], "message")
            yield f"{name}: {refused} refused, the last one: {record['refused_reason']}"
        yield from record["outside"]
