"""An open incident: what was reported and saved of it beside what is known of it."""

from netwatch.core.alert import Sensor
from netwatch.incidents.incident import Incident, Key


class OpenIncident:
    """An incident that has not ended yet, and what has been reported and saved of it.

    `id`, `reported_confidence`, `reported_outcome` and `reported_kind` are those of its last
    alert, None before the first.
    `last_contact` is in continuous time (ns), `sensor` names the versions of the rules
    that judged that contact. The state file has the incident under `number`, once it `is_saved`;
    `is_changed` says that it differs from what is saved there, `has_new_alert` that an
    alert was sent since.
    """

    __slots__ = (
        "has_new_alert",
        "id",
        "incident",
        "is_changed",
        "is_saved",
        "key",
        "last_contact",
        "number",
        "reported_confidence",
        "reported_kind",
        "reported_outcome",
        "sensor",
    )

    def __init__(
        self, number: int, key: Key, incident: Incident, last_contact: int, sensor: Sensor
    ) -> None:
        self.number = number
        self.key = key
        self.incident = incident
        self.last_contact = last_contact
        self.sensor = sensor
        self.id: str | None = None
        self.reported_confidence: str | None = None
        self.reported_outcome: str | None = None
        self.reported_kind: str | None = None
        self.is_changed = self.has_new_alert = True
        self.is_saved = False

    def is_graver(self) -> bool:
        """Whether the last alert had a severity that was lowered for a reason that no longer holds:
        nothing was reached, or only an embed was seen."""
        if self.reported_outcome == "blocked" and self.incident.outcome == "reached":
            return True
        return self.reported_kind == "embed" and self.incident.counts.totals.activity.is_app_seen

    def mark_saved(self) -> None:
        """Note that the state file has the incident as it is now."""
        self.is_saved = True
        self.is_changed = self.has_new_alert = False
