"""Networks, devices and apps by address, as the counts of flows need them."""

from netwatch.config import Config
from netwatch.core.flow import BYPASS_CATEGORIES, FlowClient
from netwatch.coverage.flow_counter import Location
from netwatch.inventory.learned import LearnedBindings


class ConfiguredDirectory:
    """A `netwatch.coverage.flow_counter.Directory` from the configuration and, where devices
    are learned, from the traffic."""

    def __init__(self, config: Config, learned: LearnedBindings | None) -> None:
        self._config = config
        self._learned = learned

    def locate(self, client: FlowClient, time: int) -> Location:
        """The network and device of a client at a time, in ns since the epoch."""
        network = self._config.networks.find(client.ip, client.vlan)
        if network is None:
            return None, ""
        binding = None
        if self._learned is not None:
            binding = self._learned.past_binding(client.ip, client.mac, client.vlan, time)
        if binding is None:
            binding = self._config.devices.leases.binding_at(client.ip, client.mac, time)
        device = self._config.devices.identify(client.ip, client.mac, network, binding)
        return network, device.id

    def missed(self, client: FlowClient) -> str:
        """Which range or VLAN would match a client outside of all networks with another tag."""
        return self._config.networks.missed(client.ip, client.vlan)

    def is_permanent(self, client: FlowClient) -> bool:
        """Whether nothing was learned of the address and no lease has it, so that its device does
        not change."""
        if self._config.devices.leases.has_address(client.ip):
            return False
        return self._learned is None or not self._learned.has_bindings(client.ip, client.vlan)

    def bypass_category(self, address: bytes) -> str | None:
        """The category in `BYPASS_CATEGORIES` of the app at a packed address, else None."""
        app = self._config.catalog.app_of_address(address)
        return app.category if app and app.category in BYPASS_CATEGORIES else None
