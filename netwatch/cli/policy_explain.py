"""``netwatch policy explain``: which verdict applies to a contact, and each step towards it."""

import argparse
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from netwatch.cli.printing import print_line, print_record
from netwatch.config import Config, load
from netwatch.core.addresses import mac_text, parse_ip, parse_mac
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.names import normalise_name
from netwatch.core.period import days_text
from netwatch.core.user_yaml import did_you_mean
from netwatch.core.verdict import CONFIDENCE_RANK, BindingPeriod, Verdict
from netwatch.formats.values import rfc3339
from netwatch.rules.explain import explain_name
from netwatch.rules.policy import OUTSIDE, confidence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def explain(args: argparse.Namespace) -> int:
    """Run ``netwatch policy explain`` and return the exit status."""
    config = load(args.config)
    ip, mac = _client(config, args)
    network, by_range = config.networks.explain(ip, args.vlan)
    binding = config.devices.leases.binding_at(ip, mac, args.time)
    device, by_entry = config.devices.explain(ip, mac, network, binding)
    name = config.strip_search_suffix(normalise_name(args.name.encode("utf-8", "surrogateescape")))
    match = config.catalog.match(name)
    where = f"{network.name} (class {network.device_class})" if network else "outside"
    steps = [
        ("time", rfc3339(args.time, 0)),
        ("network", f"{where}: {by_range}"),
        ("device", f"{device.id} (class {device.device_class}): {by_entry}"),
    ]
    if binding is not None and binding.period is not None:
        steps.insert(2, ("lease", _lease(binding.mac, binding.period)))
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
