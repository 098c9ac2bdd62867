"""What speaks against an observation: who else may have sent it, as far as that can be seen.

Each of these can be told when the observation is judged, from what was known of the capture up to
it. Whether a MAC that is not the device's belongs to a router is decided later
(`netwatch.incidents.senders`), unless the inventory or the router itself has said so.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import NamedTuple

from netwatch.config import Config
from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.contradiction import Contradiction, Sender
from netwatch.core.observation import Observation
from netwatch.core.observation_columns import EVIDENCE
from netwatch.core.verdict import Binding, Device, Network
from netwatch.inventory.learned import LearnedBindings
from netwatch.language.sentences import sentence

FLOW_LIMIT = 65_536
"""Flows of which is remembered which name their hello showed; of more the one that was seen least
recently is evicted."""

DATAGRAM_WINDOW = 10_000_000_000
"""Within this time (ns) two hellos of one client in datagrams between two ports are of one
connection; a client may use its port again."""

EVIDENCE_DTLS_SNI = EVIDENCE.index("dtls-sni")
"""The number of this kind of evidence in a row of the observation batch."""

_PREFIX = 8
"""Bytes of an IPv6 address that are those of its network, in which a device has many addresses."""


class HelloName(NamedTuple):
    """A name that the hello of a client showed, at a time (ns)."""

    name: str
    time: int
    client_port: int


class FlowNames:
    """The names that the hellos of the flows of one capture showed. `evicted` counts flows that
    were evicted because the table was full."""

    def __init__(self, limit: int = FLOW_LIMIT) -> None:
        self._limit = limit
        self._names: OrderedDict[int, HelloName] = OrderedDict()
        self.evicted = 0

    def earlier(self, flow: int, shown: HelloName, *, is_stream: bool) -> str:
        """The other name that a hello of the same side showed before in a flow; empty where there
        was none. The first one is remembered. `is_stream` says that the flow is one of TCP."""
        known = self._names.get(flow)
        if (
            known is None
            or known.client_port != shown.client_port
            or not (is_stream or shown.time <= known.time + DATAGRAM_WINDOW)
        ):
            self._names[flow] = shown
            self._names.move_to_end(flow)
            if len(self._names) > self._limit:
                self.evicted += 1
                self._names.popitem(last=False)
            return ""
        return "" if known.name == shown.name else known.name


class Contradicted:
    """Finds what speaks against the observations of one capture, judged by `config`. `learned` is
    what was learned of devices, None where that is not asked for."""

    def __init__(self, config: Config, learned: LearnedBindings | None) -> None:
        self.reload(config, learned)

    def reload(self, config: Config, learned: LearnedBindings | None) -> None:
        """Judge by another configuration from now on."""
        self._config = config
        self._learned = learned
        self._networks = tuple({scope.network.name: None for scope in config.networks.scopes})

    def sender(self, shown: Observation, device: Device, network: Network) -> Sender | None:
        """Whose packet the MAC in the frame of an observation sent; None where there is no MAC, or
        it is known to be the device's own."""
        mac = shown.client_mac
        if mac is None or _is_bound(device, mac):
            return None
        client = device.id
        if client == device.ip and len(shown.client_ip) == 16:
            client = ip_text(shown.client_ip[:_PREFIX] + bytes(16 - _PREFIX))
        return Sender(
            self._text(mac_text(mac), device, network), self._text(client, device, network)
        )

    def found(
        self,
        shown: Observation,
        binding: Binding | None,
        device: Device,
        network: Network,
        earlier: str,
    ) -> tuple[Contradiction, ...]:
        """What speaks against an observation of a `device` in a `network`. In its flow, a hello
        showed the name `earlier` before it, unless that is empty."""
        return tuple(self._found(shown, binding, device, network, earlier))

    def _found(
        self,
        shown: Observation,
        binding: Binding | None,
        device: Device,
        network: Network,
        earlier: str,
    ) -> Iterator[Contradiction]:
        hidden = self._hides(device, network)
        if device.device_class != "unknown":
            mac = shown.client_mac
            is_other = mac is not None and device.mac not in (None, mac_text(mac))
            if mac is not None and is_other and not self._is_router(mac, shown.time):
                yield self._other_mac(mac, device, network)
            if binding is not None and binding.ambiguity == "address":
                text = _HIDDEN_CLAIM if hidden else _claimed(binding)
                yield Contradiction("address-claimed-twice", text)
        if earlier:
            yield Contradiction("two-names", sentence("another-name", name=earlier))

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
        """Whether the inventory has a MAC as infrastructure, or its owner has said that it is a
        router, or is in several networks."""
        entry = self._config.devices.entries.with_mac(mac, time)
        if entry is not None and entry.device_class == "infrastructure":
            return True
        return self._learned is not None and self._learned.is_gateway(mac, self._networks, time)

    def _hides(self, device: Device, network: Network) -> bool:
        privacy = self._config.privacy
        return privacy is not None and privacy.device(device, network).has_pseudonym

    def _text(self, text: str, device: Device, network: Network) -> str:
        """A MAC or a client, or a pseudonym of it where the device has one."""
        privacy = self._config.privacy
        if privacy is None or not self._hides(device, network):
            return text
        return privacy.pseudonym(text, network)


_HIDDEN_CLAIM = sentence("claimed-twice-hidden")


def _is_bound(device: Device, mac: bytes) -> bool:
    """Whether the inventory, a lease or an announcement says that a MAC is the device's."""
    source = device.binding.source if device.binding is not None else "address"
    return source != "address" and device.mac == mac_text(mac)


def _claimed(binding: Binding) -> str:
    macs = [mac_text(mac) for mac in binding.claimants[:2]]
    if len(macs) < 2:
        return _HIDDEN_CLAIM
    return sentence("claimed-twice", mac=macs[0], other=macs[1])
