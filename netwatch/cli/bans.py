"""``netwatch bans``: the shipped bans and those of the configuration, and what is due for review.

A ban is in force by day: a day in the ban's own time zone, from its first to its last moment. With
``-c`` the bans of that configuration are included: packs that it uses are marked, with what it
changes in them, and bans that it defines are added. ``netwatch policy check`` prints bans and their
packs as the same records.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from netwatch.cli.group import Group, day
from netwatch.cli.printing import (
    print_columns,
    print_line,
    print_message,
    print_record,
    print_value,
)
from netwatch.config import Config, load
from netwatch.core.user_yaml import did_you_mean
from netwatch.core.verdict import Ban
from netwatch.rules.bans import DEFAULT_BAN, Pack, ban_record, day_text, load_pack, pack_ids
from netwatch.rules.load import BUILTIN, load_signatures
from netwatch.rules.policy import Finding, review_ban, state_on

DEFAULT_WITHIN = 30
"""Days ahead within which a review counts as due."""

MAX_WITHIN = 3660
"""Days that ``--within`` accepts."""

_GROUP = """examples:
  netwatch bans list --on 2023-04-01            which shipped bans were in force on a day
  netwatch bans show be-fed-tiktok-2023         periods, decisions and sources of one ban
  netwatch bans review -c netwatch.yaml         what is due for review, expired or not confirmed
"""
_LIST = """examples:
  netwatch bans list                            what is in force today
  netwatch bans list --on 2023-09-20 --jurisdiction BE
  netwatch bans list --app tiktok --all         whatever the day, with the state on this day
  netwatch bans list -c netwatch.yaml --format jsonl

exit status: 0 also if no ban is in force; 2 usage or configuration error
"""
_SHOW = """examples:
  netwatch bans show be-wallonia-tiktok-2023
  netwatch bans show our-rule -c netwatch.yaml

exit status: 0 done; 2 there is no such ban, or usage or configuration error
"""
_REVIEW = """examples:
  netwatch bans review                          all shipped bans, today
  netwatch bans review -c netwatch.yaml         only the bans of a configuration
  netwatch bans review --on 2023-09-01 --within 60

exit status: 0 also if something is due; 2 usage or configuration error
"""


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group; `parents` have the common options."""
    group = Group(
        groups,
        parents,
        "bans",
        help="show the shipped bans, and what is due for review",
        description="The shipped and the configured bans: when they are in force, what"
        " they rest on, and what is due for review.",
        epilog=_GROUP,
    )
    listing = group.command("list", _list, "list the bans that are in force on a day", _LIST)
    showing = group.command("show", _show, "show all facts of a ban, with its sources", _SHOW)
    reviewing = group.command(
        "review", _review, "show what is due for review, expired or not confirmed", _REVIEW
    )
    listing.add_argument(
        "--all", action="store_true", help="list also bans that are not in force on this day"
    )
    listing.add_argument("--app", metavar="APP", help="list only bans on this app")
    listing.add_argument(
        "--jurisdiction",
        metavar="CODE",
        help="list only bans of this jurisdiction, and of its parts: BE also lists BE-WAL",
    )
    showing.add_argument("id", metavar="ID", help="the id of a ban, as list shows it")
    reviewing.add_argument(
        "--within",
        type=_within,
        default=DEFAULT_WITHIN,
        metavar="DAYS",
        help="how many days ahead a review is due (default %(default)s)",
    )
    for parser in (listing, reviewing):
        parser.add_argument(
            "--on", type=day, metavar="DAY", help="the day, as YYYY-MM-DD (default: today)"
        )


@dataclass(frozen=True, slots=True)
class _Row:
    """A ban with its pack; None for one that a configuration defines. `configured` is None if no
    configuration is given."""

    ban: Ban
    pack: Pack | None
    configured: bool | None


def _list(args: argparse.Namespace) -> int:
    every = list(_rows(args))
    rows = [row for row in every if _wanted(row, args.app, args.jurisdiction)]
    if not rows and (unknown := _unknown(args, every)):
        print_message(f"netwatch: {unknown}")
        return 2
    shown = []
    for row in rows:
        day = _today(args.on, row.ban)
        state = state_on(row.ban, day)
        if args.all or state == "in force":
            shown.append((row, day, state))
    if args.format == "jsonl":
        for row, day, state in shown:
            print_record({"on": str(day), "state": state, **_record(row)})
        return 0
    table: list[tuple[str, ...]] = [("BAN", "PERIOD", "FORBIDS", "ADVISES", "APPS")]
    for row, day, _ in shown:
        ban = row.ban
        forbids, advises = (", ".join(sorted(part)) or "-" for part in (ban.forbids, ban.advises))
        apps = ", ".join(sorted(ban.apps))
        table.append((ban.id, _period(ban, day), forbids, advises, apps))
    if args.all:
        states = ["STATE", *(state for *_, state in shown)]
        table = [(*cells, state) for cells, state in zip(table, states, strict=True)]
    if args.config:
        marks = ["CONFIGURED", *("yes" if row.configured else "no" for row, *_ in shown)]
        table = [(*cells, mark) for cells, mark in zip(table, marks, strict=True)]
    print_columns(table)
    return 0


def _show(args: argparse.Namespace) -> int:
    rows = {row.ban.id: row for row in _rows(args)}
    row = rows.get(args.id)
    if row is None:
        expected = "expected the id of a ban (see netwatch bans list --all)"
        hint = did_you_mean(args.id, rows, cutoff=0.5)
        print_message(f"netwatch: {expected}, found '{args.id}'{hint}")
        return 2
    record = _record(row)
    if args.format == "jsonl":
        print_record({"state": state_on(row.ban, _today(None, row.ban)), **record})
        return 0
    print_value("", f"{row.ban.id}: {row.ban.authority}")
    for key, text in _facts(row, record):
        print_value(f"{key:<13} ", text)
    return 0


def _review(args: argparse.Namespace) -> int:
    findings: list[tuple[Ban, Finding]] = []
    for row in _rows(args):
        if row.configured is False or row.ban.id == DEFAULT_BAN:
            continue
        day = _today(args.on, row.ban)
        unconfirmed = row.pack.unconfirmed if row.pack else ()
        status = row.pack.status if row.pack else ""
        findings += [
            (row.ban, finding)
            for finding in review_ban(row.ban, day, args.within, unconfirmed, status)
            # Whether a pack is over, or begins later, only matters to those who configured it.
            if row.configured or finding.kind not in ("expired", "not-yet")
        ]
    if args.format == "jsonl":
        for ban, finding in findings:
            record = {"ban": ban.id, "finding": finding.kind, "day": day_text(finding.day)}
            print_record({**record, "says": finding.text})
        return 0
    if not findings:
        print_line("nothing is due")
        return 0
    rows = [(ban.id, finding.kind, finding.text) for ban, finding in findings]
    print_columns([("BAN", "FINDING", ""), *rows])
    return 0


def _rows(args: argparse.Namespace) -> Iterator[_Row]:
    """The bans of the configuration in its order, if there is one, then the other packs."""
    config: Config | None = load(args.config) if args.config else None
    catalog = load_signatures([BUILTIN], Path())
    packs = {pack_id: load_pack(pack_id, catalog) for pack_id in pack_ids()}
    for ban in config.policy.bans if config else ():
        yield _Row(ban, packs.pop(ban.id, None), True)
    for pack in packs.values():
        if pack.ban.id != DEFAULT_BAN:
            yield _Row(pack.ban, pack, None if config is None else False)


def _wanted(row: _Row, app: str | None, jurisdiction: str | None) -> bool:
    code = (row.pack.jurisdiction if row.pack else "").upper()
    wanted = (jurisdiction or "").upper()
    return (app is None or app in row.ban.apps) and (
        not wanted or code == wanted or code.startswith(f"{wanted}-")
    )


def _unknown(args: argparse.Namespace, rows: Sequence[_Row]) -> str:
    """The error in a filter that matches no ban; empty if there simply is none."""
    code = (args.jurisdiction or "").upper()
    codes = {row.pack.jurisdiction.upper() for row in rows if row.pack}
    if code and not any(known == code or known.startswith(f"{code}-") for known in codes):
        hint = did_you_mean(code, codes) or f" (known: {', '.join(sorted(codes))})"
        return (
            f"--jurisdiction: expected the jurisdiction of a ban, found '{args.jurisdiction}'{hint}"
        )
    apps = load_signatures([BUILTIN], Path()).apps().keys() | set().union(
        *(row.ban.apps for row in rows)
    )
    if args.app and args.app not in apps:
        expected = "--app: expected an app id (see netwatch signatures list)"
        return f"{expected}, found '{args.app}'{did_you_mean(args.app, apps, cutoff=0.5)}"
    return ""


def _record(row: _Row) -> dict[str, Any]:
    return ban_record(row.ban, row.pack, row.configured)


def _facts(row: _Row, record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The lines of ``show``: a key and its text; keys without a value are left out."""
    ban = row.ban
    yield "state", f"{state_on(ban, _today(None, ban))} today ({ban.timezone})"
    for key in ("jurisdiction", "announced"):
        if record[key]:
            yield key, record[key]
    for period in ban.periods:
        days = f"{period.start or 'open'} to {period.end or 'open'}"
        kind = "advice only, " if period.advice else ""
        yield "period", f"{days}  {kind}{period.basis}".rstrip(" ,")
    for first, last in ban.gaps:
        yield "gap", f"{first} to {last}  not in force"
    for key in ("clean_by", "review", "legal_basis", "scope", "status", "notes"):
        if record[key]:
            yield key, record[key]
    for key in ("unconfirmed", "apps", "forbids", "advises", "networks"):
        if record[key]:
            yield key, ", ".join(record[key])
    yield "severity", f"{ban.severity}, reported from confidence {ban.min_confidence}"
    if row.configured is not None:
        yield "configured", "yes" if row.configured else "no"
    for source in record["sources"] or ():
        yield "source", source
    if record["file"]:
        yield "file", record["file"]


def _period(ban: Ban, day: date) -> str:
    """The days of the period in force on a day, or of all periods."""
    current = [
        period
        for period in ban.periods
        if (period.start or date.min) <= day <= (period.end or date.max)
    ]
    return ", ".join(
        f"{period.start or 'open'} to {period.end or 'open'}" for period in current or ban.periods
    )


def _today(on: date | None, ban: Ban) -> date:
    return on or datetime.now(UTC).astimezone(ZoneInfo(ban.timezone)).date()


def _within(text: str) -> int:
    if text.isascii() and text.isdigit() and int(text) <= MAX_WITHIN:
        return int(text)
    raise argparse.ArgumentTypeError(f"expected 0 to {MAX_WITHIN} days, found {text!r}")
