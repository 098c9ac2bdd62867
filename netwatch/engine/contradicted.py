"""Contradictions of an observation: who else may have sent it, as far as that can be seen.

Each of these can be found when the observation is judged, from what is known about the capture so
far. Whether a MAC that is not the device's belongs to a router is decided later
(`netwatch.incidents.senders`), unless the inventory or the router itself has said so.
"""

from netwatch.config import Config
from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.flow import Contradiction, Sender
from netwatch.core.message import Observation
from netwatch.core.observation_columns import EVIDENCE
from netwatch.core.verdict import Binding, Device, Network
from netwatch.inventory.devices import BY_ADDRESS
from netwatch.inventory.learned import LearnedBindings
from netwatch.language.sentences import sentence

EVIDENCE_DTLS_SNI = EVIDENCE.index("dtls-sni")
"""The number of this kind of evidence in a row of the observation batch."""

USUAL_CACHE = 16_384
"""Devices with their MACs known to have no contradiction; a full cache is emptied."""

_PREFIX = 8
"""Bytes of an IPv6 address that are its network, in which a device has many addresses."""


_Usual = tuple[tuple[Contradiction, ...], Sender | None]


class Contradicted:
    """Finds the contradictions of the observations of one capture, judged by `config`. `learned` is
    what was learned about devices, None if nothing is to be learned."""

    def __init__(self, config: Config, learned: LearnedBindings | None) -> None:
        self._usual: dict[tuple[bytes | None, str, str | None], _Usual] = {}
        self.reload(config, learned)

    def reload(self, config: Config, learned: LearnedBindings | None) -> None:
        """Judge by another configuration from now on."""
        self._config = config
        self._learned = learned
        self._usual.clear()
        self._networks = tuple({scope.network.name: None for scope in config.networks.scopes})

    def found(
        self,
        shown: Observation,
        binding: Binding | None,
        device: Device,
        network: Network,
        earlier: str,
    ) -> tuple[tuple[Contradiction, ...], Sender | None]:
        """The contradictions of an observation of a `device` in a `network`, and the client whose
        packet the MAC in its frame sent: None if there is no MAC, or it is known to be the device's
        own. In its flow, a hello showed the name `earlier` before it, unless that is empty."""
        mac = shown.client_mac
        is_claimed = binding is not None and binding.ambiguity == "address"
        if not (earlier or is_claimed):
            usual = self._usual.get((mac, device.id, device.mac))
            if usual is not None:
                return usual
        is_other = mac is not None and device.mac is not None and device.mac != mac.hex(":")
        sender = self._sender(shown, device, network)
        if not (is_other or is_claimed or earlier):
            if len(self._usual) >= USUAL_CACHE:
                self._usual.clear()
            usual = self._usual[mac, device.id, device.mac] = (), sender
            return usual
        found = []
        if device.device_class != "unknown":
            if is_other and mac is not None and not self._is_router(mac, shown.time):
                found.append(self._other_mac(mac, device, network))
            if is_claimed and binding is not None:
                text = _HIDDEN_CLAIM if self._hides(device, network) else _claimed(binding)
                found.append(Contradiction("address-claimed-twice", text))
        if earlier:
            found.append(Contradiction("two-names", sentence("another-name", name=earlier)))
        return tuple(found), sender

    def _sender(self, shown: Observation, device: Device, network: Network) -> Sender | None:
        mac = shown.client_mac
        if mac is None:
            return None
        text, client = mac.hex(":"), device.id
        if text == device.mac and device.binding is not None and device.binding is not BY_ADDRESS:
            return None
        if client == device.ip and len(shown.client_ip) == 16:
            client = ip_text(shown.client_ip[:_PREFIX] + bytes(16 - _PREFIX))
        return Sender(self._text(text, device, network), self._text(client, device, network))

    def _other_mac(self, mac: bytes, device: Device, network: Network) -> Contradiction:
        text = mac_text(mac)
        sender = self._text(text, device, network)
        if self._hides(device, network):
            return Contradiction("mac-not-bound", sentence("mac-not-bound-hidden"), sender)
        listed = device.binding is not None and device.binding.source == "inventory"
        code = "mac-not-listed" if listed else "mac-not-learned"
        assert device.mac is not None
        return Contradiction("mac-not-bound", sentence(code, mac=text, bound=device.mac), sender)

    def _is_router(self, mac: bytes, time: int) -> bool:
        """Whether the inventory has a MAC as infrastructure, or its owner has announced itself as a
        router, or is in several networks."""
        entry = self._config.devices.entries.with_mac(mac, time)
        if entry is not None and entry.device_class == "infrastructure":
            return True
        return self._learned is not None and self._learned.is_gateway(mac, self._networks, time)

    def _hides(self, device: Device, network: Network) -> bool:
        privacy = self._config.privacy
        return privacy is not None and privacy.device(device, network).has_pseudonym

    def _text(self, text: str, device: Device, network: Network) -> str:
        """A MAC or a client, or its pseudonym if the device has one."""
        privacy = self._config.privacy
        if privacy is None or not self._hides(device, network):
            return text
        return privacy.pseudonym(text, network)


_HIDDEN_CLAIM = sentence("claimed-twice-hidden")


def _claimed(binding: Binding) -> str:
    macs = [mac_text(mac) for mac in binding.claimants[:2]]
    if len(macs) < 2:
        return _HIDDEN_CLAIM
    return sentence("claimed-twice", mac=macs[0], other=macs[1])
