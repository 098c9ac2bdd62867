"""The JSON record of a report, ``netwatch.report/1``: its values under the same names."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from netwatch.report.values import Missing, Report

SCHEMA = "netwatch.report/1"
"""The schema of the record, with its version."""


def record(report: Report) -> dict[str, Any]:
    """The record of a report."""
    return {"schema": SCHEMA, **_plain(report)}


def report_json(report: Report) -> str:
    """The record as text that is ASCII only: names of senders can do no harm to whoever prints it.
    The same report gives the same text."""
    return json.dumps(record(report), indent=1, ensure_ascii=True) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, Missing):
        times = {"from": value.begin, "until": value.end}
        return {**times, "network": value.network, "reason": value.reason,
                "command": value.command}  # fmt: skip
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return round(value, 6) if isinstance(value, float) else value
