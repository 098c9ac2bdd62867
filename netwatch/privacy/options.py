"""``privacy`` of the configuration: of whom alerts and the store say a pseudonym."""

from netwatch.core.dataclass import dataclass
from netwatch.core.verdict import Device, Network
from netwatch.privacy.keys import Keyring
from netwatch.privacy.pseudonyms import under_pseudonym
from netwatch.privacy.sealing import Sealing

CLASSES = ("service", "personal", "guest", "infrastructure", "unknown")
"""The classes whose devices can have pseudonyms."""


@dataclass(frozen=True, slots=True)
class Privacy:
    """Devices of `classes` have pseudonyms by `keys`."""

    classes: frozenset[str]
    keys: Keyring

    def covers(self, device_class: str) -> bool:
        """Whether devices of a class, or clients of a network of it, have pseudonyms."""
        return device_class in self.classes

    @property
    def sealing(self) -> Sealing:
        """What seals and reads clients and claims in the store."""
        return Sealing(self.keys)

    def device(self, device: Device, network: Network) -> Device:
        """A device as alerts show it: the same one, or its pseudonym."""
        if not self.covers(device.device_class):
            return device
        return under_pseudonym(device, network, self.keys.current)
