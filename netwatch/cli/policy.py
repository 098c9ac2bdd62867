"""``netwatch policy``: what the configuration contains, which parts of it are in force, and how it
decides a contact: which verdict applies, and each step towards it.

They take a time (``--time``), since bans and exemptions are in force only on some days.
All mistakes in a configuration go to standard error as ``file:line: expected ..., found ...``, with
exit status 2.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Any, get_args
from zoneinfo import ZoneInfo

from netwatch.cli import policy_document
from netwatch.cli.group import Group
from netwatch.cli.printing import print_line, print_record, print_value
from netwatch.cli.signature_update import describe_builtin
from netwatch.config import Config, load
from netwatch.core.addresses import mac_text, parse_ip, parse_mac
from netwatch.core.errors import ConfigError
from netwatch.core.message import Evidence
from netwatch.core.names import normalise_name
from netwatch.core.period import days_text
from netwatch.core.text import quantity
from netwatch.core.user_yaml import did_you_mean
from netwatch.core.verdict import CONFIDENCE_RANK, Ban, BindingPeriod, Device, Exemption, Verdict
from netwatch.formats.values import rfc3339
from netwatch.inventory.devices import validity
from netwatch.inventory.networks import CLASSES, Scope
from netwatch.rules.bans import day_text, period_records
from netwatch.rules.explain import explain_name
from netwatch.rules.policy import OUTSIDE, confidence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_GROUP = """examples:
  netwatch policy check                 show what is in force now: networks, bans, exemptions
  netwatch policy explain --device 10.20.1.7 --name www.tiktok.com --time 2023-03-20T09:00Z
  netwatch policy document notice --lang fr   a draft of the notice to staff
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
        print_value(f"{record['kind']:<11} ", text)
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
        "from": day_text(ban.start),
        "until": day_text(ban.end),
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
        "from": day_text(exemption.start),
        "until": day_text(exemption.end),
        "timezone": timezone,
        "apps": sorted(exemption.apps),
        "reason": exemption.reason,
        "approved_by": exemption.approved_by,
    }
    apps = ", ".join(sorted(exemption.apps))
    days = days_text([(exemption.start, exemption.end)], timezone)
    what = f"{exemption.device} from {exemption.ban}"
    return record, [f"{state:<14}", what, days, apps, exemption.reason, exemption.approved_by]


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
    policy_document.add(group)


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


def explain(args: argparse.Namespace) -> int:
    """Run ``netwatch policy explain`` and return the exit status."""
    config = load(args.config)
    if args.time is None:
        args.time = time_ns()
    ip, mac = _client(config, args)
    network, by_range = config.networks.explain(ip, args.vlan)
    binding = config.devices.leases.binding_at(ip, mac, args.time)
    found = config.devices.identify(ip, mac, network, args.time, binding)
    device = found.device
    name = config.strip_search_suffix(normalise_name(args.name.encode("utf-8", "surrogateescape")))
    match = config.catalog.match(name)
    where = f"{network.name} (class {network.device_class})" if network else "outside"
    steps = [
        ("time", rfc3339(args.time, 0)),
        ("network", f"{where}: {by_range}"),
        ("device", f"{device.id} (class {device.device_class}): {found.explanation}"),
        ("binding", _binding(device.binding)),
    ]
    if binding is not None and binding.period is not None:
        steps.insert(2, ("lease", _lease(binding.mac, binding.period)))
        if binding.ambiguity is None:
            device = replace(device, binding=binding.period)
            steps[-1] = ("binding", _binding(binding.period))
    if match is None:
        steps.append(("name", f"{name}: {explain_name(config.catalog, name)[1]}"))
        verdicts = [Verdict(None, None, "no rule matches the name")]
    else:
        by_rule = f"{match.app.name}, {match.role}, by {match.rule}"
        weight = confidence(args.evidence, match)
        steps.append(("name", f"{name}: {by_rule}: {explain_name(config.catalog, name)[1]}"))
        steps.append(("grade", f"{match.grade}: {'; '.join(match.grade_reasons)}"))
        steps.append(("evidence", f"{args.evidence} of a domain of role {match.role}: {weight}"))
        contact = args.evidence, args.time, match, device, network
        missed = "" if network else config.networks.missed(ip, args.vlan)
        explained = _with_reason(config.policy.explain(*contact), missed)
        nothing = Verdict(None, weight, config.policy.decide(*contact).clause)
        applied = [verdict for verdict in explained if verdict.kind]
        verdicts = applied or _with_reason([nothing], missed)
        steps += [_ban_step(step, args.time) for step in explained]
    if args.format == "jsonl":
        record = {
            "device": _device(device),
            "verdicts": [_record(verdict) for verdict in verdicts],
            "steps": [{"step": step, "says": text} for step, text in steps],
        }
        print_record(record)
        return 0
    for verdict in verdicts:
        below = " (recorded, not reported: below the min_confidence of the ban)"
        note = "" if _alerted(verdict) else below
        words = [verdict.kind or "no verdict", *filter(None, [verdict.confidence])]
        print_value("", ", ".join(words) + note)
        print_value("  ", verdict.clause)
    print_line()
    for step, text in steps:
        print_value(f"{step:<9} ", text)
    return 0


def _lease(mac: bytes | None, period: BindingPeriod) -> str:
    since = "an unknown time" if period.since is None else rfc3339(period.since, 0)
    until = "for ever" if period.until is None else f"until {rfc3339(period.until, 0)}"
    return f"leased to {mac_text(mac or bytes(6))} from {since} {until} ({period.source})"


def _binding(binding: BindingPeriod | None) -> str:
    """How it is known that it is this device, and since when."""
    if binding is None:
        return "none: it is not known which device it was"
    if binding.source == "address":
        return "address: nothing but the address is known of the device"
    where = f" line {binding.line} of {binding.file}" if binding.file else ""
    since = "without a first day" if binding.since is None else f"since {_moment(binding.since)}"
    until = "without an end" if binding.until is None else f"until {_moment(binding.until)}"
    return f"{binding.source}{where}: {since}, {until}"


def _moment(time: int) -> str:
    return rfc3339(time, 0)


def _device(device: Device) -> dict[str, Any]:
    binding = device.binding
    return {
        "id": device.id,
        "class": device.device_class,
        "reason": device.reason,
        "randomised_mac": device.randomised_mac,
        "binding": None
        if binding is None
        else {
            "source": binding.source,
            "from": None if binding.since is None else _moment(binding.since),
            "until": None if binding.until is None else _moment(binding.until),
            "file": binding.file or None,
            "line": binding.line or None,
        },
    }


def _client(config: Config, args: argparse.Namespace) -> tuple[bytes, bytes | None]:
    """The IP address and MAC of the device: the given ones, otherwise those in the inventory at
    that time. For a device with only a MAC, the address that a lease gives it at that time."""
    devices, time = config.devices, args.time
    mac = parse_mac(args.mac) if args.mac else None
    if args.mac and mac is None:
        raise _mistake(f"--mac: expected a MAC address like 02:00:00:00:00:01, found '{args.mac}'")
    if args.ip is not None:
        ip = parse_ip(args.ip)
        if ip is None:
            raise _mistake(f"--ip: expected an IP address, found '{args.ip}'")
        if args.device is None:
            return ip, mac
    elif args.device is not None:
        ip = parse_ip(args.device)
    else:
        ip = None
    if args.device is None:
        if mac is None:
            raise _mistake("expected --device, --ip or --mac, found none")
        entry, word = devices.find(args.mac, time), args.mac
    else:
        entry, word = devices.find(args.device, time), args.device
    if entry is None and ip is None and args.device is not None:
        raise _mistake(_unknown_device(config, args.device, time))
    if entry is not None and mac is None and parse_ip(word) is None:
        mac = entry.mac
    if ip is None and entry is not None and entry.ips:
        ip = entry.ips[0]
    if ip is None and mac is not None:
        ip = devices.leases.address_of(mac, time)
    if ip is None:
        expected = "an IP address with --ip, since neither the inventory nor a lease has one"
        raise _mistake(
            f"{'--mac' if args.device is None else '--device'}: expected {expected} for"
            f" '{word}' at this time"
        )
    return ip, mac


def _unknown_device(config: Config, word: str, time: int) -> str:
    """The error for an id that is not in the inventory at a time."""
    other = config.devices.find(word)
    if other is not None:
        found = f"'{word}' is in the inventory at another time (line {other.line} of {other.file}"
        return f"--device: expected an id of the inventory at this time; {found}{validity(other)})"
    hint = did_you_mean(word, [known.id for known in config.devices.entries])
    return f"--device: expected an IP address or an id of the inventory, found '{word}'{hint}"


def _mistake(message: str) -> ConfigError:
    return ConfigError.of("netwatch policy explain", message)


def _with_reason(verdicts: list[Verdict], missed: str) -> list[Verdict]:
    """The verdicts; if the client is outside, one of them says what it missed."""
    if not missed:
        return verdicts
    return [
        replace(verdict, clause=f"{OUTSIDE}: {missed}") if verdict.clause == OUTSIDE else verdict
        for verdict in verdicts
    ]


def _ban_step(verdict: Verdict, time: int) -> tuple[str, str]:
    ban = verdict.ban
    if ban is None:
        return "all bans", verdict.clause
    local = (_EPOCH + timedelta(seconds=time // 10**9)).astimezone(ZoneInfo(ban.timezone))
    days = days_text(ban.days, ban.timezone)
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
