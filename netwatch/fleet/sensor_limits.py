"""What a sensor may speak of: its networks and devices, as the centre is configured.

A sensor that was taken over can claim to have seen a device of any network, or of any inventory.
What it says of one that is not its own is kept and shown as a contradiction, with the least
confidence; it is a case of its own (`netwatch.store.case_members`), so it changes nothing that
other sensors have said. What it says of its own joins no case of another network, or of another
device of an inventory, either, whatever flow, device or address it claims to have seen. Its clients
and its coverage count for no other network. Facts name no device of an inventory: who a client is,
the centre finds out by its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from netwatch.config.fleet_section import SensorLimit
from netwatch.core.alert import number_of
from netwatch.core.verdict import CONFIDENCE_RANK
from netwatch.store.case_members import (
    DEVICES,
    NETWORKS,
    OUTSIDE_DEVICE,
    OUTSIDE_NETWORK,
    device_of_inventory,
    is_among,
)
from netwatch.store.catalogue_clients import ClientAddress

_PLACE = ("time", "type", "name", "source")

_MAX_NAMED = 16

LEAST = min(CONFIDENCE_RANK, key=CONFIDENCE_RANK.__getitem__)
"""The confidence of what a sensor says of a network or a device that is not its own."""


@dataclass(slots=True)
class Outside:
    """The networks and devices of which a sensor spoke that are not its own; None is no network."""

    networks: set[str | None] = field(default_factory=set)
    devices: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.networks or self.devices)


@dataclass(frozen=True, slots=True)
class SensorLimits:
    """The limits of those sensors that have some, by name."""

    allowed: Mapping[str, SensorLimit]

    def allows(self, sensor: str, network: str | None) -> bool:
        """Whether a sensor may speak of a network."""
        limit = self.allowed.get(sensor)
        return limit is None or limit.networks is None or network in limit.networks

    def marked(
        self, sensor: str, record: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], Outside] | None:
        """The record of an alert with the limits of its sensor, and with the contradictions if it
        speaks of what is outside, and that; None if the sensor may speak of all."""
        limit = self.allowed.get(sensor)
        if limit is None or limit == SensorLimit():
            return None
        outside = Outside()
        said_by = dict(record["sensor"])
        found = []
        if limit.networks is not None:
            said_by[NETWORKS] = sorted(limit.networks)
            network = record["network"]["name"]
            if network not in limit.networks:
                outside.networks.add(network)
                about = f"the network {network}" if network else "no network"
                found.append(_contradiction(OUTSIDE_NETWORK, about, said_by, NETWORKS, record))
        if limit.devices is not None:
            said_by[DEVICES] = [*limit.devices]
            device = device_of_inventory(record)
            if device is not None and not is_among(device, limit.devices):
                outside.devices.add(device)
                about = f"the device {device}" if device else "a device without an id"
                found.append(_contradiction(OUTSIDE_DEVICE, about, said_by, DEVICES, record))
        if not found:
            return {**record, "sensor": said_by}, outside
        known = record.get("contradictions") or []
        return {
            **record,
            "sensor": said_by,
            "confidence": LEAST,
            "contradictions": [*found, *known],
        }, outside

    def clients(
        self, sensor: str, clients: Sequence[ClientAddress]
    ) -> tuple[Sequence[ClientAddress], set[str]]:
        """Clients as they count, and the networks that are not the sensor's own."""
        outside = {
            client.network
            for client in clients
            if client.network is not None and not self.allows(sensor, client.network)
        }
        if not outside:
            return clients, outside
        return [
            replace(client, network=None, network_class=None)
            if client.network in outside
            else client
            for client in clients
        ], outside

    def coverage(self, sensor: str, record: dict[str, Any]) -> tuple[dict[str, Any], set[str]]:
        """A record of coverage with the networks that count, and those that do not."""
        outside = {
            each["name"] for each in record["networks"] if not self.allows(sensor, each["name"])
        }
        kept = [each for each in record["networks"] if each["name"] not in outside]
        return {**record, "networks": kept}, outside


def _contradiction(
    kind: str, about: str, said_by: Mapping[str, Any], limit: str, record: Mapping[str, Any]
) -> dict[str, Any]:
    """What speaks against a record that is `about` what its sensor may not speak of; `limit` is the
    key of what it may."""
    own = said_by[limit]
    names = ", ".join(own[:_MAX_NAMED]) or "none"
    more = ", …" if len(own) > _MAX_NAMED else ""
    first = record["evidence"][0]
    return {
        "type": kind,
        "text": f"The sensor {said_by['name']} speaks of {about}; its own: {names}{more}.",
        "count": max(1, sum(each["count"] for each in record["evidence"])),
        "evidence": [{**{name: first[name] for name in _PLACE}, "packet": number_of(first)}],
    }


UNLIMITED = SensorLimits({})
"""Each sensor may speak of everything."""
