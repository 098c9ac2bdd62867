"""``netwatch fleet publish``, ``revoke`` and ``refused``: what is signed for the sensors of a
fleet, and what happens to an untrusted one."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwatch import __version__
from netwatch.cli.group import Group, days, release
from netwatch.cli.printing import print_columns, print_line, print_message, print_record
from netwatch.config import Config
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.text import quantity
from netwatch.formats.values import rfc3339

if TYPE_CHECKING:
    from netwatch.fleet.centre_folder import CentreFolder
    from netwatch.fleet.publications import Publications, Published
    from netwatch.fleet.receiver import RefusedMessage, RefusedMessages
    from netwatch.store.fleet_sensors import SensorRemoved

_COMMAND = "netwatch fleet publish"
_EXAMPLES = """examples:
  netwatch fleet publish sensors/netwatch.yaml            a configuration, for all sensors
  netwatch fleet publish signatures/ --to ghent-1         a set, for one sensor first
  netwatch fleet publish signatures/ sensors/netwatch.yaml --dry-run
  netwatch fleet publish --list                           what was published, and until when
  netwatch fleet publish signatures/ --yes                also a set that accuses many devices

A file is a configuration: it has only keys that can be published (networks, devices, bans,
exemptions, signatures, search_suffixes, sinkholes, incidents, retention), and the files that it
names are below its folder. A folder with apps/ and bans/ is a set. Both are examined first, as
'policy check' and 'signatures lint' do. A set that would have accused more devices of the last 30
days of the centre's store than 'updates: ask_above' allows (default 20) is held back, and
nothing is published. The running centre sends what was published; 'netwatch fleet status' shows
which sensors have applied it, and why one has not.

exit status: 0 done; 1 a set is held back, or a file could not be read or written; 2 usage or
configuration error, or what was to be published has problems, each shown as file:line: problem
"""

_REVOKE_EPILOG = """exit status: 0 done; 1 the store cannot be used; 2 usage or configuration error

With --remove-facts the store is what it would be if the sensor had never reported; the journal
records that it did. Without it, what the sensor reported stays.
"""

_REFUSED_EPILOG = """examples:
  netwatch fleet refused list                             what was refused, when and why
  netwatch fleet refused show brussels-1/1764200000000    one message as it came, to stdout
"""


def add(group: Group) -> None:
    """Add the subcommand."""
    parser = group.command(
        "publish", publish, "publish signatures and configurations to sensors", _EXAMPLES
    )
    parser.add_argument(
        "paths",
        metavar="PATH",
        nargs="*",
        help="a configuration (netwatch.yaml), or a folder of signatures with apps/ and bans/",
    )
    parser.add_argument(
        "--to",
        metavar="SENSOR",
        default="all",
        help="the sensor that it is for (default: all sensors)",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="examine it, and publish nothing")
    what.add_argument("--list", action="store_true", help="show what was published")
    parser.add_argument(
        "--yes",
        action="store_true",
        help="publish also a set that would have accused more devices than 'updates: ask_above'",
    )
    parser.add_argument(
        "--expires",
        metavar="DAYS",
        type=days,
        help="for how long sensors may apply it; a version they have applied stays in use (default"
        " 365d)",
    )
    parser.add_argument(
        "--requires",
        metavar="RELEASE",
        type=release,
        default=__version__,
        help=f"the oldest netwatch that can read it (default {__version__})",
    )


def publish(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status. Raises `ConfigError` and `NetwatchError`."""
    from netwatch.fleet.access import published_keys

    if bool(args.paths) == args.list:
        raise _usage("expected either PATH, a configuration or a folder of signatures, or --list")
    config, publications, enrolled = _centre(args.config)
    if args.list:
        _print_list(args, publications)
        return 0
    if args.to != "all" and args.to not in enrolled:
        known = ", ".join(enrolled) or "none is"
        raise _usage(f"--to: expected 'all' or a sensor that is enrolled ({known}), found"
                     f" '{args.to}'")  # fmt: skip
    audience = published_keys(args.to)[args.to != "all"]
    files = _examined([Path(path) for path in args.paths], publications, audience)
    if "set" in files and not args.yes and _is_held_back(args, config, files["set"]):
        return 1
    for kind, content in files.items():
        if args.dry_run:
            _print_examined(args, kind, content)
            continue
        life = {"life": args.expires} if args.expires else {}
        published = publications.publish(kind, audience, content, release=args.requires, **life)
        _print_published(args, published)
    return 0


def _is_held_back(args: argparse.Namespace, config: "Config", files: Mapping[str, bytes]) -> bool:
    """Whether a set would have accused many devices in the centre's store, which is reported.
    Raises `SetError` if the store cannot be queried."""
    from netwatch.core.private_files import PrivateFolder
    from netwatch.updates.options import ASK_ABOVE
    from netwatch.updates.update import DAYS, weigh

    if config.store is None:
        return False
    most = config.updates.options.ask_above if config.updates is not None else ASK_ABOVE
    with PrivateFolder() as place:
        for name, data in files.items():
            path = place / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        weighed = weigh(args.config, place, most, f"{_COMMAND} --yes publishes it")
    if weighed.devices <= most:
        return False
    apps = weighed.describe()
    if args.format == "jsonl":
        print_record({"kind": "set", "published": False, "devices": weighed.devices, "apps": apps})
    else:
        print_line(
            f"the set is held back: it would have accused {weighed.devices} more devices of the"
            f" last {DAYS} days ({apps}); {_COMMAND} --yes publishes it"
        )
    return True


def _centre(path: str | None) -> "tuple[Config, Publications, list[str]]":
    """The configuration of a centre, what it published, and the known sensors."""
    config = centre_config(path)
    from netwatch.fleet.publications import open_publications

    folder = centre_folder(config)
    sensors = [sensor.name for sensor in folder.sensors()]
    return config, open_publications(folder.path), sensors


def _examined(
    paths: Sequence[Path], publications: "Publications", audience: str
) -> dict[str, dict[str, bytes]]:
    """The files of each kind, sets first, examined together with what is in use."""
    from netwatch.fleet.publications import collect_configuration, examine_files
    from netwatch.updates.update import read_examined

    found: dict[str, dict[str, bytes]] = {}
    shown = Path()
    for path in paths:
        kind = "set" if path.is_dir() else "configuration"
        if kind in found:
            raise _usage(f"expected one {kind}, found two, the second in {path}")
        found[kind] = read_examined(path) if path.is_dir() else collect_configuration(path)
        shown = shown if path.is_dir() else path.parent
    set_files = found.get("set") or publications.newest("set", audience)
    if "configuration" in found:
        examine_files(found["configuration"], shown, set_files)
    elif (current := publications.newest("configuration", audience)) is not None:
        # A set must not leave a configuration in use that names what it lacks.
        examine_files(current, Path("(the configuration that was published)"), set_files)
    return {kind: found[kind] for kind in ("set", "configuration") if kind in found}


def _print_examined(args: argparse.Namespace, kind: str, files: Mapping[str, bytes]) -> None:
    size = sum(map(len, files.values()))
    if args.format == "jsonl":
        print_record({"kind": kind, "published": False, "files": sorted(files), "bytes": size})
    else:
        print_line(f"{kind}: valid, {len(files)} files, {size:,} bytes; not published")


def _print_published(args: argparse.Namespace, published: "Published") -> None:
    from netwatch.updates.set_format import time_text

    if args.format == "jsonl":
        print_record({**_record(published), "published": True})
        return
    expires = time_text(published.bundle.manifest.expires)
    print_line(
        f"published {published.bundle.describe()}, {len(published.data):,} bytes, valid until"
        f" {expires}; the running centre sends it"
    )


def _print_list(args: argparse.Namespace, publications: "Publications") -> None:
    from netwatch.fleet.access import audience_text
    from netwatch.updates.set_format import time_text

    now = datetime.now(UTC)
    rows = [("kind", "version", "for", "hash", "published", "valid until", "bytes")]
    for publication in publications.listing():
        if args.format == "jsonl":
            print_record(_record(publication))
            continue
        manifest = publication.bundle.manifest
        expired = " (expired)" if now >= manifest.expires else ""
        rows.append(
            (
                publication.bundle.kind,
                str(manifest.version),
                audience_text(publication.bundle.audience),
                publication.bundle.hash,
                time_text(manifest.created),
                time_text(manifest.expires) + expired,
                str(len(publication.data)),
            )
        )
    if args.format != "jsonl":
        print_columns(rows) if len(rows) > 1 else print_line("nothing was published yet")


def _record(published: "Published") -> dict[str, Any]:
    from netwatch.updates.set_format import time_text

    bundle, manifest = published.bundle, published.bundle.manifest
    return {
        "kind": bundle.kind,
        "version": manifest.version,
        "to": bundle.audience.removeprefix("sensor."),
        "hash": bundle.hash,
        "created": time_text(manifest.created),
        "expires": time_text(manifest.expires),
        "requires": manifest.netwatch,
        "files": sorted(manifest.files),
        "bytes": len(published.data),
    }


def _usage(message: str) -> ConfigError:
    return ConfigError.of(_COMMAND, message)


def add_trust(group: Group) -> None:
    """Register the commands."""
    parser = group.command(
        "revoke", _revoke, "revoke the credentials of a sensor", _REVOKE_EPILOG, table=False
    )
    parser.add_argument("name", metavar="SENSOR", help="the name of the sensor")
    parser.add_argument(
        "--remove-facts",
        action="store_true",
        help="also remove what the sensor reported from the store, and what that changed",
    )
    parser = group.command(
        "refused", _refused, "show messages that the centre refused", _REFUSED_EPILOG
    )
    parser.add_argument("action", choices=("list", "show"), help="list them, or show one")
    parser.add_argument("id", metavar="ID", nargs="?", default="", help="the message to show")


def centre_config(path: str | None) -> Config:
    """The configuration, which must be a centre's. Raises `ConfigError`."""
    from netwatch import fleet
    from netwatch.config import load
    from netwatch.store import options

    fleet.require_extra("netwatch fleet")
    options.require_extra("netwatch fleet")
    config = load(path)
    if config.fleet is None or config.fleet.server is None:
        text = "expected 'fleet' with 'centre' and 'server', which make this a centre"
        raise ConfigError.of(config.path or "netwatch.yaml", text)
    return config


def centre_folder(config: Config) -> "CentreFolder":
    """The folder of a centre. Raises `NetwatchError`."""
    from netwatch.fleet.centre_folder import CentreFolder

    assert config.fleet is not None
    folder = CentreFolder(config.fleet)
    folder.prepare()
    return folder


def when_known(config: Config) -> str:
    """When the server learns of the change, in a sentence."""
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
    """Run ``netwatch fleet revoke``; returns the exit status."""
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
    from netwatch.store.fact_files import FactFiles
    from netwatch.store.fact_tables import FactRemoval
    from netwatch.store.fleet_sensors import has_sensor, remove_sensor
    from netwatch.store.opening import open_catalogue

    if config.store is None:
        text = "expected 'store', where a centre keeps what sensors report"
        raise ConfigError.of(config.path or "netwatch.yaml", text)
    with open_catalogue(config.store) as catalogue:
        facts = FactRemoval(catalogue, FactFiles(config.store.path))
        if not is_enrolled and not has_sensor(facts, sensor):
            raise NetwatchError(f"no sensor {sensor[:80]!r} is enrolled, and the store has none")
        removed = remove_sensor(facts, sensor, user_name())
        # A running centre may have been committing its last message.
        while has_sensor(facts, sensor):
            removed += remove_sensor(facts, sensor, user_name())
        return removed


def _refused(args: argparse.Namespace) -> int:
    """Run ``netwatch fleet refused``; returns the exit status."""
    kept = refused_folder(centre_folder(centre_config(args.config)).path)
    if args.action == "show":
        message, data = kept.show(args.id)
        print_message(f"{message.sensor}, {message.kind}, {rfc3339(message.time, 3)}:"
                      f" {message.reason}")  # fmt: skip
        sys.stdout.buffer.write(data)
        return 0
    found = kept.listing()
    if args.format == "jsonl":
        for refused in found:
            print_record(_refused_record(refused))
    else:
        head = ("ID", "TIME", "KIND", "BYTES", "REASON")
        print_columns([head, *(_row(refused) for refused in found)])
    return 0


def _refused_record(message: "RefusedMessage") -> dict[str, object]:
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
