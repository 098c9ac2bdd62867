"""Tells apart devices of several sites that are known by the same address.

Alerts name a device that is known by nothing else by its address, and sites often have the same
ones. In a report such a device is its address with the network, so that nobody is counted, listed
or merged with a stranger. The built-in network has the same name at every site: there the sensors
that saw an incident are in place of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from netwatch.core.addresses import parse_ip
from netwatch.inventory.networks import BUILT_IN
from netwatch.report.reading import Incident


def told_apart(incidents: Iterable[Incident], sensors: Mapping[int, str]) -> list[Incident]:
    """The incidents, those of an address that is known in several places with the place in the name
    of the device. `sensors` are those of runs by their numbers."""
    found = list(incidents)
    places: defaultdict[str, set[str]] = defaultdict(set)
    for each in found:
        if parse_ip(each.device) is not None:
            places[each.device].add(_place(each, sensors))
    return [
        replace(each, device=f"{each.device} ({_place(each, sensors)})")
        if len(places.get(each.device, ())) > 1
        else each
        for each in found
    ]


def _place(incident: Incident, sensors: Mapping[int, str]) -> str:
    if incident.network != BUILT_IN:
        return incident.network
    seen_by = incident.seen_by or tuple(filter(None, [sensors.get(incident.run)]))
    return ", ".join(seen_by) or incident.network
