"""Print which devices reached a banned app, and how sure that is, as CSV."""

import csv
import sys
from collections.abc import Iterable

import netwatch
from netwatch.api import Device


def rows(incidents: Iterable[netwatch.Incident]) -> Iterable[tuple[str, str, str]]:
    for incident in incidents:
        if incident.verdict == "violation" and incident.outcome == "reached":
            yield label(incident.device), incident.app.name, incident.confidence


def label(device: Device) -> str:
    return f"{device.id} ({device.owner})" if device.owner else device.id


def main(paths: list[str]) -> int:
    try:
        result = netwatch.scan(paths, "pcaps/netwatch.yaml")
    except netwatch.Error as error:
        print(error, file=sys.stderr)
        return 2
    csv.writer(sys.stdout).writerows(sorted(set(rows(result))))
    return 1 if result.summary.unread else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
