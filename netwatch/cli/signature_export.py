"""``netwatch signatures export``: the names of a ban for resolvers, firewalls, sensors and others.

The file goes to standard output or to ``-o FILE``. What a format cannot express, and what it blocks
wrongly, is reported on standard error. With ``--preview`` the report on observed traffic goes to
standard output instead of the file.
"""

import argparse
import os
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, get_args

from netwatch import __version__
from netwatch.cli.group import Group, day
from netwatch.cli.printing import print_message
from netwatch.core.errors import ConfigError
from netwatch.core.text import quantity
from netwatch.core.user_yaml import Problems, did_you_mean
from netwatch.core.verdict import Ban, Role
from netwatch.exports.export_format import EXPORTS

if TYPE_CHECKING:
    from netwatch.config import Config
    from netwatch.exports.export_format import Export, ExportFormat

_COMMAND = "netwatch signatures export"
_EPILOG = """examples:
  netwatch signatures export --as rpz --ban be-fed-tiktok-2023 -o tiktok.rpz
  netwatch signatures export --as suricata --app tiktok --app capcut -o netwatch.rules
  netwatch signatures export --as dnsmasq --ban our-rule -c netwatch.yaml --role exclusive,vendor
  netwatch signatures export --as rpz --ban our-rule --preview yesterday.pcap
  netwatch signatures export --as nftables --ban our-rule --addresses yesterday.pcap

The same rules, ban and day give the same file. The day is --date, otherwise the environment
variable SOURCE_DATE_EPOCH, otherwise today.

exit status: 0 done; 1 traffic could not be read, or a file not written; 2 usage or configuration
error
"""


def add(group: Group) -> None:
    """Register the command."""
    parser = group.command(
        "export", export, "write the names of a ban for resolvers, firewalls and sensors", _EPILOG
    )
    parser.add_argument(
        "--as",
        dest="export_format",
        metavar="FORMAT",
        required=True,
        choices=tuple(EXPORTS),
        help="the format of the file",
    )
    parser.add_argument(
        "--ban",
        metavar="ID",
        help="a ban of the configuration or a shipped one (default: the only one configured)",
    )
    parser.add_argument(
        "--app",
        metavar="ID",
        action="append",
        default=[],
        help="an app, vendor:… or category:…, instead of a ban, or with --ban only this app of it"
        " (repeatable)",
    )
    parser.add_argument(
        "--role",
        metavar="ROLES",
        type=_roles,
        default=("exclusive",),
        help="the roles of names, with commas: exclusive, vendor, embed, cdn (default exclusive);"
        " roles other than exclusive block more than the apps",
    )
    parser.add_argument(
        "--spare-others",
        action="store_true",
        help="let names of other roles and apps below a domain of the file pass, if the"
        " format supports it",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the file to FILE, which is replaced only when all is written",
    )
    parser.add_argument(
        "--date", metavar="DAY", type=day, help="the date in the file, as YYYY-MM-DD"
    )
    parser.add_argument(
        "--preview",
        metavar="PATH",
        nargs="+",
        help="report what the file would have stopped and missed in captures, logs or stores",
    )
    parser.add_argument(
        "--addresses",
        metavar="PATH",
        nargs="+",
        help="with --as nftables: captures, logs or stores to take the addresses from",
    )
    parser.add_argument(
        "--asns",
        action="store_true",
        help="with --as nftables: also the networks of the apps' autonomous systems, according to"
        " geoip.asn of the configuration",
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="print errors only, not what is left out"
    )


def export(args: argparse.Namespace) -> int:
    """Run the command; returns the exit status. Raises `ConfigError` and `NetwatchError`."""
    from netwatch import config as configuration
    from netwatch.cli import terminal
    from netwatch.cli.export_traffic import Traffic, print_report

    form = EXPORTS[args.export_format]
    _check_options(args, form)
    config = configuration.load(args.config)
    made = _export(args, config)
    traffic = Traffic(config)
    if form.needs_addresses:
        made = traffic.with_addresses(made, args.addresses or (), with_networks=args.asns)
    text = form.text(made)
    if not args.quiet:
        _report(made, form)
    if args.output or not args.preview:
        with terminal.output(args.output) as stream:
            stream.write(text)
    if args.preview:
        report = traffic.preview(form, text, made.selection, args.preview)
        print_report(report, args.format)
    return 1 if traffic.is_incomplete else 0


def _check_options(args: argparse.Namespace, form: "ExportFormat") -> None:
    """Refuse conflicting options, and unrequested addresses."""
    given = bool(args.addresses or args.asns)
    if given and not form.needs_addresses:
        message = f"--addresses and --asns are for nftables; {args.export_format} has names"
    elif form.needs_addresses and not given:
        message = (
            f"--as {args.export_format} needs addresses, which go stale and may be shared with"
            " other services: give --addresses PATH or --asns, or export names in another format"
        )
    else:
        return
    raise ConfigError.of(_COMMAND, message)


def _export(args: argparse.Namespace, config: "Config") -> "Export":
    from netwatch.exports.export_format import Export
    from netwatch.exports.selection import select

    ban = _ban(args, config)
    problems = Problems()
    words = [(0, word) for word in args.app]
    named = config.catalog.resolve_apps(words, _COMMAND, problems)
    problems.raise_if_any()
    apps = named or (ban.apps if ban is not None else frozenset())
    if ban is not None and not apps <= ban.apps:
        others = ", ".join(sorted(apps - ban.apps))
        raise ConfigError.of("--app", f"the ban {ban.id} does not name {others}")
    selection = select(config.catalog, apps, args.role)
    return Export(
        selection,
        ban,
        _moment(args.date),
        __version__,
        _signatures(config),
        spare=args.spare_others,
    )


def _signatures(config: "Config") -> str:
    """The version of the signatures in words: the hash of their files, and of a signed set."""
    version = config.catalog.version
    return f"{version} (set {config.installed.identity.version})" if config.installed else version


def _ban(args: argparse.Namespace, config: "Config") -> Ban | None:
    """The ban of ``--ban``, first from the configuration; without it none if apps are named,
    otherwise the only one of the configuration."""
    configured = {ban.id: ban for ban in config.policy.bans}
    if args.ban is None:
        if args.app:
            return None
        if len(configured) == 1:
            return next(iter(configured.values()))
        ids = ", ".join(configured) or "none"
        message = f"expected --ban or --app; the configuration has several bans or none: {ids}"
        raise ConfigError.of(_COMMAND, message)
    if args.ban in configured:
        return configured[args.ban]
    from netwatch.rules.bans import load_pack, pack_ids

    known = pack_ids()
    if args.ban not in known:
        hint = did_you_mean(args.ban, [*configured, *known], cutoff=0.5)
        expected = "expected the id of a ban (see netwatch bans list --all)"
        raise ConfigError.of("--ban", f"{expected}, found '{args.ban}'{hint}")
    return load_pack(args.ban, config.catalog).ban


def _report(made: "Export", form: "ExportFormat") -> None:
    """Report on standard error what is in the file, and how it differs from the rules."""
    from netwatch.exports.export_format import losses

    selection = made.selection
    print_message(
        f"netwatch: {made.title}: {quantity(len(selection.rules), 'rule')} of"
        f" {quantity(len(selection.apps), 'app')} for {form.program}"
    )
    for line in losses(made, form):
        print_message(f"netwatch: {line}")
    print_message(f"netwatch: note: {form.lost}")
    if made.ban is not None and (why := _why_not_in_force(made.ban, made.time)):
        print_message(f"netwatch: note: the ban {why}")
    rows = len(form.rules(selection, "exact", "wider"))
    if form.max_rows and rows > form.max_rows:
        print_message(f"netwatch: {rows:,} rows: {form.program} reads {form.max_rows:,} of a file")


def _why_not_in_force(ban: Ban, time: datetime) -> str:
    """Why a ban is not in force at a moment, as the end of a sentence; empty if it is."""
    from netwatch.rules.policy import ban_state

    match ban_state(ban, int(time.timestamp()) * 1_000_000_000):
        case "not yet":
            return f"is in force only from {ban.start}"
        case "over":
            return f"was in force until {ban.end}"
        case "gap":
            return "is not in force, between two of its periods"
    return ""


def _moment(day: date | None) -> datetime:
    """The creation time in the file: the start of a day in UTC, or SOURCE_DATE_EPOCH
    (https://reproducible-builds.org/specs/source-date-epoch/)."""
    if day is not None:
        return datetime(day.year, day.month, day.day, tzinfo=UTC)
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not epoch:
        return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        message = f"expected seconds since 1970, found '{epoch}'"
        raise ConfigError.of("SOURCE_DATE_EPOCH", message) from None


def _roles(text: str) -> tuple[Role, ...]:
    known = {role: role for role in get_args(Role)}
    words = text.split(",")
    unknown = [word for word in words if word not in known]
    if unknown:
        message = f"expected some of {', '.join(known)}, found {unknown[0]!r}"
        raise argparse.ArgumentTypeError(message)
    return tuple(known[word] for word in words)
