"""``store status``, ``verify``, ``compact`` and ``upgrade``: what is kept, whether it is intact,
and its maintenance.

``compact`` merges many small files into a few sorted ones, removes what killed processes left, and
judges days (`netwatch.store.bypass_days`); ``upgrade`` upgrades the catalogue of an older netwatch.
"""

import argparse
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from netwatch.cli.group import Group, add_store_option
from netwatch.cli.printing import print_columns, print_line, print_message, print_record
from netwatch.cli.store import store_options
from netwatch.core.errors import ConfigError
from netwatch.core.text import quantity

if TYPE_CHECKING:
    from netwatch.config import Config
    from netwatch.store.catalogue import Catalogue
    from netwatch.store.options import StoreOptions
    from netwatch.store.status import StoreStatus

_VERIFY_EPILOG = """exit status:
  0  every file that the catalogue lists is there, unchanged; stray files are only listed
  1  a file is missing, damaged, or does not fit its row in the catalogue
"""

_EPILOG = """examples:
  netwatch backup /srv/backup/before && netwatch store upgrade
  netwatch store upgrade --yes            in a script

It shows what will be done, and asks. scan, live, a centre and the other commands upgrade an older
store by themselves, and report it; that can take a while for a large store.

exit status: 0 done, or nothing to do; 1 not confirmed; 2 it cannot ask, or usage is wrong
"""


def add_status(group: Group) -> None:
    """Add ``status``."""
    parser = group.command("status", _status, "show what is kept: rows, days, bytes, runs")
    add_store_option(parser)


def add_verify(group: Group) -> None:
    """Add ``verify``."""
    help_ = "read every file of the store and compare it with the catalogue"
    add_store_option(group.command("verify", _verify, help_, _VERIFY_EPILOG))


def _status(args: argparse.Namespace) -> int:
    options = store_options(args)
    from netwatch import config as configuration
    from netwatch.store.opening import open_catalogue
    from netwatch.store.status import status

    config = configuration.load(args.config)
    with open_catalogue(options) as catalogue:
        found, hours = status(catalogue), _hours(catalogue, config)
    if args.format == "jsonl":
        print_record({**_record(found, options), "hours": hours})
    else:
        _print_status(found, options)
        _print_hours(hours)
    return 0


def _hours(catalogue: "Catalogue", config: "Config") -> dict[str, Any]:
    """For how many hours something was captured, and in how many something was lost; for each ban
    of the configuration, for how many hours its networks were captured together, and judged."""
    from netwatch.config.store_questions import ban_judges
    from netwatch.coverage.judged import QUARTERS
    from netwatch.store.judged_coverage import judged_coverage

    coverage, judges = judged_coverage(catalogue), ban_judges(config)
    bans = {}
    for ban in config.policy.bans:
        captured = judged = 0
        for scope in config.networks.scopes:
            name, kind = scope.network.name, scope.network.device_class
            if kind in ban.forbids and (not ban.networks or name in ban.networks):
                captured += coverage.captured(name).bit_count()
                judged += coverage.judged(name, kind, judges[ban.id]).bit_count()
        bans[ban.id] = {"captured": captured / QUARTERS, "judged": judged / QUARTERS}
    return {
        "captured": coverage.captured_at_all.bit_count() / QUARTERS,
        "lost": coverage.lost_at_all.bit_count() / QUARTERS,
        "bans": bans,
    }


def _print_hours(hours: dict[str, Any]) -> None:
    print_line(f"{'captured hours':<15} {hours['captured']:,}")
    if hours["lost"]:
        print_line(f"{'with losses':<15} {hours['lost']:,}")
    for ban, found in hours["bans"].items():
        print_line(f"{'judged hours':<15} {found['judged']:,} of {found['captured']:,} by {ban}")


def _time(time: int | None) -> str | None:
    from netwatch.formats.values import rfc3339

    return None if time is None else rfc3339(time, 0)


def _record(found: "StoreStatus", options: "StoreOptions") -> dict[str, Any]:
    record = {"path": options.shown, **asdict(found)}
    for key in ("created", "last_run"):
        record[key] = _time(record[key])
    record["tables"] = {
        table.table: {
            **{key: value for key, value in asdict(table).items() if key != "table"},
            "first": _time(table.first),
            "last": _time(table.last),
        }
        for table in found.tables
    }
    return record


def _print_status(found: "StoreStatus", options: "StoreOptions") -> None:
    print_line(f"store {options.shown} (format {found.format}, since {_time(found.created)})")
    print_line()
    rows = [("table", "rows", "days", "from", "to", "files", "landing", "bytes", "B/row")]
    for table in found.tables:
        share = f"{table.bytes / table.rows:.1f}" if table.rows else "-"
        rows.append(
            (
                table.table,
                f"{table.rows:,}",
                f"{table.days:,}",
                _time(table.first) or "-",
                _time(table.last) or "-",
                f"{table.files:,}",
                f"{table.landing:,}",
                f"{table.bytes:,}",
                share,
            )
        )
    print_columns(rows)
    print_line()
    numbers = [
        ("incidents", f"{found.incidents:,}"),
        ("clients", f"{found.clients:,}"),
        ("evidence files", f"{found.evidence:,}"),
        ("captures", f"{found.captures:,}{_unfinished(found)}"),
        ("runs", f"{found.runs:,}" + (f", the last from {_time(found.last_run)}"
                                       if found.last_run else "")),
        ("lost rows", f"{found.lost_rows:,}"),
        *_losses(found),
    ]  # fmt: skip
    for name, text in numbers:
        print_line(f"{name:<15} {text}")


def _losses(found: "StoreStatus") -> list[tuple[str, str]]:
    """Further losses of the store, if any."""
    lines = []
    for kind, name in (
        ("skipped", "skipped packets"),
        ("records", "lost records"),
        ("late", "late rows"),
        ("unreceived", "never received"),
        ("sampled", "sampled"),
    ):
        if kind in found.losses:
            lines.append((name, f"{found.losses[kind]:,}"))
    if "killed" in found.losses:
        rows = found.losses["killed"]
        lines.append(("killed", f"{rows:,} rows known to be lost" if rows else "a run or writer"))
    return lines


def _unfinished(found: "StoreStatus") -> str:
    parts = []
    if found.open_captures:
        parts.append(f"{found.open_captures:,} not ended")
    if found.partial_captures:
        parts.append(f"{found.partial_captures:,} in part")
    return f" ({', '.join(parts)})" if parts else ""


def _verify(args: argparse.Namespace) -> int:
    options = store_options(args)
    from netwatch.core.text import quantity
    from netwatch.store.opening import open_catalogue
    from netwatch.store.status import check, status

    wrong = strays = 0
    with open_catalogue(options) as catalogue:
        for flaw in check(catalogue, options):
            if flaw.found == "stray":
                strays += 1
            else:
                wrong += 1
            if args.format == "jsonl":
                print_record(asdict(flaw))
            else:
                print_line(f"{flaw.found:<10}  {flaw.path}: {flaw.reason}")
        files = sum(table.files for table in status(catalogue).tables)
    left = f", and {quantity(strays, 'stray file')}" if strays else ""
    state = f"{quantity(wrong, 'file')} wrong" if wrong else "all as they were written"
    print_message(f"netwatch: {quantity(files, 'file')} read: {state}{left}")
    return 1 if wrong else 0


def add_compact(group: Group) -> None:
    """Add ``compact``."""
    parser = group.command(
        "compact",
        _compact,
        "merge small files into larger, ordered ones, sweep leftovers, and judge who hid lookups",
    )
    add_store_option(parser)


def _compact(args: argparse.Namespace) -> int:
    options = store_options(args)
    from netwatch import config as configuration
    from netwatch.engine.facts_process import known_addresses, load_arrow
    from netwatch.store import compaction
    from netwatch.store.bypass_days import judge_days
    from netwatch.store.fact_files import FactFiles
    from netwatch.store.opening import UseLock, open_catalogue

    load_arrow()
    files, judged = FactFiles(options.path), 0
    known = known_addresses(configuration.load(args.config))
    with open_catalogue(options) as catalogue:
        done = compaction.compact(files, catalogue)
        swept = compaction.sweep(files, catalogue)
        with UseLock(options):
            while days := judge_days(catalogue, options, known, time.time_ns()):
                judged += days
    if args.format == "jsonl":
        print_record(
            {
                "rows": done.rows,
                "written": done.written,
                "removed": done.removed,
                "swept": len(swept),
                "judged": judged,
            }
        )
    else:
        print_line(
            f"{quantity(done.rows, 'row')} written to {quantity(done.written, 'file')} instead of"
            f" {quantity(done.removed, 'file')}, {quantity(len(swept), 'leftover')} removed;"
            f" {quantity(judged, 'day')} judged"
        )
    return 0


def add_upgrade(group: Group) -> None:
    """Add ``store upgrade``."""
    parser = group.command(
        "upgrade",
        _upgrade,
        "bring the store of an older netwatch up to date",
        _EPILOG,
        table=False,
    )
    add_store_option(parser)
    parser.add_argument("--yes", action="store_true", help="do not ask")


def _upgrade(args: argparse.Namespace) -> int:
    options = store_options(args)
    from netwatch.store.catalogue_tables import SCHEMA_VERSION
    from netwatch.store.status import needed_upgrade, upgrade

    found = needed_upgrade(options)
    if found is None:
        print_message(f"the store is up to date (schema {SCHEMA_VERSION}): nothing to do")
        return 0
    print_message(f"{found.place} was written by an older netwatch: schema {found.schema},"
                  " this one has"
                  f" {SCHEMA_VERSION}. Steps:")  # fmt: skip
    for version, what in found.steps:
        print_message(f"  {version}  {what}")
    rows = ", ".join(quantity(count, name) for name, count in found.rows.items())
    print_message(f"The catalogue has {found.bytes:,} bytes: {rows}. It is changed in one"
                  " transaction; then files of facts are rewritten, one by one. An older"
                  " netwatch cannot read the store afterwards, nor may it write now.")  # fmt: skip
    print_message("Make a backup first: netwatch backup FOLDER")
    if not args.yes and not _is_confirmed():
        print_message("nothing was changed")
        return 1
    upgrade(options)
    return 0


def _is_confirmed() -> bool:
    """Ask once, on a terminal. Raises `ConfigError` if there is none."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        missing = "cannot ask without a terminal; run 'netwatch store upgrade --yes'"
        raise ConfigError.of("netwatch store upgrade", missing)
    print_message("Upgrade? [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")
