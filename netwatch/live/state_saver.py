"""Keeps the state file up to date with the open incidents, and with how far logs were read.

Where logs are read, a record counts as read when what came of it is saved: both are written in one
transaction. So a run that was killed is continued with the first record that the saved incidents do
not know, and none is counted twice.
"""

from collections.abc import Mapping

from netwatch.live.open_incident import OpenIncident, encode
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.state_file import StateFile

SAVE_LIMIT = 1000
"""Changed incidents that are saved at a time, in addition to those just reported. Where logs are
read, all are."""

EVICTED_LIMIT = 100_000
"""Evicted incidents that wait for the next time that the state of logs is saved."""


class StateSaver:
    """Saves `incidents` to `state_file`; does nothing where that is None. With `of_logs` they are
    saved together with how far logs were read, which `note` takes."""

    def __init__(
        self, state_file: StateFile | None, incidents: OpenIncidents, *, of_logs: bool = False
    ) -> None:
        self._state_file = state_file
        self._incidents = incidents
        self._of_logs = of_logs
        self._positions: dict[str, str | None] = {}
        self._saved_positions: dict[str, str] = {}
        self._evicted: dict[int, str] = {}
        incidents.save = self._save_evicted
        self._replacements = state_file.replacements if state_file is not None else 0

    @property
    def failures(self) -> int:
        """How often the state file could not be written."""
        return self._state_file.failures if self._state_file is not None else 0

    @property
    def has_file(self) -> bool:
        """Whether there is a state file at all."""
        return self._state_file is not None

    def restore(self, quiet_gap: int) -> int:
        """Continue the incidents that an earlier run left open; their number. `quiet_gap` is
        in ns."""
        if self._state_file is None:
            return 0
        saved = self._state_file.load(quiet_gap)
        rejected = [entry.number for entry in saved if not self._incidents.restore(entry)]
        self._state_file.save((), rejected)
        return len(saved) - len(rejected)

    def positions(self) -> Mapping[str, str]:
        """How far logs were read by the earlier run."""
        if self._state_file is not None:
            self._saved_positions = self._state_file.load_positions()
        return dict(self._saved_positions)

    def note(self, positions: Mapping[str, str | None]) -> None:
        """Note how far logs were read for what the incidents have now."""
        self._positions.update(positions)

    def save(self, limit: int = SAVE_LIMIT) -> None:
        """Save what has changed: every incident that was reported since the last call, and
        at most `limit` others."""
        if self._state_file is None:
            return
        ended = self._incidents.take_numbers_to_delete()
        changed = self._incidents.changed(len(self._incidents) if self._of_logs else limit)
        if not (ended or changed or self._positions or self._evicted):
            return
        if self._state_file.save(changed, ended, self._positions, self._evicted):
            for entry in changed:
                entry.mark_saved()
            self._evicted.clear()
            self._take_saved_positions()
        else:
            self._incidents.put_back_numbers_to_delete(ended)
        if self._state_file.replacements != self._replacements:
            # A new file may lack incidents that the damaged one had.
            self._replacements = self._state_file.replacements
            self._positions = {**self._saved_positions, **self._positions}
            for entry in self._incidents:
                entry.is_changed = True

    def _take_saved_positions(self) -> None:
        for log, state in self._positions.items():
            if state is None:
                self._saved_positions.pop(log, None)
            else:
                self._saved_positions[log] = state
        self._positions = {}

    def _save_evicted(self, entries: list[OpenIncident]) -> None:
        """Save incidents before they leave the memory, where `save` would not find them. Those of
        logs wait for the others: they have records that are not known to be read yet."""
        if self._state_file is None:
            return
        if self._of_logs:
            self._evicted.update((entry.number, encode(entry)) for entry in entries)
            while len(self._evicted) > EVICTED_LIMIT:
                del self._evicted[next(iter(self._evicted))]
        elif not self._state_file.save(entries, ()):
            return
        for entry in entries:
            entry.mark_saved()
