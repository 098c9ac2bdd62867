"""``netwatch fleet revoke`` and ``refused``: what becomes of a sensor that is not trusted."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.cli.group import Group
from netwatch.cli.printing import print_columns, print_message, print_record
from netwatch.config import Config
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.text import quantity
from netwatch.formats.values import rfc3339

if TYPE_CHECKING:
    from netwatch.fleet.centre_folder import CentreFolder
    from netwatch.fleet.receiver import RefusedMessage, RefusedMessages
    from netwatch.store.fleet_sensors import SensorRemoved

_REVOKE_EPILOG = """exit status: 0 done; 1 the store cannot be used; 2 usage or configuration error

With --remove-facts the store is what it would be if the sensor had never reported; the journal says
that it did. Without it, what the sensor reported stays.
"""

_REFUSED_EPILOG = """examples:
  netwatch fleet refused list                             what was refused, when and why
  netwatch fleet refused show brussels-1/1764200000000    one message as it came, to stdout
"""


def add(group: Group) -> None:
    """Register the commands."""
    parser = group.command(
        "revoke", _revoke, "make the credentials of a sensor void", _REVOKE_EPILOG, table=False
    )
    parser.add_argument("name", metavar="SENSOR", help="the name of the sensor")
    parser.add_argument(
        "--remove-facts",
        action="store_true",
        help="take out of the store all that the sensor reported, and what that changed",
    )
    parser = group.command(
        "refused", _refused, "show messages that the centre refused", _REFUSED_EPILOG
    )
    parser.add_argument("action", choices=("list", "show"), help="list them, or show one")
    parser.add_argument("id", metavar="ID", nargs="?", default="", help="the message to show")


def centre_config(path: str | None) -> Config:
    """The configuration, which has to be that of a centre. Raises `ConfigError`."""
    from netwatch.config import load
    from netwatch.fleet.sensor import require_extra

    require_extra("netwatch fleet")
    config = load(path)
    if config.fleet is None or config.fleet.server is None:
        text = "expected 'fleet' with 'centre' and 'server', which make this a centre"
        raise ConfigError([Problem(config.path or "netwatch.yaml", 0, 0, text)])
    return config


def centre_folder(config: Config) -> "CentreFolder":
    """The folder of a centre. Raises `NetwatchError`."""
    from netwatch.fleet.centre_folder import CentreFolder

    assert config.fleet is not None
    folder = CentreFolder(config.fleet)
    folder.prepare()
    return folder


def when_known(config: Config) -> str:
    """When the server knows what has changed, in a sentence."""
    from netwatch.fleet.centre_folder import ACCOUNTS

    assert config.fleet is not None
    assert config.fleet.server is not None
    if config.fleet.server.join:
        accounts = config.fleet.server.folder / ACCOUNTS
        return f"The server that was joined needs the accounts in {accounts}, and two reloads."
    return "A running centre notices within seconds."


def refused_folder(folder: Path) -> "RefusedMessages":
    """The messages that a centre refused."""
    from netwatch.fleet.receiver import FOLDER, RefusedMessages

    return RefusedMessages(folder / FOLDER)


def _revoke(args: argparse.Namespace) -> int:
    """Run ``netwatch fleet revoke``; the exit status."""
    config = centre_config(args.config)
    folder = centre_folder(config)
    is_enrolled = folder.is_enrolled(args.name)
    if is_enrolled or not args.remove_facts:
        folder.revoke(args.name)
        folder.write_configuration()
        print_message(f"The credentials of {args.name} are void. {when_known(config)}")
    if args.remove_facts:
        removed = _remove_facts(config, args.name, is_enrolled=is_enrolled)
        refused_folder(folder.path).forget(args.name)
        print_message(
            f"Removed what {args.name} reported: {quantity(removed.rows, 'row')} of facts,"
            f" {quantity(removed.incidents, 'incident')}, {quantity(removed.clients, 'client')},"
            f" {quantity(removed.runs, 'run')}."
        )
    return 0


def _remove_facts(config: Config, sensor: str, *, is_enrolled: bool) -> "SensorRemoved":
    from netwatch.cli.store_privacy import user_name
    from netwatch.store.catalogue import Catalogue
    from netwatch.store.fact_files import FactFiles
    from netwatch.store.fact_removal import FactRemoval
    from netwatch.store.fleet_sensors import has_sensor, remove_sensor

    if config.store is None:
        text = "expected 'store', where a centre keeps what sensors report"
        raise ConfigError([Problem(config.path or "netwatch.yaml", 0, 0, text)])
    with Catalogue.open(config.store) as catalogue:
        facts = FactRemoval(catalogue, FactFiles(config.store.path))
        if not is_enrolled and not has_sensor(facts, sensor):
            raise NetwatchError(f"no sensor {sensor[:80]!r} is enrolled, and the store has none")
        removed = remove_sensor(facts, sensor, user_name())
        # A running centre may have been committing its last message.
        while has_sensor(facts, sensor):
            removed += remove_sensor(facts, sensor, user_name())
        return removed


def _refused(args: argparse.Namespace) -> int:
    """Run ``netwatch fleet refused``; the exit status."""
    kept = refused_folder(centre_folder(centre_config(args.config)).path)
    if args.action == "show":
        message, data = kept.show(args.id)
        print_message(f"{message.sensor}, {message.kind}, {rfc3339(message.time, 3)}:"
                      f" {message.reason}")  # fmt: skip
        sys.stdout.buffer.write(data)
        return 0
    found = kept.listing()
    if args.format == "jsonl":
        for each in found:
            print_record(_record(each))
    else:
        head = ("ID", "TIME", "KIND", "BYTES", "REASON")
        print_columns([head, *(_row(each) for each in found)])
    return 0


def _record(message: "RefusedMessage") -> dict[str, object]:
    return {
        "id": message.id,
        "sensor": message.sensor,
        "kind": message.kind,
        "time": rfc3339(message.time, 3),
        "bytes": message.size,
        "reason": message.reason,
    }


def _row(message: "RefusedMessage") -> tuple[str, ...]:
    return (
        message.id,
        rfc3339(message.time, 0),
        message.kind,
        f"{message.size:,}",
        message.reason,
    )
