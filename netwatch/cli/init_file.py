"""The text of a first ``netwatch.yaml``, with comments that say what to change."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NETWORK_CLASSES = ("service", "personal", "guest", "infrastructure")
"""The classes of networks, as ``networks`` has them."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What a first configuration is made of: the name of the authority (may be empty), the ranges
    of each class, the addresses of resolvers and proxies, and the ids of ban packs."""

    authority: str
    ranges: dict[str, tuple[str, ...]]
    resolvers: tuple[str, ...]
    packs: tuple[str, ...]


def configuration_text(answers: Answers) -> str:
    """The text of the file, which `netwatch policy check` accepts."""
    parts = [
        "# Which networks and devices netwatch watches, and which bans it judges them by.",
        "# All keys: docs/reference/configuration.md. After a change: netwatch policy check",
        "version: 1",
        "",
        "# The most specific range decides. service: devices of the organisation, to which bans",
        "# apply. personal: devices of people, where a ban at most advises. guest: no ban applies.",
        "# infrastructure: resolvers and proxies, which ask for others.",
        "networks:",
        *_networks(answers),
        "",
        "devices:",
        "  # Who is who, as CSV with the columns id, mac, ip, hostname, owner, class:",
        "  # inventory: devices.csv",
        "  # Without it devices are distinguished by what they send in these protocols.",
        "  learn: [dhcp, mdns]",
        "",
        "# netwatch bans list shows the shipped bans, netwatch bans show ID one of them.",
        "bans:",
        *(f"  - {_inline({'pack': pack})}" for pack in answers.packs),
        "",
        "# Devices that may use an app for a while; they are reported as exempt:",
        "# exemptions:",
        f"#   - {{ban: {_inline(answers.packs[0])}, device: lab-07, until: 2030-12-31,"
        " reason: research, approved_by: CISO}",
        "",
        "# Where alerts go: docs/reference/outputs.md",
        "outputs: []",
        "",
        "# What was seen is kept with --store, and by netwatch live with this:",
        "# store: {path: /var/lib/netwatch/store}",
        "# How long; forever is possible too. Without a line of its own nothing is deleted.",
        "retention: {observations: 30d, incidents: 2y, evidence: 1y, personal: 7d}",
    ]
    return "\n".join(parts) + "\n"


def _networks(answers: Answers) -> Sequence[str]:
    lines = []
    for kind in NETWORK_CLASSES[:-1]:
        ranges = answers.ranges.get(kind, ())
        if ranges:
            entry: dict[str, Any] = {"name": kind, "cidrs": list(ranges), "class": kind}
            if answers.authority and kind != "guest":
                entry["authority"] = answers.authority
            lines.append(f"  - {_inline(entry)}")
    if answers.resolvers:
        entry = {
            "name": "resolvers",
            "cidrs": list(answers.resolvers),
            "class": "infrastructure",
        }
        lines.append(f"  - {_inline(entry)}")
    return lines


def _inline(value: Any) -> str:
    """A value as YAML on one line."""
    import yaml

    text: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=10**6, allow_unicode=True
    )
    return text.removesuffix("\n").removesuffix("\n...")
