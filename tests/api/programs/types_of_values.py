"""What a type checker knows of the API: `make lint` checks this file, and nothing runs it. Each
comment that ignores an error is an error itself where there is none."""

from pathlib import Path
from typing import assert_type

import pyarrow

import netwatch
from netwatch.api import Confidence, Device, EvidenceType, Verdict

result = netwatch.scan(Path("day.pcap"), jobs=2, coverage=True)
for incident in result:
    assert_type(incident, netwatch.Incident)
    assert_type(incident.device, Device)
    assert_type(incident.names, tuple[str, ...])
    assert_type(incident.json(), str)
    assert_type(incident.verdict, Verdict)
    assert_type(incident.confidence, Confidence)
    assert_type(incident.evidence[0].type, EvidenceType)
    incident.device.id = "other"  # type: ignore[misc]
    incident.devices  # type: ignore[attr-defined]  # noqa: B018
assert_type(result.summary.unread, tuple[str, ...])
assert_type(result.coverage, netwatch.Coverage | None)

for each in netwatch.names(["a.pcap", Path("b.pcap")], timezone="UTC"):
    assert_type(each, netwatch.Observation)
    assert_type(each.client.ip, str | None)
table: pyarrow.Table = netwatch.names("a.pcap").to_arrow()

assert_type(netwatch.match("tiktok.com"), netwatch.Match)
assert_type([*netwatch.match(["tiktok.com"])], list[netwatch.Match])
netwatch.match(7)  # type: ignore[call-overload]
netwatch.scan("day.pcap", job=2)  # type: ignore[call-arg]
netwatch.scans("day.pcap")  # type: ignore[attr-defined]

try:
    pass
except netwatch.ConfigError as error:
    assert_type(error.problems[0].line, int)
