"""Reads ``outputs:`` and ``spool:`` of netwatch.yaml.

The keys that all outputs share are read here, the others by the output's type. Relative paths count
from the folder `base`. Whatever is not valid is noted with file and line.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.core.file_keys import read_section
from netwatch.core.user_yaml import Fields
from netwatch.delivery.output import (
    QUIET_OPTIONS,
    OutboxOptions,
    Output,
    read_quiet_hours,
)
from netwatch.formats.registry import FORMATS, RENDERERS
from netwatch.sinks.options import Option, read_duration
from netwatch.sinks.ranking import SEVERITIES, VERDICTS

if TYPE_CHECKING:
    from netwatch.sinks.registry import SinkType

MAX_OUTPUTS = 64
"""Outputs of one configuration. Each has a thread."""

OUTPUT_OPTIONS = (
    Option("type", "word", "The type of the output.", required=True),
    Option(
        "name",
        "text",
        "Identifies the output in status, logs and metrics. Unique; letters, digits, `_`, `.` and"
        " `-`.",
        "the type",
    ),
    Option("format", "word", "The format of the alerts.", "the type's"),
    Option(
        "min_verdict",
        "word",
        f"The least verdict that is sent: {', '.join(VERDICTS)}.",
        VERDICTS[0],
    ),
    Option(
        "min_severity",
        "word",
        f"The least severity that is sent: {', '.join(SEVERITIES)}.",
        SEVERITIES[0],
    ),
)
"""The keys of outputs of every type."""

DIGEST_OPTIONS = (
    Option(
        "every",
        "duration",
        "How long alerts are collected, from the first one, before they are sent.",
    ),
    *QUIET_OPTIONS,
)
"""The additional keys of types that send digests; the default of the first is that of the type."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def read_outputs(fields: Fields, base: Path, *, with_secrets: bool = False) -> tuple[Output, ...]:
    """The valid entries of ``outputs``. If `with_secrets`, a secret that cannot be read now is a
    mistake, also in an entry with others."""
    if not fields.sequence("outputs"):
        return ()
    # Imported here, because a configuration without outputs needs none of the sinks.
    from netwatch.sinks.registry import SINKS

    first_lines: dict[str, int] = {}

    def read_output(entry: Fields) -> Output | None:
        problems_before = len(entry.problems.found)
        type_name = entry.choice("type", SINKS, "", required=f"one of {', '.join(SINKS)}")
        name = _read_name(entry, type_name, first_lines)
        min_verdict = entry.choice("min_verdict", VERDICTS, VERDICTS[0])
        min_severity = entry.choice("min_severity", SEVERITIES, SEVERITIES[0])
        if not type_name:
            entry.choice("format", FORMATS, "")
            return None
        sink_type = SINKS[type_name]
        format_name = _read_format(entry, sink_type)
        digest_interval = sink_type.digest_interval
        quiet_hours = None
        if digest_interval:
            digest_interval = read_duration(entry, "every", digest_interval)
            quiet_hours = read_quiet_hours(entry)
        options = sink_type.read(entry, base)
        entry.reject_unknown()
        for secret in options.secrets() if options is not None and with_secrets else ():
            reason = secret.problem()
            if reason:
                entry.add_problem(None, f"output '{name}': {reason}")
        if options is None or len(entry.problems.found) > problems_before:
            return None
        return Output(
            name=name,
            type=type_name,
            format=format_name,
            min_verdict=VERDICTS.index(min_verdict),
            min_severity=SEVERITIES.index(min_severity),
            digest_interval=digest_interval,
            quiet_hours=quiet_hours,
            options=options,
            file=entry.file,
            line=entry.line_of(),
        )

    outputs = tuple(fields.build_each("outputs", read_output, "an output"))
    if len(first_lines) > MAX_OUTPUTS:
        fields.add_problem("outputs", f"'outputs' has more than {MAX_OUTPUTS} entries")
    return outputs


def _read_name(entry: Fields, default: str, first_lines: dict[str, int]) -> str:
    """The name of an output. `first_lines` has the line of each name so far."""
    name = entry.text("name", default=default)
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


def _read_format(entry: Fields, sink_type: "SinkType") -> str:
    """The name of an output's format, empty if its type has a form of its own."""
    if not sink_type.default_format:
        return ""
    formats = [name for name in RENDERERS if FORMATS[name].json or not sink_type.json_only]
    return str(entry.choice("format", formats, sink_type.default_format))


def read_outbox_options(fields: Fields, base: Path) -> OutboxOptions:
    """The mapping ``spool``."""
    part = fields.nested("spool", "spool")
    return OutboxOptions() if part is None else read_section(OutboxOptions, part, base)
