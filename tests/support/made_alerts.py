"""Alerts for the tests of outputs, with text that a sender chooses, and outputs as a
configuration makes them."""

import copy
import json
from pathlib import Path
from typing import Any

from netwatch.core.user_yaml import Fields, Problems
from netwatch.core.yaml_reader import parse_yaml
from netwatch.delivery.configuration import read_outputs
from netwatch.delivery.output import Output
from netwatch.delivery.worker import RetryTiming
from netwatch.formats.values import json_line
from netwatch.sinks.templates import sample_alert

HOSTILE = [
    "plain.example",
    "pipe|equals=caret^",
    'quote"bracket]backslash\\',
    "line\nfeed\r\nreturn",
    "tab\tnul\x00bell\x07",
    "bidi\u202emoc.kotkit\u2066",
    "bom\ufeffzero\u200bwidth",
    "lone \udcff surrogate",
    '","verdict":"exempt","x":"',
    "<134>1 2023-03-20T09:00:00Z host app - - - forged",
    "act=allowed suser=root",
    "@timestamp",
    "%{message} ${HOST} $(id)",
    "é" * 120,
    "x" * 255,
    "<script>alert(1)</script>",
]
"""What stands in names, host names and owners."""

QUICK = RetryTiming(first_delay=0.02, max_delay=0.1, paused_delay=0.1, poll_interval=0.02)
"""As short as a test can wait."""


REFUSED_ALERT = 33
"""The alert that some receivers refuse for good."""


def alert_id(number: int) -> str:
    """The id of alert `number`: none that a receiver takes for a number or a time."""
    return f"{number:08x}feedface"


def number_of(text: str) -> int:
    """The number of the alert with this id."""
    return int(text[:8], 16)


def record(number: int, **changes: Any) -> dict[str, Any]:
    """Alert `number`, complete, with hostile text in every place where a sender has a say."""
    made = copy.deepcopy(sample_alert(1_679_302_800 + number, "sensor-1", "0.1.0"))
    text = HOSTILE[number % len(HOSTILE)]
    made["id"] = alert_id(number)
    made["verdict"] = ("violation", "advisory", "exempt")[number % 3]
    made["severity"] = ("critical", "high", "medium", "low")[number % 4]
    made["names"] = [text, f"{number}.example"]
    made["device"] |= {"hostname": text, "owner": text, "mac": "02:00:00:00:00:01"}
    made["evidence"][0] |= {"name": text, "source": f"{text}.pcap"}
    return made | changes


def records(count: int) -> list[dict[str, Any]]:
    """So many different alerts."""
    return [record(number) for number in range(count)]


def as_decoded(alert: dict[str, Any]) -> dict[str, Any]:
    """What a reader of our JSON lines gets: half surrogates, which no encoding takes, are
    text there."""
    return json.loads(json_line(alert))


def outputs(text: str, base: Path) -> tuple[Output, ...]:
    """The outputs of a piece of configuration; every mistake in it fails the test."""
    problems = Problems()
    mapping = parse_yaml(text, "netwatch.yaml", problems)
    assert mapping is not None
    fields = Fields(mapping, "netwatch.yaml", problems, "the configuration")
    found = read_outputs(fields, base)
    fields.reject_unknown()
    problems.raise_if_any()
    return found


def output(base: Path, **keys: Any) -> Output:
    """One output with these keys."""
    (found,) = outputs(json.dumps({"outputs": [keys]}), base)
    return found
