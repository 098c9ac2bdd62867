"""Records in a store that its past was judged again (``rejudge --record``).

What is recorded is by which version which time was judged, where all facts of it are there, and
the incidents that were found. An incident that would be withdrawn stays: whoever reads a report
sees that it was found once, and by which bans.
"""

from collections import Counter
from collections.abc import Sequence

from netwatch.config import Config
from netwatch.core.alert import AlertRecord
from netwatch.formats.values import json_line
from netwatch.rejudge.completeness import CompleteSpan, complete_parts
from netwatch.rejudge.differences import Difference
from netwatch.rejudge.stored_runs import StoredRun
from netwatch.rules.ban_contents import ban_contents
from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue
from netwatch.store.hour_rows import add_judged
from netwatch.store.incident_rows import remove_incidents, store_incidents
from netwatch.store.run_rows import VersionHashes, version_with


class Recording:
    """Records what `config` decides of incidents that began from `since` up to, but without,
    `until` (ns). `recorded` and `partial` count runs of which all, and of which not all was judged;
    `changes` what was stored by kind, and incidents that were withdrawn and stay."""

    def __init__(
        self, catalogue: Catalogue, config: Config, since: int | None, until: int | None
    ) -> None:
        sensor = config.sensor
        self._catalogue = catalogue
        self._hashes = VersionHashes(sensor.version, sensor.signatures, sensor.bans, sensor.policy)
        self._contents = ban_contents(config.policy.bans, config.catalog)
        self._since, self._until = since, until
        self.recorded = self.partial = 0
        self.changes: Counter[str] = Counter()

    def run_ended(
        self,
        run: StoredRun,
        differences: Sequence[Difference],
        spans: dict[int, CompleteSpan],
    ) -> None:
        """A run was judged, with these differences; `spans` is for which time the facts of its
        captures are complete. Raises `NetwatchError`."""
        parts = complete_parts(run, spans)
        found: list[tuple[int, AlertRecord, str]] = []
        old: list[str] = []
        for each in differences:
            self.changes[each.change] += 1
            if each.after is None:
                continue
            found.append((run.number, each.after, json_line(each.after)))
            if each.before is not None and each.before["id"] != each.after["id"]:
                old.append(each.before["id"])
        with self._catalogue.database.writing(numbers=True) as connection:
            incident = tables.incident.c
            for id_ in old:
                remove_incidents(connection, (incident.run == run.number) & (incident.id == id_))
            if found:
                store_incidents(connection, found)
            version = version_with(connection, self._hashes, self._contents)
            for part, span in parts:
                since, until = _later(span.since, self._since), _earlier(span.until, self._until)
                if since is None or until is None or since < until:
                    add_judged(connection, run.number, version, part=part, since=since, until=until)
        is_whole = parts and all(span == CompleteSpan(None, None) for _, span in parts)
        if is_whole and (run.command == "live" or len(parts) == len(run.captures)):
            self.recorded += 1
        else:
            self.partial += 1

    def end(self, user: str) -> None:
        """Note in the journal who recorded what."""
        detail = {**self.changes, "runs": self.recorded + self.partial, "bans": self._hashes.bans}
        self._catalogue.add_journal(user, "rejudge", detail)


def _later(first: int | None, second: int | None) -> int | None:
    return max((each for each in (first, second) if each is not None), default=None)


def _earlier(first: int | None, second: int | None) -> int | None:
    return min((each for each in (first, second) if each is not None), default=None)
