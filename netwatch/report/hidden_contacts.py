"""How many contacts with the apps of a ban the unreadable flows of a period could hide.

The bound of `netwatch.coverage.hidden_bound`, from the flows of devices in the records of coverage
and from the incidents of the ban.
"""

from collections.abc import Iterable, Mapping

from netwatch.core.verdict import Ban
from netwatch.coverage.hidden_bound import LEVEL, DeviceFlows, NoBound, hidden_bound
from netwatch.report.blind_devices import CountedDevices, DeviceKey
from netwatch.report.reading import Incident
from netwatch.report.selecting import concerns
from netwatch.report.values import Bound, Reason

REASONS = (
    "not-in-force",
    "not-counted",
    "not-all-devices",
    "no-names",
    "tunnels",
    "hides-all",
    "many-contacts",
)
"""The codes of reasons for which there is no bound."""

ASSUMPTION = (
    "Each device hides the names of its contacts with these apps as often as those of its other"
    " flows."
)

_TUNNELS = ("vpn", "relay", "tor")


def bound_of(
    ban: Ban, counted: CountedDevices, incidents: Iterable[Incident]
) -> tuple[Bound | None, Reason | None]:
    """The bound for a ban, or the reason why there is none; `incidents` are those of the ban in the
    time of which flows are counted."""
    if counted.uncounted or counted.read < counted.records:
        return None, Reason("not-all-devices", {})
    contacts = {
        (each.network, address) for each in incidents for address in (*each.addresses, each.device)
    }
    flows = {
        key: counts
        for key, counts in counted.flows.items()
        if concerns(ban, key.network, key.device_class)
    }
    if any(not key.device for key in flows):
        return None, Reason("not-all-devices", {})
    found = hidden_bound(_of_device(key, counts, contacts) for key, counts in flows.items())
    if isinstance(found, NoBound):
        return None, Reason(found.code, found.values)
    return Bound(found.contacts, LEVEL, ASSUMPTION, found.named, found.unread), None


def _of_device(
    key: DeviceKey, counts: Mapping[str, int], contacts: set[tuple[str, str]]
) -> DeviceFlows:
    return DeviceFlows(
        named=counts.get("", 0),
        unread=sum(count for reason, count in counts.items() if reason not in ("", "no-data")),
        contacts=int((key.network, key.device) in contacts),
        tunnels=sum(counts.get(reason, 0) for reason in _TUNNELS),
    )
