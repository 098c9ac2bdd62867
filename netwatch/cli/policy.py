"""``netwatch policy``: what the configuration contains, and how it decides a contact.

Both commands take a time (``--time``), since bans and exemptions are in force only on some days.
All mistakes in a configuration go to standard error as ``file:line: expected ..., found ...``, with
exit status 2.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Any, get_args
from zoneinfo import ZoneInfo

from netwatch.cli.group import Group
from netwatch.config import Config, load
from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.message import Evidence
from netwatch.core.names import normalise
from netwatch.core.text import quantity
from netwatch.core.user_yaml import did_you_mean
from netwatch.core.verdict import CONFIDENCE_RANK, Ban, Exemption, Verdict
from netwatch.formats.values import escaped, rfc3339
from netwatch.inventory.networks import CLASSES, Scope
from netwatch.rules.explain import explain_name
from netwatch.rules.policy import confidence

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
    check = group.command(
        "check", _check, "check the configuration, and show what is in force", _CHECK
    )
    check.add_argument("--time", type=_time, metavar="T", help=f"{when} (default: now)")
    explain = group.command(
        "explain", _explain, "explain which verdict applies to a contact, and why", _EXPLAIN
    )
    explain.add_argument(
        "--device", required=True, metavar="X", help="an id of the inventory, or an IP address"
    )
    explain.add_argument(
        "--name", required=True, metavar="N", help="the name that the device looked up or contacted"
    )
    explain.add_argument("--time", required=True, type=_time, metavar="T", help=when)
    explain.add_argument(
        "--evidence",
        choices=get_args(Evidence),
        default="tls-sni",
        metavar="E",
        help=f"type of evidence: {', '.join(get_args(Evidence))} (default: tls-sni)",
    )
    explain.add_argument("--vlan", type=int, metavar="V", help="the VLAN tag of the packet")
    explain.add_argument("--mac", metavar="M", help="the MAC address in the frame")


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


def _check(args: argparse.Namespace) -> int:
    config = load(args.config)
    now = time_ns() if args.time is None else args.time
    if args.format == "jsonl":
        for record, _ in _rows(config, now):
            print(json.dumps(record, default=str))
        return 0
    print(f"{config.path or 'built-in defaults'}: valid; in force at {rfc3339(now, 0)}:")
    for record, cells in _rows(config, now):
        text = "  ".join(cell for cell in cells if cell)
        print(escaped(f"{record['kind']:<11} {text}"))
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
    count = len(config.devices)
    yield {"kind": "devices", "count": count}, [f"{count} in the inventory"]
    apps, version = len(config.catalog.signatures), config.catalog.version
    record = {"kind": "signatures", "apps": apps, "version": version}
    yield record, [quantity(apps, "app"), f"version {version}"]
    for note in config.notes:
        yield {"kind": "note", "note": note}, [note]


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
        "from": ban.start,
        "until": ban.end,
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
    effects += [f"only in {', '.join(sorted(ban.networks))}"] if ban.networks else []
    apps = ", ".join(sorted(ban.apps))
    if ban.bypass:
        effects.append(f"bypass: alert, covers {', '.join(sorted(ban.bypass))}")
    return record, [f"{state:<14}", ban.id, _days(ban, ban.timezone), "; ".join(effects), apps]


def _exemption(exemption: Exemption, state: str, timezone: str) -> Row:
    record = {
        "kind": "exemption",
        "state": state,
        "device": exemption.device,
        "ban": exemption.ban,
        "from": exemption.start,
        "until": exemption.end,
        "timezone": timezone,
        "apps": sorted(exemption.apps),
        "reason": exemption.reason,
        "approved_by": exemption.approved_by,
    }
    apps = ", ".join(sorted(exemption.apps))
    days = _days(exemption, timezone)
    what = f"{exemption.device} from {exemption.ban}"
    return record, [f"{state:<14}", what, days, apps, exemption.reason, exemption.approved_by]


def _days(rule: Ban | Exemption, timezone: str) -> str:
    first, last = rule.start or "the beginning", rule.end or "further notice"
    return f"from {first} until {last} ({timezone})"


def _explain(args: argparse.Namespace) -> int:
    config = load(args.config)
    ip, mac = _client(config, args)
    network, by_range = config.networks.explain(ip, args.vlan)
    device, by_entry = config.devices.explain(ip, mac, network)
    name = config.strip_search_suffix(normalise_name(args.name.encode("utf-8", "surrogateescape")))
    match = config.catalog.match(name)
    where = f"{network.name} (class {network.device_class})" if network else "outside"
    steps = [
        ("time", rfc3339(args.time, 0)),
        ("network", f"{where}: {by_range}"),
        ("device", f"{device.id} (class {device.device_class}): {by_entry}"),
    ]
    if match is None:
        steps.append(("name", f"{name}: {explain_name(config.catalog, name)}"))
        verdicts = [Verdict(None, None, "no rule matches the name")]
    else:
        by_rule = f"{match.app.name}, {match.role}, by {match.rule}"
        grade = confidence(args.evidence, match.role)
        steps.append(("name", f"{name}: {by_rule}: {explain_name(config.catalog, name)}"))
        steps.append(("evidence", f"{args.evidence} of a domain of role {match.role}: {grade}"))
        contact = args.evidence, args.time, match, device, network
        verdicts = config.policy.decide(*contact)
        steps += [_ban_step(step, args.time) for step in config.policy.explain(*contact)]
    if args.format == "jsonl":
        record = {
            "verdicts": [_record(verdict) for verdict in verdicts],
            "steps": [{"step": step, "says": text} for step, text in steps],
        }
        print(json.dumps(record))
        return 0
    for verdict in verdicts:
        note = (
            ""
            if _alerted(verdict)
            else " (recorded, not reported: below the min_confidence of the ban)"
        )
        words = [verdict.kind or "no verdict", *filter(None, [verdict.confidence])]
        print(", ".join(words) + note)
        print(escaped(f"  {verdict.clause}"))
    print()
    for step, text in steps:
        print(escaped(f"{step:<9} {text}"))
    return 0


def _client(config: Config, args: argparse.Namespace) -> tuple[bytes, bytes | None]:
    """The IP address and MAC of the device: those given, else those of the inventory."""
    ip, entry = parse_ip(args.device), config.devices.find(args.device)
    mac = parse_mac(args.mac) if args.mac else None
    mistake = ""
    if args.mac and mac is None:
        mistake = f"--mac: expected a MAC address like 02:00:00:00:00:01, found '{args.mac}'"
    elif ip is None and entry is None:
        ids = [known.id for known in config.devices.entries]
        hint = did_you_mean(args.device, ids)
        expected = "an IP address or an id of the inventory"
        mistake = f"--device: expected {expected}, found '{args.device}'{hint}"
    elif ip is None and entry is not None and not entry.ips:
        expected = "an IP address, since the inventory has none for this device"
        mistake = f"--device: expected {expected}, found '{entry.id}'"
    if mistake:
        raise ConfigError([Problem("netwatch policy explain", 0, 0, mistake)])
    if ip is not None or entry is None:
        assert ip is not None
        return ip, mac
    return entry.ips[0], mac or entry.mac


def _ban_step(verdict: Verdict, time: int) -> tuple[str, str]:
    ban = verdict.ban
    if ban is None:
        return "all bans", verdict.clause
    local = (_EPOCH + timedelta(seconds=time // 10**9)).astimezone(ZoneInfo(ban.timezone))
    days = _days(ban, ban.timezone)
    return "ban", f"{verdict.clause} [{days}; it was {local:%Y-%m-%d %H:%M:%S} there]"


def _alerted(verdict: Verdict) -> bool:
    if verdict.kind is None or verdict.ban is None or verdict.confidence is None:
        return True
    return CONFIDENCE_RANK[verdict.confidence] >= CONFIDENCE_RANK[verdict.ban.min_confidence]


def _record(verdict: Verdict) -> dict[str, Any]:
    return {
        "verdict": verdict.kind,
        "confidence": verdict.confidence,
        "clause": verdict.clause,
        "ban": verdict.ban.id if verdict.ban else None,
        "alerted": verdict.kind is not None and _alerted(verdict),
    }
