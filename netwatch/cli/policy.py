"""``netwatch policy``: what the configuration contains, which parts of it are in force, and how it
decides a contact.

Both commands take a time (``--time``), since bans and exemptions are in force only on some days.
All mistakes in a configuration go to standard error as ``file:line: expected ..., found ...``, with
exit status 2.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from time import time_ns
from typing import Any, get_args

from netwatch.cli.bans import period_records
from netwatch.cli.group import Group
from netwatch.cli.policy_explain import explain
from netwatch.cli.printing import print_line, print_record
from netwatch.cli.signature_update import describe_builtin
from netwatch.config import Config, load
from netwatch.core.message import Evidence
from netwatch.core.period import days_text
from netwatch.core.text import quantity
from netwatch.core.verdict import Ban, Exemption
from netwatch.formats.values import rfc3339
from netwatch.inventory.networks import CLASSES, Scope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GROUP = """examples:
  netwatch policy check                 show what is in force now: networks, bans, exemptions
  netwatch policy explain --device 10.20.1.7 --name www.tiktok.com --time 2023-03-20T09:00Z
"""
_CHECK = """examples:
  netwatch policy check -c site.yaml
  netwatch policy check --time 2023-03-10 --format jsonl

exit status: 0 the configuration is valid; 2 it has mistakes, each shown as file:line: mistake
"""
_EXPLAIN = """examples:
  netwatch policy explain --device lab-07 --name www.tiktok.com --time 2023-03-20T09:00Z
  netwatch policy explain --device 10.30.0.9 --vlan 30 --mac 02:00:00:00:00:09 \\
      --name analytics.tiktok.com --evidence dns-query --time 2023-03-20T10:00+01:00
"""


def check(args: argparse.Namespace) -> int:
    """Run ``netwatch policy check`` and return the exit status."""
    config = load(args.config, with_secrets=True)
    now = time_ns() if args.time is None else args.time
    if args.format == "jsonl":
        for record, _ in _rows(config, now):
            print_record(record)
        return 0
    print_line(f"{config.path or 'built-in defaults'}: valid; in force at {rfc3339(now, 0)}:")
    for record, cells in _rows(config, now):
        text = "  ".join(cell for cell in cells if cell)
        print_line(f"{record['kind']:<11} {text}")
    return 0


Row = tuple[dict[str, Any], list[str]]
"""One part of the configuration: a record for programs, and cells of a table for people."""


def _rows(config: Config, now: int) -> Iterator[Row]:
    """The parts of a configuration with their state at `now` (ns), networks in order of class."""
    yield from map(_network, sorted(config.networks.scopes, key=_class_order))
    for ban in config.policy.bans:
        yield _ban(ban, config.policy.state(ban, now))
    zones = {ban.id: ban.timezone for ban in config.policy.bans}
    for exemption in config.policy.exemptions:
        state = config.policy.state(exemption, now)
        yield _exemption(exemption, state, zones[exemption.ban])
    entries = config.devices.entries
    count = entries.count_at(now)
    leases = len(config.devices.leases)
    record = {"kind": "devices", "count": count, "leases": leases}
    in_files = [f"{quantity(leases, 'lease')} in lease files"] if leases else []
    rows = [f"{quantity(len(entries), 'row')} over time"] if entries.has_periods else []
    yield record, [f"{count} in the inventory", *rows, *in_files]
    apps, version = len(config.catalog.signatures), config.catalog.version
    record = {"kind": "signatures", "apps": apps, "version": version}
    yield record, [quantity(apps, "app"), f"version {version}"]
    if config.updates is not None:
        yield _set(config)
    for output in config.outputs:
        for warning in map(str, output.warnings()):
            yield {"kind": "warning", "warning": warning}, [warning]
    for note in config.notes:
        yield {"kind": "note", "note": note}, [note]


def _set(config: Config) -> Row:
    identity = config.sensor.installed_set
    record: dict[str, Any] = {"kind": "set", "version": None, "hash": None, "expires": None}
    if identity is not None:
        record |= asdict(identity)
    return record, [describe_builtin(config.installed)]


def _class_order(scope: Scope) -> tuple[int, str]:
    return CLASSES.index(scope.network.device_class), scope.network.name


def _network(scope: Scope) -> Row:
    ranges, vlans = [*map(str, scope.ranges)], sorted(scope.vlans)
    record = {
        "kind": "network",
        "class": scope.network.device_class,
        "name": scope.network.name,
        "cidrs": ranges,
        "vlans": vlans,
        "authority": scope.network.authority,
    }
    clients = ", ".join([*ranges, *(f"VLAN {vlan}" for vlan in vlans)])
    kind = scope.network.device_class
    return record, [f"{kind:<14}", scope.network.name, clients, scope.network.authority]


def _ban(ban: Ban, state: str) -> Row:
    record = {
        "kind": "ban",
        "state": state,
        "id": ban.id,
        "authority": ban.authority,
        "from": _day(ban.start),
        "until": _day(ban.end),
        "periods": period_records(ban),
        "timezone": ban.timezone,
        "forbids": sorted(ban.forbids),
        "advises": sorted(ban.advises),
        "networks": sorted(ban.networks),
        "apps": sorted(ban.apps),
        "bypass": sorted(ban.bypass),
        "min_confidence": ban.min_confidence,
    }
    effects = [f"forbids {', '.join(sorted(ban.forbids))}"] if ban.forbids else []
    effects += [f"advises against {', '.join(sorted(ban.advises))}"] if ban.advises else []
    advice = [(period.start, period.end) for period in ban.periods if period.advice]
    effects += [f"advice only {days_text(advice, ban.timezone)}"] if advice else []
    effects += [f"only in {', '.join(sorted(ban.networks))}"] if ban.networks else []
    apps = ", ".join(sorted(ban.apps))
    if ban.bypass:
        effects.append(f"bypass: alert, covers {', '.join(sorted(ban.bypass))}")
    return record, [
        f"{state:<14}",
        ban.id,
        days_text(ban.days, ban.timezone),
        "; ".join(effects),
        apps,
    ]


def _exemption(exemption: Exemption, state: str, timezone: str) -> Row:
    record = {
        "kind": "exemption",
        "state": state,
        "device": exemption.device,
        "ban": exemption.ban,
        "from": _day(exemption.start),
        "until": _day(exemption.end),
        "timezone": timezone,
        "apps": sorted(exemption.apps),
        "reason": exemption.reason,
        "approved_by": exemption.approved_by,
    }
    apps = ", ".join(sorted(exemption.apps))
    days = days_text([(exemption.start, exemption.end)], timezone)
    what = f"{exemption.device} from {exemption.ban}"
    return record, [f"{state:<14}", what, days, apps, exemption.reason, exemption.approved_by]


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def add(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register the group; `parents` have the common options."""
    group = Group(
        groups,
        parents,
        "policy",
        help="check the configuration, and explain its verdicts",
        description="Check the configuration, and explain which verdict it gives to a contact.",
        epilog=_GROUP,
    )
    when = "a day, or a time like 2023-03-20T09:00+01:00; without an offset in UTC"
    checking = group.command(
        "check", check, "check the configuration, and show what is in force", _CHECK
    )
    checking.add_argument("--time", type=_time, metavar="T", help=f"{when} (default: now)")
    explaining = group.command(
        "explain", explain, "explain which verdict applies to a contact, and why", _EXPLAIN
    )
    explaining.add_argument(
        "--device", metavar="X", help="an id of the inventory at that time, or an IP address"
    )
    explaining.add_argument("--ip", metavar="A", help="the IP address of the device")
    explaining.add_argument(
        "--name", required=True, metavar="N", help="the name that the device looked up or contacted"
    )
    explaining.add_argument("--time", type=_time, metavar="T", help=f"{when} (default: now)")
    explaining.add_argument(
        "--evidence",
        choices=get_args(Evidence),
        default="tls-sni",
        metavar="E",
        help=f"type of evidence: {', '.join(get_args(Evidence))} (default: tls-sni)",
    )
    explaining.add_argument("--vlan", type=int, metavar="V", help="the VLAN tag of the packet")
    explaining.add_argument(
        "--mac", metavar="M", help="the MAC address in the frame; without --ip: the device's"
    )


def _time(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a time like 2023-03-20T09:00+01:00, found {text!r}"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not 1970 <= moment.year < 2262:
        raise argparse.ArgumentTypeError(f"expected a year from 1970 to 2261, found {text!r}")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000
