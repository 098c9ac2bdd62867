"""What the tables of ``store sql`` and their columns mean, for its help and the documentation."""

from collections.abc import Mapping

from netwatch.store.tables import FACTS

TABLE_TITLES: Mapping[str, str] = {
    "observation": "names that devices showed, one a row",
    "flow": "conversations with their bytes, one a row",
    "claim": "what messages said about who uses an address (DHCP, mDNS, ARP)",
    "incident": "incidents as they were reported",
    "fleet_case": "incidents as the sensors of a fleet saw them together, at a centre",
    "fleet_sensor": "the sensors that are known, and how they are",
    "coverage": "in how many flows a name could be read, by run",
    "evidence": "where the packets are: captures, and evidence captures of incidents",
    "version": "signatures, bans and configurations that decided",
}

_FACTS = {
    "time_ns": "the same as ns since the epoch: comparisons with it leave out files",
    "first_ns": "`first` as ns since the epoch: comparisons with it leave out files",
    "last_ns": "`last` as ns since the epoch",
    "client_ip": "address of the client, or its pseudonym",
    "client_mac": "MAC of the client in its frames",
    "client_network": "name of its network; none outside of all",
    "address": "address that the claim is about; none where it is sealed",
    "mac": "MAC that is said to have it",
    "hostname": "host name that is said to have it",
    "capture": "number of the capture",
    "day": "day of the row in UTC: comparisons with it leave out files",
    "sensor": "the sensor that saw it: sites often have the same addresses",
}
_COPIES: Mapping[str, Mapping[str, str]] = {
    "incident": {
        "id": "id of the incident",
        "status": "`open`, `update` or `closed`",
        "verdict": "`violation`, `advisory` or `exempt`",
        "confidence": "`confirmed`, `probable` or `possible`",
        "kind": "`session`, `background`, `embed` or `lookup`",
        "outcome": "`reached`, `attempted`, `blocked` or `unknown`",
        "app": "id of the app",
        "ban": "id of the ban",
        "device": "id of the device",
        "network": "name of its network",
        "first_seen": "time of the first contact",
        "last_seen": "time of the last contact",
        "first_seen_ns": "`first_seen` as ns since the epoch",
        "last_seen_ns": "`last_seen` as ns since the epoch",
        "record": "the alert as JSON, as `scan --format jsonl` wrote it",
        "run": "number of the run that found it",
    },
    "fleet_case": {
        "id": "id of the case",
        "status": "`open`, `update` or `closed`",
        "verdict": "`violation`, `advisory` or `exempt`",
        "confidence": "`confirmed`, `probable` or `possible`",
        "kind": "`session`, `background`, `embed` or `lookup`",
        "outcome": "`reached`, `attempted`, `blocked` or `unknown`",
        "app": "id of the app",
        "ban": "id of the ban",
        "device": "id of the device",
        "network": "name of its network",
        "joined_by": "`community_id` or `time`: what speaks for it; none where one sensor saw it",
        "sensors": "how many sensors saw it",
        "incidents": "of how many incidents it is made",
        "first_seen": "time of the first contact by the clock of the centre",
        "last_seen": "time of the last contact by the clock of the centre",
        "first_seen_ns": "`first_seen` as ns since the epoch",
        "last_seen_ns": "`last_seen` as ns since the epoch",
        "record": "the case as JSON, as `store query cases --format jsonl` gives it",
    },
    "fleet_sensor": {
        "name": "name of the sensor",
        "enrolled": "when it was enrolled; none for a capture that writes to this store itself",
        "heard": "when it last said anything; none: never",
        "silent_since": "since when it was not heard; none while it is",
        "clock_offset_ns": "how far its clock is ahead of that of the centre, ns",
        "refused": "messages of it that were refused",
        "status": "what it last said of itself, as JSON",
    },
    "coverage": {
        "first": "time of the first packet",
        "last": "time of the last packet",
        "first_ns": "`first` as ns since the epoch",
        "last_ns": "`last` as ns since the epoch",
        "record": "the report as JSON",
        "run": "number of the run",
        "part": "0, or the number of the hour of a live run",
    },
    "evidence": {
        "incident": "id of the incident; none for a whole capture",
        "path": "where the file was",
        "size": "its size in bytes",
        "sha256": "hash of its content",
        "stored": "when it was noted",
        "run": "number of the run",
    },
    "version": {
        "id": "number of the version",
        "netwatch": "version of netwatch",
        "signatures": "hash of the signatures",
        "bans": "hash of the bans and exemptions",
        "configuration": "hash of the configuration",
        "first_used": "when it was first used",
    },
}


def column_titles(table: str) -> Mapping[str, str]:
    """What the columns of a table mean, by their names."""
    if table in _COPIES:
        return _COPIES[table]
    return {column.name: column.title for column in FACTS[table]} | _FACTS
