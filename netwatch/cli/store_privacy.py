"""``netwatch store prune``, ``erase``, ``identify`` and ``key``: what data protection requires of a
store.

`erase` asks once, only on a terminal. It begins with everything outside the store (the state file
of a live capture, the outbox), because the person is identified by the store, which is erased last.
"""

import argparse
import getpass
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwatch.cli.erasure_places import not_reached, outcome
from netwatch.cli.group import Group, add_store_option
from netwatch.cli.printing import print_line, print_message, print_record, print_value
from netwatch.cli.store import store_options
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.system.files import user_id
from netwatch.core.text import quantity

if TYPE_CHECKING:
    from netwatch.config import Config
    from netwatch.console.database import ErasedFromConsole
    from netwatch.store.catalogue import Catalogue
    from netwatch.store.erasing import Erased, StoreErasure
    from netwatch.store.fact_tables import FactRemoval
    from netwatch.store.options import StoreOptions
    from netwatch.store.person import Person
    from netwatch.store.pruning import Pruned
    from netwatch.store.resolving import Resolved

MAX_KEPT = 20
"""Captures to name by `erase`, one per line."""

UNIT_STATE = Path("/var/lib/netwatch/live.sqlite")
"""The state file of the systemd unit."""

_PRUNE_EPILOG = """examples:
  netwatch store prune --dry-run          what `retention` of the configuration would delete today
  netwatch store prune                    delete it; live does so every hour
  netwatch store prune --now 2024-01-01   as if it were the end of that day
"""
_ERASE_EPILOG = """examples:
  netwatch store erase --device 10.30.0.9        asks once, then erases
  netwatch store erase --device "Jane Doe" --yes --reason "request of 3 March"
  netwatch store erase --device p3f9a-k7q2m5xw4n6b3c2d --yes

Alerts that a receiver already has cannot be erased, nor can your own captures, which are named.
Stop a live capture first: it has rows and open incidents in memory. While live, scan or names write
to the store, nothing is erased.

exit status:
  0  nothing of the person is left
  1  no data was found for the device (check its spelling, and the store), something could not
     be erased now (it is named), or a run writes to the store, so nothing was erased
"""
_IDENTIFY_EPILOG = """examples:
  netwatch store identify p3f9a-k7q2m5xw4n6b3c2d --reason "disciplinary case 12/2024"

The journal of the store notes who asked, when and why, before anything is printed.
"""
_KEY_EPILOG = """examples:
  netwatch store key new /etc/netwatch/pseudonyms.key

To replace a key, put the old one under `previous` of `privacy`. With a key, its pseudonyms and what
it sealed are destroyed for good.
"""


def add_prune(group: Group) -> None:
    """Add ``netwatch store prune``."""
    parser = group.command(
        "prune", _prune, "delete what is older than its retention", _PRUNE_EPILOG
    )
    add_store_option(parser)
    parser.add_argument("--dry-run", action="store_true", help="only show what would be deleted")
    parser.add_argument(
        "--now", metavar="DAY", type=_end_of_day, help="as of the end of this day (default: now)"
    )


def add_erase(group: Group) -> None:
    """Add ``netwatch store erase``."""
    parser = group.command(
        "erase", _erase, "erase a person from the store, the outbox and evidence", _ERASE_EPILOG
    )
    add_store_option(parser)
    parser.add_argument(
        "--device",
        metavar="ID",
        required=True,
        help="an id of the inventory, an IP or MAC address, a host name, an owner or a pseudonym",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--reason", metavar="TEXT", default="", help="a reason for the journal")
    parser.add_argument(
        "--state",
        metavar="FILE",
        help=f"the state file of live (default: {UNIT_STATE}, the systemd unit's)",
    )


def add_identify(group: Group) -> None:
    """Add ``netwatch store identify``."""
    parser = group.command(
        "identify",
        _identify,
        "resolve a pseudonym to a device; noted in the journal",
        _IDENTIFY_EPILOG,
    )
    add_store_option(parser)
    parser.add_argument("pseudonym", metavar="PSEUDONYM", help="a pseudonym of an alert")
    parser.add_argument("--reason", metavar="TEXT", required=True, help="why you need to know")


def add_key(group: Group) -> None:
    """Add ``netwatch store key``."""
    parser = group.command("key", _key, "make a key for pseudonyms", _KEY_EPILOG, table=False)
    parser.add_argument("action", choices=("new",), help="make a new key")
    parser.add_argument("file", metavar="FILE", help="the file that it is written to")


def _end_of_day(text: str) -> float:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a day like 2024-03-01, found '{text}'"
        ) from None
    return (day + timedelta(days=1)).timestamp()


def user_name() -> str:
    """The user, for the journal."""
    user = os.environ.get("SUDO_USER")
    try:
        return user or getpass.getuser()
    except (OSError, KeyError):
        return str(user_id())


def _facts(catalogue: "Catalogue", path: str) -> "FactRemoval":
    from netwatch.store.fact_files import FactFiles
    from netwatch.store.fact_tables import FactRemoval

    return FactRemoval(catalogue, FactFiles(path))


def _prune(args: argparse.Namespace) -> int:
    options = store_options(args)
    from netwatch import config as configuration
    from netwatch.store.opening import open_catalogue
    from netwatch.store.pruning import Pruning

    retention = configuration.load(args.config).retention
    if retention is None:
        missing = "the configuration has no 'retention', so nothing is ever deleted; add it"
        raise ConfigError.of("netwatch store prune", missing)
    now = args.now if args.now is not None else time.time()
    with open_catalogue(options) as catalogue:
        pruning = Pruning(_facts(catalogue, options.path), retention, now)
        pruned = pruning.prune(user_name(), dry_run=args.dry_run)
        if not args.dry_run:
            _prune_console(options, catalogue)
    if args.format == "jsonl":
        print_record(_fields(pruned))
    else:
        verb = "would be deleted" if args.dry_run else "deleted"
        if pruned.is_nothing:
            print_line(f"nothing is older than its retention; nothing {verb}")
        else:
            print_line(f"{verb}:")
            for name, count in _fields(pruned).items():
                print_line(f"{count:>12,} {_PRUNED[name]}")
    return 0


def _prune_console(options: "StoreOptions", catalogue: "Catalogue") -> None:
    """Delete what the console has on incidents that are gone."""
    from netwatch.console.database import has_console, open_console
    from netwatch.console.triage import Triage

    if has_console(options):
        database = open_console(options)
        try:
            Triage(database).forget_missing(catalogue)
        finally:
            database.close()


_PRUNED = {
    "rows": "rows of facts",
    "personal": "of them of personal and guest networks",
    "files": "files, removed or rewritten",
    "incidents": "incidents",
    "coverage": "records of coverage",
    "evidence": "evidence captures",
    "clients": "clients of no fact",
    "silences": "times in which a sensor was silent",
    "bypasses": "days on which a device hid its lookups",
}


def _fields(value: "Pruned | Erased") -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _erase(args: argparse.Namespace) -> int:
    options = store_options(args)
    from netwatch import config as configuration
    from netwatch.store.erasing import StoreErasure, refuse_reason
    from netwatch.store.opening import UseLock, open_catalogue
    from netwatch.store.resolving import Resolver

    if not args.device.strip():
        raise ConfigError.of("netwatch store erase", "--device: expected a text, found nothing")
    config = configuration.load(args.config)
    sealing = config.privacy.sealing if config.privacy is not None else None
    with open_catalogue(options) as catalogue, UseLock(options, exclusive=True):
        facts = _facts(catalogue, options.path)
        networks = [scope.network.name for scope in config.networks.scopes]
        resolved = Resolver(facts, config.devices.entries, networks, sealing).resolve(args.device)
        problem = refuse_reason(resolved.person, args.reason)
        if problem:
            raise ConfigError.of("netwatch store erase", f"--reason: {problem}")
        erasure = StoreErasure(facts, resolved.person, sealing)
        if not args.yes and not _is_confirmed(resolved, erasure):
            print_message("nothing was erased")
            return 1
        alerts, left = _erase_outside(args, config, resolved.person, erasure)
        console = _erase_console(options, resolved.person, erasure, left)
        outside = {
            "alerts": alerts,
            "filters": console.filters,
            "purposes": console.purposes,
            "triage": console.triage,
            "audit": console.audit,
            "temporary": _erase_temporary(options, left),
        }
        erased = erasure.erase(user_name(), {"reason": args.reason, **outside})
    for note in resolved.notes:
        print_message(f"netwatch: {note}")
    return _report(args, erased, outside, [*left, *erased.left], config)


def _is_confirmed(resolved: "Resolved", erasure: "StoreErasure") -> bool:
    """Ask once, on a terminal. Raises `ConfigError` if there is none."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        missing = "cannot ask without a terminal: expected --yes"
        raise ConfigError.of("netwatch store erase", missing)
    counts = erasure.count()
    for note in resolved.notes:
        print_message(note)
    print_message(f"known as: {', '.join(resolved.devices) or 'nothing in the store'}")
    print_message(
        f"{quantity(counts['rows'], 'row')} of facts, {quantity(counts['incidents'], 'incident')}"
        f" and {quantity(counts['clients'], 'client')} will be erased for good."
    )
    print_message("Erase? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _erase_outside(
    args: argparse.Namespace, config: "Config", person: "Person", erasure: "StoreErasure"
) -> tuple[int, list[str]]:
    """Erase what is not in the store: open incidents of live, and alerts in the outbox. Returns how
    many, and sentences on what could not be erased."""
    from netwatch.delivery.recovery import erase_alerts
    from netwatch.live.state_file import erase_open_incidents, state_path
    from netwatch.store.person import ALWAYS

    def mentions(value: Any) -> bool:
        return person.is_mentioned(value, *ALWAYS)

    count, left = 0, list[str]()
    state = state_path(args.state) or UNIT_STATE
    try:
        count += erase_open_incidents(state, mentions)
    except NetwatchError as error:
        left.append(str(error))
    try:
        alerts = erase_alerts(config.outbox.folder, mentions, erasure.records())
    except NetwatchError as error:
        left.append(str(error))
    else:
        count += alerts.waiting + alerts.dead
        left += alerts.left
    return count, left


def _erase_console(
    options: "StoreOptions", person: "Person", erasure: "StoreErasure", left: list[str]
) -> "ErasedFromConsole":
    """Erase what the console keeps. Problems are added to `left`."""
    from netwatch.console.database import ErasedFromConsole, erase_from_console

    try:
        incidents = [str(record["id"]) for record in erasure.records()]
        erased = erase_from_console(options, person, user_name(), incidents)
    except NetwatchError as error:
        left.append(str(error))
        return ErasedFromConsole()
    left += erased.left
    return erased


def _erase_temporary(options: "StoreOptions", left: list[str]) -> int:
    """Remove the temporary files left by ended runs, whomever they name; returns how many folders.
    Those of a running process are added to `left`."""
    from netwatch.core.private_files import home_of, in_use, places, remove_ended

    home = home_of(options.path)
    if home is not None:
        left += [
            f"{path}: temporary files of a run in progress may name the device; they are removed"
            " when it ends"
            for path in in_use(home)
        ]
    return sum(map(remove_ended, places(options.path)))


def _report(
    args: argparse.Namespace,
    erased: "Erased",
    outside: dict[str, int],
    left: list[str],
    config: "Config",
) -> int:
    counts = {**erased.counts, **outside}
    is_found = any(count for name, count in counts.items() if name not in _OF_ANYBODY)
    if args.format == "jsonl":
        places = outcome(counts)
        print_record({**counts, "kept": list(erased.kept), "left": left, "places": places})
    elif is_found:
        print_line("erased:")
        for name, count in counts.items():
            print_line(f"{count:>12,} {_ERASED[name]}")
    if not is_found:
        print_message(f"netwatch: no data found for device '{args.device}': nothing was erased")
    if erased.kept:
        print_message(
            "netwatch: your own captures may have packets of the device, and were left as they are:"
        )
        for path in erased.kept[:MAX_KEPT]:
            print_message(f"  {path}")
        if len(erased.kept) > MAX_KEPT:
            more = f"{len(erased.kept) - MAX_KEPT:,} more"
            print_message(f"  and {more}; --format jsonl lists all")
    if config.outputs:
        names = ", ".join(output.name for output in config.outputs)
        print_message(f"netwatch: alerts delivered to {names} before have to be erased there")
    if is_found:
        print_message("netwatch: not reached by an erasure:")
        for text in not_reached():
            print_message(f"  {text}")
    for text in left:
        print_message(f"netwatch: {text}")
    return 1 if left or not is_found else 0


_ERASED = {
    "rows": "rows of facts",
    "files": "files that had them, rewritten",
    "incidents": "incidents",
    "clients": "clients",
    "evidence": "evidence captures",
    "coverage": "entries of coverage records",
    "bypasses": "days on which a device hid its lookups",
    "alerts": "alerts in the outbox, dead letters and open incidents",
    "filters": "saved filters of the console",
    "purposes": "purposes that sessions of the console had stated, about anybody",
    "triage": "incidents whose state, reasons or notes the console had",
    "audit": "rows of the audit whose subject, purpose and detail can no longer be read",
    "journal": "entries of the journal that named a pseudonym, without it now",
    "temporary": "folders of temporary files that ended runs left",
}


_OF_ANYBODY = ("purposes", "temporary")
"""Counts of what is erased whomever it names."""


def _identify(args: argparse.Namespace) -> int:
    options = store_options(args)
    from netwatch import config as configuration
    from netwatch.store.opening import open_catalogue
    from netwatch.store.person import identify, stored_clients, write_journal

    config = configuration.load(args.config)
    if config.privacy is None:
        missing = "the configuration has no 'privacy' with the key of the pseudonym; add it"
        raise ConfigError.of("netwatch store identify", missing)
    if not args.reason.strip():
        raise ConfigError.of("netwatch store identify", "--reason: expected a text, found nothing")
    with open_catalogue(options) as catalogue:
        write_journal(catalogue, user_name(), args.pseudonym, args.reason)
        clients = stored_clients(catalogue, config.privacy.sealing)
        found = identify(
            args.pseudonym,
            config.privacy.keys,
            config.devices.entries,
            clients,
            config.networks.scopes,
        )
    if found is None:
        print_message(
            f"netwatch: {args.pseudonym}: no device of the store, the inventory or the networks has"
            " this pseudonym"
        )
        return 1
    record = {name: getattr(found, name) for name in found.__dataclass_fields__}
    if args.format == "jsonl":
        print_record(record)
    else:
        for name, value in record.items():
            text = ", ".join(value) if isinstance(value, tuple) else value
            if text:
                print_value(f"{name:<10} ", text)
    return 0


def _key(args: argparse.Namespace) -> int:
    from netwatch.privacy import write_new_key

    key = write_new_key(Path(args.file))
    print_line(f"{args.file}: a new key; its pseudonyms begin with p{key.id}-")
    return 0
