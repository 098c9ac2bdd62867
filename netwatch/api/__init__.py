"""The Python API: what `netwatch scan`, `names` and `signatures match` do, as functions.

The package `netwatch` exports the functions; this one also exports the classes of all values.
Nothing else of netwatch is an interface (docs/internals/releasing.md). A call reads files and
returns values: it prints nothing, ends no process, installs no signal handler and changes no
setting of the calling process.
"""

from netwatch.api.naming import Match, Observations, match, names
from netwatch.api.scanning import ScanResult, Summary, scan
from netwatch.api.values import (
    Coverage,
    DeviceCoverage,
    Dns,
    Endpoint,
    Flows,
    NetworkCoverage,
    Observation,
    Packets,
    Quic,
)
from netwatch.core.alert import (
    Answer,
    CandidateSet,
    Destination,
    IncidentKind,
    InstalledSet,
    Kind,
)
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.errors import NetwatchError as Error
from netwatch.core.flow import ContradictionType
from netwatch.core.message import Evidence as EvidenceType
from netwatch.core.verdict import Confidence, DeviceClass, Outcome, Role, Severity
from netwatch.core.verdict import VerdictKind as Verdict
from netwatch.formats.alert_record import (
    App,
    Ban,
    BanPeriod,
    Binding,
    Contradiction,
    ContradictionPlace,
    Counts,
    Device,
    Evidence,
    Exemption,
    Incident,
    Log,
    Network,
    Outcomes,
    Rule,
    Sensor,
    Tls,
    Unheard,
    Versions,
)

__all__ = [
    "Answer",
    "App",
    "Ban",
    "BanPeriod",
    "Binding",
    "CandidateSet",
    "Confidence",
    "ConfigError",
    "Contradiction",
    "ContradictionPlace",
    "ContradictionType",
    "Counts",
    "Coverage",
    "Destination",
    "Device",
    "DeviceClass",
    "DeviceCoverage",
    "Dns",
    "Endpoint",
    "Error",
    "Evidence",
    "EvidenceType",
    "Exemption",
    "Flows",
    "Incident",
    "IncidentKind",
    "InstalledSet",
    "Kind",
    "Log",
    "Match",
    "Network",
    "NetworkCoverage",
    "Observation",
    "Observations",
    "Outcome",
    "Outcomes",
    "Packets",
    "Problem",
    "Quic",
    "Role",
    "Rule",
    "ScanResult",
    "Sensor",
    "Severity",
    "Summary",
    "Tls",
    "Unheard",
    "Verdict",
    "Versions",
    "match",
    "names",
    "scan",
]
