"""The list of cases, which are incidents as all sensors of a fleet saw them, and one of them: who
saw what, when, and what speaks for it that it is one. The filtered list is a file as well."""

import json
from collections.abc import Mapping
from typing import Any

from netwatch.console.pages.incidents import COLUMNS, COUNTS, NAMES, WORDS, Listing, words_of
from netwatch.console.view import Answer, Page, Redirect, View, bad_request, not_found
from netwatch.formats.values import epoch_ns
from netwatch.store.case_pages import case_page, case_row, is_centre
from netwatch.store.incident_pages import IncidentFilter, IncidentRow

PROOFS = ("community_id", "time")
"""What speaks for it that the incidents of a case are one."""

FILTERS = ("from", "to", *WORDS, *NAMES, "sensor", "joined")
"""The values of an address that filter the list."""

CASE_COLUMNS = (*COLUMNS, "joined_by", "sensors", "seen_by", *COUNTS)
"""The columns of the CSV file: those of incidents, how many sensors saw it and which, and counts
that are not added up where sensors saw the same flows."""


def show(view: View) -> Answer:
    """One page of the list, the newest cases first."""
    choices = {**WORDS, "joined": PROOFS}
    return CASES.show(view, choices=choices, is_centre=is_centre(view.console.catalogue))


def one(view: View) -> Answer:
    """One case. The id of one of its incidents, or one that it had before, leads to it as well."""
    row = _asked(view)
    record = json.loads(row.record)
    subject = f"{_device_of(row)}, case {row.id}"
    if row.id != view.path["id"]:
        return Redirect(f"/cases/{row.id}", subject=subject)
    sightings = [_sighting(each) for each in record["seen_by"]]
    moments = [(each["first"], each, True) for each in sightings]
    moments += [(each["last"], each, False) for each in sightings if each["last"] > each["first"]]
    values = {
        "case": record,
        "sightings": sightings,
        "devices_differ": len({(each["device"], each["network"]) for each in sightings}) > 1,
        "timeline": sorted(moments, key=lambda each: (each[0], not each[2], each[1]["sensor"])),
        "differ": len({each["verdict"] for each in sightings}) > 1,
        "zone": view.console.zone_of(record["ban"]["id"]),
    }
    return Page("case", values, subject)


def person(view: View) -> str:
    """Whom the page on the case that the address names is about. Raises `Refused` where there is
    none."""
    return _device_of(_asked(view))


def _asked(view: View) -> IncidentRow:
    row = case_row(view.console.catalogue, view.path["id"])
    if row is None:
        raise not_found(view.say("There is no such case."))
    return row


def _device_of(row: IncidentRow) -> str:
    """The device of a case, in the words of the audit."""
    device = json.loads(row.record)["device"]
    return f"device {device['id'] or device['ip']}"


def _wanted(view: View) -> IncidentFilter:
    query, sets = view.query, words_of(view, (*NAMES, "sensor"))
    if word := query.word("joined", PROOFS):
        sets["joined_by"] = frozenset({word})
    since, until = query.moment("from"), query.moment("to")
    if since is not None and until is not None and until < since:
        raise bad_request(view.say("The end is before the start."))
    return IncidentFilter(since=since, until=until, seen=1, **sets)


CASES = Listing("cases", FILTERS, CASE_COLUMNS, _wanted, case_page)
"""The list of cases."""


def _sighting(seen: Mapping[str, Any]) -> dict[str, Any]:
    """What one sensor saw of a case; `first` and `last` (ns) are by the clock of the centre."""
    offset = round(seen["clock_offset"] * 1_000_000_000)
    first, last = (epoch_ns(seen[name]) - offset for name in ("first_seen", "last_seen"))
    names = {name: seen[name] or "" for name in ("device", "network")}
    return {**seen, **names, "first": first, "last": last}
