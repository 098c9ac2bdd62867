"""Reads ``outputs:`` of netwatch.yaml.

The keys that all outputs share are declared here, the others with the output's type. Relative paths
count from the folder `base`. Everything invalid is noted with file and line.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from zoneinfo import ZoneInfo

from netwatch.core.file_keys import Section, key, read_keys, sections
from netwatch.core.period import UTC_ZONE
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import DURATION, TEXT, TIMEZONE, choice, parsed
from netwatch.delivery.output import Output, QuietHours
from netwatch.formats.registry import FORMATS, RENDERERS
from netwatch.sinks.base import SEVERITIES, VERDICTS
from netwatch.sinks.registry import SINKS, SinkType

MAX_OUTPUTS = 64
"""Outputs of one configuration, at most. Each has a thread."""

_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_FORMAT = {"description": "the format of the alerts", "shown": "the type's"}


@dataclass(frozen=True, slots=True)
class OutputKeys:
    """The keys of outputs of every type."""

    type: str = key(choice(SINKS), "the type of the output", required=f"one of {', '.join(SINKS)}")
    name: str = key(
        TEXT,
        "identifies the output in status, logs and metrics. Unique; letters, digits, `_`, `.` and"
        " `-`",
        shown="the type",
    )
    min_verdict: str = key(
        choice(VERDICTS), f"the least verdict that is sent: {', '.join(VERDICTS)}", VERDICTS[0]
    )
    min_severity: str = key(
        choice(SEVERITIES),
        f"the least severity that is sent: {', '.join(SEVERITIES)}",
        SEVERITIES[0],
    )


@dataclass(frozen=True, slots=True)
class FormatKeys:
    """The keys of outputs that send alerts in a format."""

    format: str = key(choice(RENDERERS), **_FORMAT)


@dataclass(frozen=True, slots=True)
class JsonFormatKeys:
    """The same, if the line of an alert is a JSON object."""

    format: str = key(choice(name for name in RENDERERS if FORMATS[name].json), **_FORMAT)


def _minutes(text: str) -> tuple[int, int] | None:
    found = _HOURS.fullmatch(text)
    if found is None:
        return None
    start, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    if start == end:
        raise ValueError("expected hours that end later than they begin, or on the next day")
    return start, end


@dataclass(frozen=True, slots=True)
class DigestKeys:
    """The additional keys of outputs that send digests. `every` is in s, 0 for the type's
    default."""

    every: float = key(
        replace(DURATION, empty=0.0),
        "how long alerts are collected, from the first one, before they are sent",
        shown="the type's",
    )
    hours: tuple[int, int] | None = key(
        parsed("hours", _minutes, "hours like 22:00-07:00", pattern=_HOURS.pattern, numbers=False),
        "alerts are collected from the first time of the day to the second: `22:00-07:00`. An"
        " output of its own with `min_severity: critical` and without quiet hours can wake people",
        name="quiet_hours",
    )
    timezone: str = key(TIMEZONE, "the time zone of the quiet hours", UTC_ZONE)

    @property
    def quiet_hours(self) -> QuietHours | None:
        """When nothing is sent; None if there are no such hours."""
        return QuietHours(*self.hours, ZoneInfo(self.timezone)) if self.hours else None


def _keys_of_form(sink: SinkType) -> type[FormatKeys | JsonFormatKeys | DigestKeys]:
    """The dataclass that declares the keys for the form of alerts."""
    if not sink.default_format:
        return DigestKeys
    return JsonFormatKeys if sink.json_only else FormatKeys


def output_sections(path: str, type_name: str) -> Iterator[Section]:
    """The keys of the outputs of a type, whose mappings are at `path`."""
    sink = SINKS[type_name]
    return sections(path, OutputKeys, _keys_of_form(sink), sink.options)


def read_outputs(fields: Fields, base: Path, *, with_secrets: bool = False) -> tuple[Output, ...]:
    """The valid entries of ``outputs``. If `with_secrets`, a secret that cannot be read now is a
    mistake, also in an entry with others."""
    first_lines: dict[str, int] = {}

    def read_output(entry: Fields) -> Output | None:
        problems_before = len(entry.problems.found)
        shared = read_keys(OutputKeys, entry, base)
        name = _read_name(entry, shared, first_lines)
        if not shared.type:
            read_keys(FormatKeys, entry, base)
            return None
        sink = SINKS[shared.type]
        form = read_keys(_keys_of_form(sink), entry, base)
        options = read_keys(sink.options, entry, base).checked(entry, base)
        entry.reject_unknown()
        for secret in options.secrets() if with_secrets else ():
            reason = secret.problem()
            if reason:
                entry.add_problem(None, f"output '{name}': {reason}")
        digest = form if isinstance(form, DigestKeys) else None
        if digest and entry.is_set("timezone") and not entry.is_set("quiet_hours"):
            entry.add_problem("timezone", "'timezone' needs 'quiet_hours'")
        if len(entry.problems.found) > problems_before:
            return None
        return Output(
            name=name,
            type=shared.type,
            format="" if isinstance(form, DigestKeys) else form.format or sink.default_format,
            min_verdict=VERDICTS.index(shared.min_verdict),
            min_severity=SEVERITIES.index(shared.min_severity),
            digest_interval=digest.every or sink.digest_interval if digest else 0,
            quiet_hours=digest.quiet_hours if digest else None,
            options=options,
            file=entry.file,
            line=entry.line_of(),
        )

    outputs = tuple(fields.build_each("outputs", read_output, "an output"))
    if len(first_lines) > MAX_OUTPUTS:
        fields.add_problem("outputs", f"'outputs' has more than {MAX_OUTPUTS} entries")
    return outputs


def _read_name(entry: Fields, shared: OutputKeys, first_lines: dict[str, int]) -> str:
    """The name of an output. `first_lines` has the line of each name so far."""
    name = shared.name or shared.type or ""
    if name and not _NAME.fullmatch(name):
        entry.add_mismatch("name", "letters, digits, '_', '.' and '-'")
    if name and name in first_lines:
        entry.add_problem(
            "name" if entry.has("name") else None,
            f"duplicate output '{name}' (first on line {first_lines[name]}), expected a unique"
            " 'name'",
        )
    first_lines.setdefault(name, entry.line_of())
    return name
