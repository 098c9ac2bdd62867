"""One case: which sensors saw what, when, and what speaks for it that it is one incident."""

import json
from collections.abc import Mapping
from typing import Any

from netwatch.console.triage import Triaged
from netwatch.console.triage_form import triage_of_cases
from netwatch.console.view import Answer, Page, Redirect, View, not_found
from netwatch.formats.values import epoch_ns
from netwatch.store.cases import case_row
from netwatch.store.incident_pages import IncidentRow


def show(view: View) -> Answer:
    """One case. The id of one of its incidents, or one that it had before, leads to it as well."""
    row = _case_at(view)
    record = json.loads(row.record)
    subject = f"{_device_of_case(row)}, case {row.id}"
    if row.id != view.path["id"]:
        return Redirect(f"/cases/{row.id}", subject=subject)
    sightings = [_sighting(seen) for seen in record["seen_by"]]
    states = triage_of_cases(view, [row.id])
    triaged = view.console.triage.of({seen["incident"] for seen in sightings})
    moments = [(seen["first"], seen, True) for seen in sightings]
    moments += [(seen["last"], seen, False) for seen in sightings if seen["last"] > seen["first"]]
    values = {
        "case": record,
        "sightings": sightings,
        "devices_differ": len({(seen["device"], seen["network"]) for seen in sightings}) > 1,
        "timeline": sorted(moments, key=lambda at: (at[0], not at[2], at[1]["sensor"])),
        "differ": len({seen["verdict"] for seen in sightings}) > 1,
        "zone": view.console.zone_of(record["ban"]["id"]),
        "states": states["states_of"].get(row.id, ()),
        "state_words": states["state_words"],
        "triaged": {
            seen["incident"]: triaged.get(seen["incident"], Triaged()).state for seen in sightings
        },
    }
    return Page("case", values, subject)


def person(view: View) -> str:
    """Whom the page on the case that the address names is about. Raises `Refused` where there is
    none."""
    return _device_of_case(_case_at(view))


def _case_at(view: View) -> IncidentRow:
    row = case_row(view.console.catalogue, view.path["id"])
    if row is None:
        raise not_found(view.say("There is no such case."))
    return row


def _device_of_case(row: IncidentRow) -> str:
    """The device of a case, in the words of the audit."""
    device = json.loads(row.record)["device"]
    return f"device {device['id'] or device['ip']}"


def _sighting(seen: Mapping[str, Any]) -> dict[str, Any]:
    """What one sensor saw of a case; `first` and `last` (ns) are by the clock of the centre."""
    offset = round(seen["clock_offset"] * 1_000_000_000)
    first, last = (epoch_ns(seen[name]) - offset for name in ("first_seen", "last_seen"))
    names = {name: seen[name] or "" for name in ("device", "network")}
    return {**seen, **names, "first": first, "last": last}
