"""Networks, devices and apps by address, as the counts of flows need them."""

from functools import lru_cache

from netwatch.config import Config
from netwatch.core.flow import BYPASS_CATEGORIES, NAME_STATUSES, FlowClient
from netwatch.coverage.counts import Location
from netwatch.dissect.flows.accounting import FlowOptions
from netwatch.dissect.flows.address_tables import AddressCategories, AddressFilter, AddressRanges
from netwatch.inventory.devices import Devices
from netwatch.inventory.learned import LearnedBindings
from netwatch.inventory.networks import Networks
from netwatch.rules.catalog import Catalog


class ConfiguredDirectory:
    """A `netwatch.coverage.counts.Directory` from the configuration and, where devices
    are learned, from the traffic."""

    def __init__(self, config: Config, learned: LearnedBindings | None) -> None:
        self._config = config
        self._learned = learned

    def locate(self, client: FlowClient, time: int | None) -> Location:
        """The network and device of a client at a time, in ns since the epoch; None where they are
        permanent."""
        network = self._config.networks.find(client.ip, client.vlan)
        if network is None:
            return None, ""
        binding = None
        if time is not None and self._learned is not None:
            binding = self._learned.past_binding(client.ip, client.mac, client.vlan, time)
        if time is not None and binding is None:
            binding = self._config.devices.leases.binding_at(client.ip, client.mac, time)
        devices, privacy = self._config.devices, self._config.privacy
        # Where the device is permanent, any time gives it.
        at = time or 0
        if privacy is None:
            return network, devices.id_of(client.ip, client.mac, network, at, binding)
        found = devices.identify(client.ip, client.mac, network, at, binding)
        return network, privacy.device(found.device, network).id

    def missed(self, client: FlowClient) -> str:
        """Which range or VLAN would match a client outside of all networks with another tag."""
        return self._config.networks.missed(client.ip, client.vlan)

    def is_permanent(self, client: FlowClient) -> bool:
        """Whether nothing was learned of the address, no lease has it, and no row of the inventory
        that is valid in a period only, so that its device does not change."""
        if not self._config.devices.is_permanent(client.ip, client.mac):
            return False
        return self._learned is None or not self._learned.has_bindings(client.ip, client.vlan)


def flow_options(config: Config, *, report_all: bool, counting: bool = True) -> FlowOptions:
    """What counting flows takes from a configuration (see `FlowOptions`)."""
    tables = _tables(config.networks, config.catalog, config.devices)
    return FlowOptions(*tables, report_all=report_all, counting=counting)


@lru_cache(maxsize=2)
def _tables(
    networks: Networks, catalog: Catalog, devices: Devices
) -> tuple[AddressRanges, AddressCategories, AddressFilter]:
    """The tables of `FlowOptions`. Nothing changes them, so the captures of a run share them."""
    spans = (span for scope in networks.scopes for span in scope.ranges)
    ranges = ((each.network_address.packed, each.broadcast_address.packed) for each in spans)
    vlans = {vlan for scope in networks.scopes if not scope.ranges for vlan in scope.vlans}
    categories = {
        address: NAME_STATUSES.index(category)
        for address, app in catalog.apps_by_address().items()
        for category in BYPASS_CATEGORIES
        if category == app.category
    }
    changing = AddressFilter(0)
    for address in devices.leases.addresses():
        changing.add(address)
    if devices.entries.has_periods:
        # Rows may name a MAC alone, which can have any address.
        changing.add_all()
    return AddressRanges(ranges, vlans), AddressCategories(categories), changing
