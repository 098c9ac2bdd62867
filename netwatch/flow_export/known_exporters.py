"""The exporters that a configuration names: whose flow records and sampled packets are taken, and
what the configuration knows of them better than they say themselves.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from netwatch.core.file_keys import key, read_section
from netwatch.core.text import quantity
from netwatch.core.user_yaml import Fields, describe, did_you_mean
from netwatch.core.value_kinds import TEXT, number, parsed
from netwatch.flow_export.records import MOST_SAMPLING

ARRIVAL = "arrival"
"""In place of how wrong a clock is: when a message arrived counts as when it was sent."""

CLOCK_TOLERANCE = 60_000_000_000
"""How far the clock of an exporter may be from that of this machine, ns. Answers of resolvers are
in use for some minutes, so that a clock which is further off finds other names."""

MAX_CACHED = 4096
"""Senders of which it is remembered which exporter they are."""

_OFFSET = re.compile(r"([+-]?)([1-9]\d{0,8})([smhd])", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _read_address(text: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(text)
    except ValueError:
        pass
    try:
        masked = ip_network(text, strict=False)
    except ValueError:
        return None
    raise ValueError(
        f"expected an address or a range, found {describe(text)}, which has bits set behind its"
        f" prefix; did you mean '{masked}'?"
    )


def _read_clock(text: str) -> str | int:
    if text == ARRIVAL:
        return text
    found = _OFFSET.fullmatch(text)
    if found is None:
        raise ValueError(
            f"expected '{ARRIVAL}', or how far the clock is ahead, like 2h or -90s, found"
            f" {describe(text)}{did_you_mean(text, [ARRIVAL])}"
        )
    offset = int(found[2]) * _SECONDS[found[3]] * 1_000_000_000
    return -offset if found[1] == "-" else offset


@dataclass(slots=True, eq=False, repr=False)
class KnownExporter:
    """An entry of ``exporters``. `clock` is `ARRIVAL`, or how far the clock of the exporter is
    ahead, in ns."""

    address: IPv4Network | IPv6Network | None = key(
        parsed(
            "address or range",
            _read_address,
            "an address or a range like 10.0.0.1 or 10.0.0.0/24",
            numbers=False,
        ),
        "where its messages come from; of nested ranges the most specific counts",
        required="an address or a range like 10.0.0.1 or 10.0.0.0/24",
    )
    name: str = key(TEXT, "its name in messages", shown="its address")
    sampling: int | None = key(
        number(1, MOST_SAMPLING),
        "that it looks at one packet of so many, whatever it says itself; 1 is all of them",
        shown="what it says",
    )
    clock: str | int | None = key(
        parsed(
            "time or word",
            _read_clock,
            pattern=f"{ARRIVAL}|{_OFFSET.pattern}".replace("(", "(?:"),
            numbers=False,
        ),
        "how far its clock is ahead (`2h`), or behind (`-90s`); `arrival`: its clock is not"
        " used, a message was sent when it arrived",
        shown="it is right",
    )


class Exporters:
    """The exporters of a configuration, which takes the messages of no others."""

    def __init__(self, entries: Sequence[KnownExporter]) -> None:
        known = [(each.address, each) for each in entries if each.address is not None]
        self._entries = sorted(known, key=lambda pair: -pair[0].prefixlen)
        self._found: dict[str, KnownExporter | None] = {}

    def of(self, sender: str) -> KnownExporter | None:
        """The exporter that sends from an address, None if it is none of these."""
        if sender not in self._found:
            if len(self._found) >= MAX_CACHED:
                self._found.clear()
            address = ip_address(sender.partition("%")[0])
            plain = getattr(address, "ipv4_mapped", None) or address
            self._found[sender] = next(
                (known for network, known in self._entries if plain in network), None
            )
        return self._found[sender]


def exporters_section(fields: Fields) -> Exporters:
    """The exporters of a configuration."""
    lines: dict[Any, int] = {}

    def build(entry: Fields) -> KnownExporter:
        found = read_section(KnownExporter, entry, Path())
        if found.address is not None and found.address in lines:
            first = lines[found.address]
            entry.add_problem("address", f"duplicate 'address' (first on line {first})")
        lines.setdefault(found.address, entry.line_of("address"))
        return found

    return Exporters(fields.build_each("exporters", build, "an exporter"))


def clock_words(ahead: int) -> str:
    """How wrong a clock is that is so far (ns) ahead, in words, as rounded as it helps."""
    seconds = round(abs(ahead) / 1_000_000_000)
    count, unit = (
        (seconds / 86_400, "day")
        if seconds >= 2 * 86_400
        else (seconds / 3600, "hour")
        if seconds >= 2 * 3600
        else (float(seconds), "second")
    )
    return f"{quantity(round(count), unit)} {'ahead' if ahead > 0 else 'behind'}"
