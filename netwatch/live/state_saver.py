"""Keeps the state file up to date with the open incidents."""

from netwatch.live.open_incident import OpenIncident
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.state_file import StateFile

SAVE_LIMIT = 1000
"""Changed incidents that are saved at a time, in addition to those just reported."""


class StateSaver:
    """Saves `incidents` to `state_file`; does nothing where that is None."""

    def __init__(self, state_file: StateFile | None, incidents: OpenIncidents) -> None:
        self._state_file = state_file
        self._incidents = incidents
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

    def save(self, limit: int = SAVE_LIMIT) -> None:
        """Save what has changed: every incident that was reported since the last call, and
        at most `limit` others."""
        if self._state_file is None:
            return
        ended = self._incidents.take_numbers_to_delete()
        changed = self._incidents.changed(limit)
        if not ended and not changed:
            return
        if self._state_file.save(changed, ended):
            for entry in changed:
                entry.mark_saved()
        else:
            self._incidents.put_back_numbers_to_delete(ended)
        if self._state_file.replacements != self._replacements:
            # A new file may lack incidents that the damaged one had.
            self._replacements = self._state_file.replacements
            for entry in self._incidents:
                entry.is_changed = True

    def _save_evicted(self, entries: list[OpenIncident]) -> None:
        """Save incidents before they leave the memory, where `save` would not find them."""
        if self._state_file is not None and self._state_file.save(entries, ()):
            for entry in entries:
                entry.mark_saved()
