"""``netwatch policy explain``: which verdict applies to a contact, and each step towards it."""

import argparse
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import time_ns
from typing import Any
from zoneinfo import ZoneInfo

from netwatch.cli.printing import print_line, print_record
from netwatch.config import Config, load
from netwatch.core.addresses import mac_text, parse_ip, parse_mac
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.names import normalise_name
from netwatch.core.period import days_text
from netwatch.core.user_yaml import did_you_mean
from netwatch.core.verdict import CONFIDENCE_RANK, BindingPeriod, Device, Verdict
from netwatch.formats.values import rfc3339
from netwatch.inventory.devices import validity
from netwatch.rules.explain import explain_name
from netwatch.rules.policy import OUTSIDE, confidence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        print_line(", ".join(words) + note)
        print_line(f"  {verdict.clause}")
    print_line()
    for step, text in steps:
        print_line(f"{step:<9} {text}")
    return 0


def _lease(mac: bytes | None, period: BindingPeriod) -> str:
    since = "an unknown time" if period.since is None else rfc3339(period.since, 0)
    until = "for ever" if period.until is None else f"until {rfc3339(period.until, 0)}"
    return f"leased to {mac_text(mac or bytes(6))} from {since} {until} ({period.source})"


def _binding(binding: BindingPeriod | None) -> str:
    """From where it is known that it is this device, and since when."""
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
    """The IP address and MAC of the device: those given, else those of the inventory at that time.
    For a device with a MAC alone, the address that a lease gives it at that time."""
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
    """What is wrong with an id that the inventory does not have at a time."""
    other = config.devices.find(word)
    if other is not None:
        found = f"'{word}' is in the inventory at another time (line {other.line} of {other.file}"
        return f"--device: expected an id of the inventory at this time; {found}{validity(other)})"
    hint = did_you_mean(word, [known.id for known in config.devices.entries])
    return f"--device: expected an IP address or an id of the inventory, found '{word}'{hint}"


def _mistake(message: str) -> ConfigError:
    return ConfigError([Problem("netwatch policy explain", 0, 0, message)])


def _with_reason(verdicts: list[Verdict], missed: str) -> list[Verdict]:
    """The verdicts, where one says that the client is outside with what it missed."""
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
