"""Where a person's data are, and how they are erased: one row for each place.

``store erase`` reports from these rows what it did, and the page on data protection has them as a
table. A test compares them with the tables of the catalogue and of the console, and with what an
erasure counts, so that a place without a row is noticed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Reach = Literal["erased", "sealed", "nobody", "not reached"]
"""How an erasure treats a place: the person's data are deleted; or can no longer be read; or the
place has no personal data; or it is not netwatch's to change."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place: `what` is kept there and `where`, and `how` it is erased. `tables` are its tables in
    the catalogue and the console, `counts` what an erasure counts for it."""

    id: str
    what: str
    where: str
    reach: Reach
    how: str
    tables: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()


PLACES = (
    Place(
        "facts",
        "observations, flows and claims",
        "files of the store",
        "erased",
        "files are rewritten without the person's rows and rows that mention the person",
        ("file",),
        ("rows", "files"),
    ),
    Place(
        "clients",
        "addresses and MACs, also encrypted ones",
        "catalogue",
        "erased",
        "rows are deleted, last",
        ("client",),
        ("clients",),
    ),
    Place(
        "incidents",
        "incidents, their counts, and cases",
        "catalogue",
        "erased",
        "the person's, and those that mention the person",
        (
            "incident",
            "incident_day",
            "incident_device",
            "incident_device_word",
            "incident_name",
            "incident_named",
            "fleet_case",
            "fleet_case_incident",
            "fleet_case_word",
        ),
        ("incidents",),
    ),
    Place(
        "coverage",
        "flows by device",
        "catalogue",
        "erased",
        "the device is taken out of the records; sums of networks stay",
        ("coverage", "coverage_network"),
        ("coverage",),
    ),
    Place(
        "bypasses",
        "days on which devices hid their lookups",
        "catalogue",
        "erased",
        "the person's; how many devices were looked at stays",
        ("bypass", "bypass_day"),
        ("bypasses",),
    ),
    Place(
        "evidence",
        "evidence captures, and where they are",
        "the folder of `--evidence`, catalogue",
        "erased",
        "files of the person's incidents that netwatch wrote are deleted",
        ("evidence",),
        ("evidence",),
    ),
    Place(
        "journal",
        "who resolved a pseudonym, and why",
        "catalogue",
        "erased",
        "the person's pseudonyms and the reasons are removed; that someone asked, and when, stays",
        ("journal",),
        ("journal",),
    ),
    Place(
        "alerts",
        "queued alerts, dead letters, the memory of delivered alerts, open incidents",
        "outbox, state file of `live`",
        "erased",
        "entries that mention the person are deleted",
        (),
        ("alerts",),
    ),
    Place(
        "filters",
        "saved filters, and sign-ins in progress",
        "database of the console",
        "erased",
        "those that mention the person",
        ("console_filter", "console_shared_filter", "console_pending"),
        ("filters",),
    ),
    Place(
        "purposes",
        "purposes that sessions typed, and tokens of programs",
        "database of the console",
        "erased",
        "all purposes: people are asked again; tokens whose name or purpose mentions the person",
        ("console_purpose", "console_token"),
        ("purposes",),
    ),
    Place(
        "triage",
        "states of incidents, who works on them, reasons and notes",
        "database of the console",
        "erased",
        "all for the person's incidents; for others, the reasons and notes that mention the person",
        ("console_triage", "console_triage_change", "console_triage_untold"),
        ("triage",),
    ),
    Place(
        "audit",
        "who looked at the person, and why",
        "database of the console",
        "sealed",
        "who looked and when stays; the subject becomes a pseudonym by the audit's own key, and"
        " the keys of purpose and detail are deleted",
        ("console_audit", "console_audit_key"),
        ("audit",),
    ),
    Place(
        "temporary",
        "temporary files of runs that were killed",
        "folder of the store, `TMPDIR`",
        "erased",
        "all, whatever person they contain; the files of running commands are listed",
        (),
        ("temporary",),
    ),
    Place(
        "runs",
        "runs, captures, versions, hours, losses, sensors",
        "catalogue",
        "nobody",
        "nothing: networks, files and times. A capture whose name mentions the person is listed",
        (
            "capture",
            "fleet_applied",
            "fleet_batch",
            "fleet_sensor",
            "fleet_silence",
            "hour_captured",
            "hour_judged",
            "hour_network",
            "loss",
            "run",
            "run_writing",
            "store",
            "version",
            "version_ban",
        ),
    ),
    Place(
        "accounts",
        "accounts and their names, sessions, failed sign-ins and keys of the console",
        "database of the console",
        "nobody",
        "nothing: they belong to the users of the console. Remove an account with `users remove`",
        (
            "console_account",
            "console_failure",
            "console_foreign_name",
            "console_secret",
            "console_session",
        ),
    ),
    Place(
        "delivered",
        "alerts that were delivered",
        "receivers of the outputs, files of outputs",
        "not reached",
        "erase them there; the outputs are listed",
    ),
    Place(
        "captures",
        "your captures, logs, inventory, lease files",
        "where you keep them",
        "not reached",
        "captures that the store knows are listed",
    ),
    Place(
        "written",
        "files of `-o`, reports, exports, copies for a person",
        "where they were written or sent",
        "not reached",
        "delete them",
    ),
    Place(
        "fleet",
        "facts and alerts on their way to a centre, and messages that it refused",
        "spools of sensors, the stream of the centre, `refused/` of its folder",
        "not reached",
        "erase on the sensor first, wait until it has sent what waits, erase at the centre, and"
        " delete `refused/`",
    ),
    Place(
        "backups",
        "backups, archived logs of PostgreSQL, old versions in buckets, free blocks of disks",
        "where you keep them",
        "not reached",
        "keep them for a short time; encrypt disks",
    ),
    Place(
        "logs",
        "log of the system, metrics",
        "journald, syslog, Prometheus",
        "nobody",
        "nothing: they do not name devices",
    ),
)


def outcome(counts: Mapping[str, int]) -> dict[str, Any]:
    """The result of an erasure with these counts, by place: the count there, and how it is
    erased."""
    return {
        place.id: {
            "reach": place.reach,
            **{name: counts[name] for name in place.counts if name in counts},
        }
        for place in PLACES
        if place.reach != "nobody"
    }


def not_reached() -> list[str]:
    """A sentence for each place that an erasure does not reach."""
    return [f"{place.what}: {place.how}" for place in PLACES if place.reach == "not reached"]
