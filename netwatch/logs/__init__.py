"""Logs of resolvers, proxies, firewalls and sensors, as sources of names.

A log is read in four steps: `log_file` divides a file into records (lines, or the rows and frames
of binary formats), `carriers` takes off what carried a line (syslog, journald, Docker), the module
of its format reads the record into the values of `records`, and `netwatch.engine` judges these like
packets. Followed files and received logs come from `live`. A new format is one module, or a row of
`products`, and one row of `registry.LOG_FORMATS`.
"""

from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from netwatch.flow_export.known_exporters import Exporters

Only = Literal["captures", "logs"]


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The format of all logs (``--as``), the year and the zone of times that have none
    (``--year``, ``--timezone``), and whether only captures or only logs are read (``--only``).
    None if the user said nothing. `exporters` are the configured ones, which apply to flow records
    that name their exporter."""

    format: str | None = None
    year: int | None = None
    zone: tzinfo | None = None
    only: Only | None = None
    exporters: "Exporters | None" = None
