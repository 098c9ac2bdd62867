"""``outputs`` and ``spool`` of netwatch.yaml, checked with file and line.

The keys that all outputs have are taken here, the rest by the row of the type in
`netwatch.sinks.table.SINKS`. Values that several types share (addresses, sizes, times)
are read by the functions below, so that they are spelled alike everywhere.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from netwatch.core.user_yaml import Fields
from netwatch.sinks.base import (
    SEVERITIES,
    VERDICTS,
    Outbox,
    Output,
    Record,
    Renderer,
    Settings,
    SinkType,
)
from netwatch.sinks.secrets import Secret, take

SPOOL = Path("/var/lib/netwatch/spool")
"""Where the outbox is when no other folder is named."""

MAX_OUTPUTS = 64
"""Outputs of one configuration: each is a thread."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_SIZE = re.compile(r"([1-9]\d{0,11})([kMG]?)")
_FACTORS = {"": 1, "k": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_TIME = re.compile(r"([1-9]\d{0,8})([smhd])")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def read_outputs(
    fields: Fields,
    base: Path,
    sinks: Mapping[str, SinkType],
    renderers: Mapping[str, Renderer],
    fit: Callable[[Renderer, Record, int], str],
) -> tuple[Output, ...]:
    """The outputs of a configuration; what is wrong is noted. `base` is the folder from
    which paths count; `sinks` are the types and `renderers` the formats by name, `fit`
    renders in at most so many bytes."""
    lines: dict[str, int] = {}

    def build(entry: Fields) -> Output | None:
        before = len(entry.problems.found)
        kind = entry.choice("type", sinks, "", required=f"one of {', '.join(sinks)}")
        name = entry.text("name", default=kind)
        if name and not _NAME.fullmatch(name):
            entry.add_problem(
                "name", f"'name' is '{name}', expected letters, digits, '_', '.' and '-'"
            )
        if name and name in lines:
            entry.add_problem(
                "name" if entry.has("name") else None,
                f"output '{name}' stands twice (first in line {lines[name]}): give it a 'name'",
            )
        lines.setdefault(name, entry.line_of())
        verdict = entry.choice("min_verdict", VERDICTS, VERDICTS[0])
        severity = entry.choice("min_severity", SEVERITIES, SEVERITIES[0])
        if not kind:
            return None
        row = sinks[kind]
        formats = [word for word in renderers if not row.formats or word in row.formats]
        written = entry.choice("format", formats, row.default) if row.default else ""
        every = duration(entry, "every", row.every) if row.every else 0.0
        settings: Settings | None = row.read(entry, base)
        entry.reject_unknown()
        if settings is None or len(entry.problems.found) > before:
            return None
        render = renderers[written or "jsonl"]
        return Output(
            name=name,
            type=kind,
            format=written,
            render=render,
            fit=partial(fit, render),
            min_verdict=VERDICTS.index(verdict),
            min_severity=SEVERITIES.index(severity),
            every=every,
            settings=settings,
            file=entry.file,
            line=entry.line_of(),
        )

    outputs = tuple(fields.build_each("outputs", build, "an output"))
    if len(lines) > MAX_OUTPUTS:
        fields.add_problem("outputs", f"'outputs' has more than {MAX_OUTPUTS} entries")
    return outputs


def read_outbox(fields: Fields, base: Path) -> Outbox:
    """The mapping ``spool`` of a configuration."""
    part = fields.nested("spool", "spool")
    if part is None:
        return Outbox(SPOOL)
    path = part.text("path", str(SPOOL))
    limits = Outbox(base / path)
    outbox = Outbox(
        base / path,
        size(part, "max_bytes", limits.max_bytes, least=1 << 20),
        duration(part, "max_age", limits.max_age),
    )
    part.reject_unknown()
    return outbox


def size(fields: Fields, key: str, default: int, least: int = 1) -> int:
    """Bytes, as ``65536``, ``64k``, ``10M`` or ``1G`` (powers of 1024)."""
    text = fields.text(key)
    if not text:
        return default
    written = _SIZE.fullmatch(text)
    if not written or int(written[1]) * _FACTORS[written[2]] < least:
        from_ = f" from {least:,} bytes" if least > 1 else ""
        fields.add_problem(
            key, f"'{key}' is '{text}', expected a size{from_} like 65536, 64k, 10M, 1G"
        )
        return default
    return int(written[1]) * _FACTORS[written[2]]


def duration(fields: Fields, key: str, default: float) -> float:
    """A time in s, as ``90s``, ``30m``, ``2h`` or ``1d``."""
    text = fields.text(key)
    if not text:
        return default
    written = _TIME.fullmatch(text)
    if not written:
        fields.add_problem(key, f"'{key}' is '{text}', expected a time like 90s, 30m, 2h, 1d")
        return default
    return float(int(written[1]) * _UNITS[written[2]])


def number(fields: Fields, key: str, default: int, least: int, most: int) -> int:
    """A whole number between two others."""
    value = fields.value(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        fields.add_problem(
            key, f"'{key}' is {value!r}, expected a whole number from {least} to {most}"
        )
        return default
    return value


def flag(fields: Fields, key: str, default: bool) -> bool:
    """True or false."""
    value = fields.value(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        fields.add_problem(key, f"'{key}' is {value!r}, expected true or false")
        return default
    return value


def url(fields: Fields, key: str = "url", schemes: tuple[str, ...] = ("https", "http")) -> str:
    """An address, without user and password in it."""
    example = f"{schemes[0]}://siem.example/path"
    text = fields.text(key, required=f"an address like {example}")
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        sound = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or not text.isascii() or not text.isprintable() or " " in text:
        fields.add_problem(key, f"'{key}' is '{text}', expected an address like {example}")
        return ""
    if "@" in parts.netloc:
        fields.add_problem(key, f"'{key}' has a user or password in it: there are keys for these")
        return ""
    return text


def host_port(fields: Fields, key: str, port: int, required: str) -> tuple[str, int]:
    """A host name or address, with a port or the default one."""
    text = fields.text(key, required=required)
    return split_host(fields, key, text, port) if text else ("", 0)


def split_host(fields: Fields, key: str, text: str, port: int) -> tuple[str, int]:
    """Host and port of ``host``, ``host:port``, an IPv6 address or ``[address]:port``."""
    try:
        bare = text.count(":") > 1 and not text.startswith("[")
        parts = urlsplit(f"//[{text}]" if bare else f"//{text}")
        host, found = parts.hostname or "", parts.port
        sound = bool(host) and parts.path == "" and "@" not in text and found != 0
    except ValueError:
        sound = False
    if not sound:
        fields.add_problem(
            key, f"'{key}' is '{text}', expected host:port, like siem.example:{port}"
        )
        return "", 0
    return host, port if found is None else found


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user with a password, or neither."""

    user: str = ""
    password: Secret | None = None


def credentials(fields: Fields, base: Path) -> Credentials:
    """The keys ``user`` and ``password``, both or none."""
    user, password = fields.text("user"), take(fields, "password", base)
    if bool(user) != (password is not None) and bool(user) != fields.has("password"):
        fields.add_problem("user" if user else "password", "'user' and 'password' stand together")
    return Credentials(user, password)


def given(*values: Any) -> tuple[Secret, ...]:
    """Those of the values that are secrets."""
    return tuple(value for value in values if isinstance(value, Secret))
