"""Cases: the incidents of all sensors, those that are the same contact seen by several as one.

What belongs together is decided by `netwatch.store.case_grouping`, and written with the incidents
in one transaction by `netwatch.store.case_rows`, so that any order of arrival, and any repetition,
gives the same cases.
"""

from collections.abc import Sequence

from netwatch.core.alert import AlertRecord
from netwatch.core.dataclass import dataclass
from netwatch.store.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class SensorAlert:
    """An alert of a sensor: its record, and that record as its line of JSON, without the end.
    `clock_offset` is how far the sensor's clock was ahead of the one here (ns)."""

    sensor: str
    record: AlertRecord
    line: str
    clock_offset: int = 0


def keep_alerts(catalogue: Catalogue, alerts: Sequence[SensorAlert], gap: int) -> int:
    """Store alerts with the cases that they belong to, all in one transaction; how many of them
    said something new. `gap` is the quiet gap of incidents in ns. Raises `NetwatchError`, and then
    none is stored."""
    raise NotImplementedError
