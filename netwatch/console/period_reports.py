"""Reports on a period for pages: collected once, kept for a short while; the days of an address.

To collect a report reads every incident of its period, so pages that show parts of one share it.
"""

import threading
import time
from collections import OrderedDict
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import func, select

from netwatch.console.answers import bad_request
from netwatch.console.view import View
from netwatch.report.collect import Wanted, collect
from netwatch.report.values import Report
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue

if TYPE_CHECKING:
    from netwatch.config import Config

KEPT_SECONDS = 60.0
"""How long a report is shown again without being collected anew."""

KEPT = 16
"""Reports that are kept."""

DAYS = 30
"""Days of a page whose address has none, up to the day of the last capture."""

MAX_DAYS = 3660
"""Days that a report may have."""


class PeriodReports:
    """Collects reports, one at a time, for any number of threads."""

    def __init__(self, catalogue: Catalogue, config: "Config") -> None:
        self._catalogue = catalogue
        self._config = config
        self._lock = threading.Lock()
        self._known: OrderedDict[Wanted, tuple[float, Report]] = OrderedDict()

    def get(self, wanted: Wanted) -> Report:
        """A report. Raises `ConfigError` for a ban that there is not, and `NetwatchError`."""
        with self._lock:
            found = self._known.get(wanted)
            if found is not None and time.monotonic() - found[0] < KEPT_SECONDS:
                return found[1]
            report = collect(self._catalogue, self._config, wanted)
            self._known[wanted] = time.monotonic(), report
            self._known.move_to_end(wanted)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
            return report


def days_of(view: View) -> tuple[date, date]:
    """The first and last day of the address, or the days up to the last capture. Raises `Refused`
    for days that cannot be read."""
    last = _day(view, "to") or _last_day(view)
    first = _day(view, "from") or last - timedelta(days=DAYS - 1)
    if first > last or (last - first).days > MAX_DAYS:
        raise bad_request(
            view.say("The first day must not be after the last, nor 10 years before.")
        )
    return first, last


def _day(view: View, name: str) -> date | None:
    text = view.query.text(name)
    if not text:
        return None
    try:
        found = date.fromisoformat(text[:10])
        if not 1971 <= found.year <= 2260:
            raise ValueError(text)
    except ValueError:
        raise bad_request(view.say("“%(name)s” is not a day like 2023-03-20.", name=name)) from None
    return found


def _last_day(view: View) -> date:
    with view.console.catalogue.database.reading() as connection:
        last = connection.execute(select(func.max(tables.capture.c.last))).scalar()
        last = last or connection.execute(select(func.max(tables.incident.c.last_seen))).scalar()
    moment = view.console.now() if last is None else int(last)
    return datetime.fromtimestamp(moment // 1_000_000_000, UTC).date()
