"""What the user said of logs."""

from datetime import tzinfo
from typing import Literal

from netwatch.core.dataclass import dataclass

Only = Literal["captures", "logs"]


@dataclass(frozen=True, slots=True)
class LogOptions:
    """The format of all logs (``--as``), the year and the zone of times that have none
    (``--year``, ``--timezone``), and whether only captures or only logs are read (``--only``).
    None where the user said nothing."""

    format: str | None = None
    year: int | None = None
    zone: tzinfo | None = None
    only: Only | None = None
