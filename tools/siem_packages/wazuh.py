"""The Wazuh package: decoder and rules of docs/siem, and a test of them in Wazuh's own syntax, with
alerts of the sample captures."""

import json
from collections.abc import Iterator
from typing import Any

from netwatch.core.alert import AlertRecord
from siem_packages import samples
from siem_packages.archive import Files
from siem_packages.tables import shipped

HEADER = "1 2026-01-01T00:00:00.000000Z sensor-1 netwatch - alert - "
"""The header of syslog, from which Wazuh has taken the priority."""

SYSLOG = "netwatch-syslog"
"""The decoder of what comes by syslog."""


def files() -> Files:
    """The package, by the paths below ``/var/ossec`` where there is one."""
    return {
        "README.md": shipped("wazuh.md"),
        "localfile.xml": shipped("wazuh/localfile.xml"),
        "etc/decoders/netwatch_decoders.xml": shipped("wazuh/decoders.xml"),
        "etc/rules/netwatch_rules.xml": shipped("wazuh/rules.xml"),
        "tests/netwatch.ini": "\n".join(_sections()),
    }


def expected(alert: AlertRecord) -> tuple[int, int]:
    """The rule that an alert has to reach, and its level."""
    if alert["verdict"] == "exempt":
        return 100701, 3
    if alert["verdict"] == "advisory":
        return 100702, 5
    if alert["outcome"] == "blocked":
        return 100705, 4
    if alert["confidence"] == "confirmed" and alert["severity"] in {"high", "critical"}:
        return 100704, 12
    return 100703, 8


def _sections() -> Iterator[str]:
    """A section for each rule and for each way by which alerts come."""
    logs: dict[tuple[int, int], list[str]] = {}
    for line in samples.lines("jsonl"):
        alert: Any = json.loads(line)
        alert["sensor"]["name"] = samples.SENSOR
        text = json.dumps(alert, ensure_ascii=False, separators=(",", ":"))
        logs.setdefault(expected(alert), []).append(text)
    for (rule, level), texts in sorted(logs.items()):
        for decoder, header in (("json", ""), (SYSLOG, HEADER)):
            yield f"[netwatch: rule {rule}, decoder {decoder}]"
            yield from (f"log {n} pass = {header}{text}" for n, text in enumerate(texts, 1))
            yield f"rule = {rule}\nalert = {level}\ndecoder = {decoder}\n"
