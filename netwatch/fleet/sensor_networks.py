"""What a sensor may speak of: its networks, as the centre is configured.

A sensor that was taken over can claim to have seen a device of any network. What it says of one
that is not its own is kept and shown as a contradiction, with the least confidence; it is a case of
its own (`netwatch.store.case_members`), so it changes nothing that other sensors have said. What
it says of its own networks joins no case of another network either, whatever flow or device of an
inventory it claims to have seen. Its clients and its coverage count for no other network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from netwatch.core.evidence_place import number_of
from netwatch.core.verdict import CONFIDENCE_RANK
from netwatch.store.case_members import NETWORKS, OUTSIDE
from netwatch.store.catalogue_clients import ClientAddress

_PLACE = ("time", "type", "name", "source")

LEAST = min(CONFIDENCE_RANK, key=CONFIDENCE_RANK.__getitem__)
"""The confidence of what a sensor says of a network that is not its own."""


@dataclass(frozen=True, slots=True)
class SensorNetworks:
    """The networks of those sensors that have only some, by name."""

    allowed: Mapping[str, frozenset[str]]

    def allows(self, sensor: str, network: str | None) -> bool:
        """Whether a sensor may speak of a network."""
        return sensor not in self.allowed or network in self.allowed[sensor]

    def marked(self, sensor: str, record: Mapping[str, Any]) -> dict[str, Any] | None:
        """The record of an alert with the networks of its sensor, and with the contradiction if it
        speaks of another one; None if the sensor may speak of all."""
        if sensor not in self.allowed:
            return None
        network = record["network"]["name"]
        said_by = {**record["sensor"], NETWORKS: sorted(self.allowed[sensor])}
        record = {**record, "sensor": said_by}
        if self.allows(sensor, network):
            return record
        first = record["evidence"][0]
        network = f"the network {network}" if network else "no network"
        names = ", ".join(sorted(self.allowed[sensor])) or "none"
        said = {
            "type": OUTSIDE,
            "text": f"The sensor {sensor} speaks of {network}; its own: {names}.",
            "count": max(1, sum(each["count"] for each in record["evidence"])),
            "evidence": [{**{name: first[name] for name in _PLACE}, "packet": number_of(first)}],
        }
        known = record.get("contradictions") or []
        return {**record, "confidence": LEAST, "contradictions": [said, *known]}

    def clients(
        self, sensor: str, clients: Sequence[ClientAddress]
    ) -> tuple[Sequence[ClientAddress], set[str]]:
        """Clients as they count, and the networks that are not the sensor's own."""
        outside = {
            each.network
            for each in clients
            if each.network is not None and not self.allows(sensor, each.network)
        }
        if not outside:
            return clients, outside
        return [
            replace(each, network=None, network_class=None) if each.network in outside else each
            for each in clients
        ], outside

    def coverage(self, sensor: str, record: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """A record of coverage with the networks that count, and those that do not."""
        outside = {
            each["name"] for each in record["networks"] if not self.allows(sensor, each["name"])
        }
        kept = [each for each in record["networks"] if each["name"] not in outside]
        return {**record, "networks": kept}, outside


UNLIMITED = SensorNetworks({})
"""Each sensor may speak of all networks."""
