"""How many incidents each sensor has, for the filters of lists: a pass over all incidents, or over
all of cases, that is not made for each page. So a count may be a minute old; beside a list it says
where there is something to filter, and what the list has is always counted anew.
"""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from netwatch.store.cases import members_by_sensor
from netwatch.store.catalogue import Catalogue
from netwatch.store.database import QueryTimeoutError
from netwatch.store.incident_pages import incidents_by_sensor

KEPT_SECONDS = 60.0
"""How long counts are shown again."""

_SECONDS = 1.0  # then sensors are offered without their counts


class SensorCounts:
    """Counts incidents by sensor, and remembers how many there were, for any number of threads."""

    def __init__(self, catalogue: Catalogue, now: Callable[[], float] = time.monotonic) -> None:
        self._catalogue = catalogue
        self._now = now
        self._known: dict[str, tuple[float, Counter[str]]] = {}

    def of(self, of: str) -> Counter[str]:
        """How many ``incidents`` each sensor has, 0 of each where that takes too long; or how many
        of ``cases``. Raises `NetwatchError`."""
        made, found = self._known.get(of, (0.0, None))
        if found is None or self._now() - made > KEPT_SECONDS:
            found = self._counted(of)
            self._known[of] = self._now(), found
        return found

    def _counted(self, of: str) -> Counter[str]:
        is_cases = of == "cases"
        found = Counter(dict.fromkeys(() if is_cases else self._catalogue.sensors(), 0))
        with suppress(QueryTimeoutError):
            counts = members_by_sensor if is_cases else incidents_by_sensor
            found.update(counts(self._catalogue, timeout=_SECONDS))
        return found
