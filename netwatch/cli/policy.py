"""``netwatch policy``: what the configuration says, and why a contact is judged as it is.

Both take a moment (``--time``), since bans and exemptions hold on some days only. What
is wrong with a configuration goes to standard error as ``file:line: what is expected``,
all of it, with exit status 2.
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
from netwatch.core.names import normalise_name
from netwatch.core.verdict import CONFIDENCE_RANK, Ban, Exemption, Verdict
from netwatch.formats.values import escaped, rfc3339
from netwatch.inventory.networks import CLASSES, Scope
from netwatch.rules.explain import why
from netwatch.rules.policy import confidence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GROUP = """examples:
  netwatch policy check                 what holds now: networks, bans, exemptions
  netwatch policy explain --device 10.20.1.7 --name www.tiktok.com --time 2023-03-20T09:00Z
"""
_CHECK = """examples:
  netwatch policy check -c site.yaml
  netwatch policy check --time 2023-03-10 --format jsonl

exit status: 0 all is sound; 2 something is not, told as file:line: what is expected
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
    """Register the group; `parents` hold the common options."""
    group = Group(
        groups,
        parents,
        "policy",
        help="the configuration: what holds, and why",
        description="The configuration: what holds, and why a contact is judged as it is.",
        epilog=_GROUP,
    )
    moment = "a day or moment as 2023-03-20T09:00+01:00; without an offset it is UTC"
    check = group.command("check", _check, "check the configuration and tell what holds", _CHECK)
    check.add_argument("--time", type=_moment, metavar="T", help=f"{moment} (else now)")
    explain = group.command("explain", _explain, "tell which verdict falls, and by what", _EXPLAIN)
    explain.add_argument(
        "--device", required=True, metavar="X", help="an id of the inventory, or an address"
    )
    explain.add_argument("--name", required=True, metavar="N", help="the name that it showed")
    explain.add_argument("--time", required=True, type=_moment, metavar="T", help=moment)
    explain.add_argument(
        "--evidence",
        choices=get_args(Evidence),
        default="tls-sni",
        metavar="E",
        help=f"how the name was seen: {', '.join(get_args(Evidence))} (else tls-sni)",
    )
    explain.add_argument("--vlan", type=int, metavar="V", help="the VLAN it was seen in")
    explain.add_argument("--mac", metavar="M", help="the MAC it was seen with")


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no moment, expected one like 2023-03-20T09:00+01:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not 1970 <= moment.year < 2262:
        raise argparse.ArgumentTypeError(f"{text!r} is out of range, expected 1970 to 2261")
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000


def _check(args: argparse.Namespace) -> int:
    config = load(args.config)
    now = time_ns() if args.time is None else args.time
    if args.format == "jsonl":
        for record, _ in _holding(config, now):
            print(json.dumps(record, default=str))
        return 0
    print(f"{config.path or 'built-in defaults'}: sound; what holds at {rfc3339(now, 0)}")
    for record, words in _holding(config, now):
        told = "  ".join(word for word in words if word)
        print(escaped(f"{record['kind']:<11} {told}"))
    return 0


Holding = tuple[dict[str, Any], list[str]]
"""A record for machines, and words for people."""


def _holding(config: Config, now: int) -> Iterator[Holding]:
    """What a configuration says, networks in the order of the classes."""
    yield from map(_network, sorted(config.networks.scopes, key=_class_order))
    for ban in config.policy.bans:
        yield _ban(ban, config.policy.state(ban, now))
    zones = {ban.id: ban.timezone for ban in config.policy.bans}
    for leave in config.policy.exemptions:
        yield _exemption(leave, config.policy.state(leave, now), zones[leave.ban])
    count = len(config.devices)
    yield {"kind": "devices", "count": count}, [f"{count} in the inventory"]
    apps, version = len(config.catalog.signatures), config.catalog.version
    record = {"kind": "signatures", "apps": apps, "version": version}
    yield record, [f"{apps} apps", f"version {version}"]
    for note in config.notes:
        yield {"kind": "note", "note": note}, [note]


def _class_order(scope: Scope) -> tuple[int, str]:
    return CLASSES.index(scope.network.device_class), scope.network.name


def _network(scope: Scope) -> Holding:
    ranges, vlans = [*map(str, scope.ranges)], sorted(scope.vlans)
    record = {
        "kind": "network",
        "class": scope.network.device_class,
        "name": scope.network.name,
        "cidrs": ranges,
        "vlans": vlans,
        "authority": scope.network.authority,
    }
    takes = ", ".join([*ranges, *(f"VLAN {vlan}" for vlan in vlans)])
    kind = scope.network.device_class
    return record, [f"{kind:<14}", scope.network.name, takes, scope.network.authority]


def _ban(ban: Ban, state: str) -> Holding:
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
    says = [f"forbids {', '.join(sorted(ban.forbids))}"] if ban.forbids else []
    says += [f"advises against {', '.join(sorted(ban.advises))}"] if ban.advises else []
    says += [f"only in {', '.join(sorted(ban.networks))}"] if ban.networks else []
    apps = ", ".join(sorted(ban.apps))
    if ban.bypass:
        says.append(f"bypass: alert, covers {', '.join(sorted(ban.bypass))}")
    return record, [f"{state:<14}", ban.id, _days(ban, ban.timezone), "; ".join(says), apps]


def _exemption(leave: Exemption, state: str, timezone: str) -> Holding:
    record = {
        "kind": "exemption",
        "state": state,
        "device": leave.device,
        "ban": leave.ban,
        "from": leave.start,
        "until": leave.end,
        "timezone": timezone,
        "apps": sorted(leave.apps),
        "reason": leave.reason,
        "approved_by": leave.approved_by,
    }
    apps = ", ".join(sorted(leave.apps))
    days = _days(leave, timezone)
    what = f"{leave.device} from {leave.ban}"
    return record, [f"{state:<14}", what, days, apps, leave.reason, leave.approved_by]


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
    place = f"{network.name} (class {network.device_class})" if network else "outside"
    steps = [
        ("time", rfc3339(args.time, 0)),
        ("network", f"{place}: {by_range}"),
        ("device", f"{device.id} (class {device.device_class}): {by_entry}"),
    ]
    if match is None:
        steps.append(("name", f"{name}: {why(config.catalog, name)}"))
        verdicts = [Verdict(None, None, "no rule takes the name")]
    else:
        by_rule = f"{match.app.name}, {match.role}, by {match.rule}"
        sure = confidence(args.evidence, match.role)
        steps.append(("name", f"{name}: {by_rule}: {why(config.catalog, name)}"))
        steps.append(("evidence", f"{args.evidence} of a domain of role {match.role}: {sure}"))
        contact = args.evidence, args.time, match, device, network
        verdicts = config.policy.decide(*contact)
        steps += [_asked(step, args.time) for step in config.policy.explain(*contact)]
    if args.format == "jsonl":
        record = {
            "verdicts": [_record(verdict) for verdict in verdicts],
            "steps": [{"step": step, "says": text} for step, text in steps],
        }
        print(json.dumps(record))
        return 0
    for verdict in verdicts:
        alert = "" if _alerted(verdict) else " (recorded, not alerted: the ban asks for more)"
        told = [verdict.kind or "no verdict", *filter(None, [verdict.confidence])]
        print(", ".join(told) + alert)
        print(escaped(f"  {verdict.clause}"))
    print()
    for step, text in steps:
        print(escaped(f"{step:<9} {text}"))
    return 0


def _client(config: Config, args: argparse.Namespace) -> tuple[bytes, bytes | None]:
    """Address and MAC that the device is judged by: those given, else the inventory's."""
    ip, entry = parse_ip(args.device), config.devices.find(args.device)
    mac = parse_mac(args.mac) if args.mac else None
    wrong = ""
    if args.mac and mac is None:
        wrong = f"--mac: '{args.mac}' is not a MAC address, expected one like 02:00:00:00:00:01"
    elif ip is None and entry is None:
        wrong = f"--device: '{args.device}' is no address and no id of the inventory"
    elif ip is None and entry is not None and not entry.ips:
        wrong = f"--device: '{entry.id}' has no address in the inventory; give one, with --mac"
    if wrong:
        raise ConfigError([Problem("netwatch policy explain", 0, 0, wrong)])
    if ip is not None or entry is None:
        assert ip is not None
        return ip, mac
    return entry.ips[0], mac or entry.mac


def _asked(verdict: Verdict, time: int) -> tuple[str, str]:
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
