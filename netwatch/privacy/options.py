"""``privacy`` of the configuration: of whom alerts and the store say a pseudonym."""

from dataclasses import dataclass, replace

from netwatch.core.verdict import Decision, Device, Network
from netwatch.privacy.keys import Keyring, pseudonym, under_pseudonym
from netwatch.privacy.sealing import Sealing

CLASSES = ("service", "personal", "guest", "infrastructure")
"""The classes whose devices can have pseudonyms."""


@dataclass(frozen=True, slots=True)
class Privacy:
    """Devices of `classes` have pseudonyms by `keys`."""

    classes: frozenset[str]
    keys: Keyring

    def covers(self, device_class: str) -> bool:
        """Whether devices of a class have pseudonyms."""
        return device_class in self.classes

    @property
    def sealing(self) -> Sealing:
        """What seals and reads clients and claims in the store."""
        return Sealing(self.keys)

    def device(self, device: Device, network: Network) -> Device:
        """A device as alerts show it: the same one, or its pseudonym. One that cannot be told from
        others has no class, and that of its network decides."""
        is_told = device.device_class != "unknown"
        if not self.covers(device.device_class if is_told else network.device_class):
            return device
        return under_pseudonym(device, network, self.keys.current)

    def pseudonym(self, identity: str, network: Network) -> str:
        """The pseudonym of anything else that tells who a device in a network is."""
        return pseudonym(self.keys.current, network.name, identity)

    def decision(self, decision: Decision, device: Device) -> Decision:
        """A decision on contacts of a device, which `device` gave: its exemptions name the device
        as alerts do."""
        if not device.has_pseudonym or all(each.exemption is None for each in decision.rulings):
            return decision
        rulings = (
            replace(each, exemption=each.exemption and replace(each.exemption, device=device.id))
            for each in decision.rulings
        )
        return replace(decision, rulings=tuple(rulings))
