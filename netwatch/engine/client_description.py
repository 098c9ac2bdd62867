"""How a store describes clients: by their address and MAC, or sealed, under a pseudonym.

Alerts call a device by a pseudonym where its class says so: that of the inventory, else that of its
network (`netwatch.privacy.options.Privacy.device`). The same class decides here, but a client of
the store has no time. It is sealed where it may ever be a device of such a class: what is sealed in
vain can be read with the key, what is stored in clear cannot be taken back.
"""

import ipaddress
from functools import partial

from netwatch.config import Config
from netwatch.engine.hiding_apps import HidingApps
from netwatch.engine.writer_process import run_description
from netwatch.inventory.possible_classes import possible_classes
from netwatch.store import writer
from netwatch.store.catalogue_clients import ClientAddress
from netwatch.store.messages import ClientKey, Described


def description(config: Config) -> tuple[writer.Locate, writer.Seal | None, HidingApps]:
    """How clients are described by a configuration, and claims about them sealed; and which apps
    hide names."""
    privacy = config.privacy
    seal = privacy.sealing.seal_claim if privacy is not None else None
    return partial(_locate, config), seal, HidingApps(config)


def described(config: Config, command: str) -> Described:
    """The same as a message to the writer of a store, with what judges."""
    run = run_description(command, config)
    return Described(*description(config), run.versions, run.contents)


def _locate(config: Config, key: ClientKey) -> ClientAddress:
    """A client with the network that it is in; one that may have a pseudonym is sealed."""
    found = writer.located(key)
    network = config.networks.find(key.ip, key.vlan) if key.ip else None
    name, kind = (network.name, network.device_class) if network is not None else (None, None)
    privacy = config.privacy
    if privacy is None:
        return ClientAddress(found.ip, found.mac, name, kind)
    possible = possible_classes(config.devices, key.ip, key.mac, network)
    is_anybody = network is None and not possible.is_always_listed and _may_be_anybody(key.ip)
    if not is_anybody and not any(map(privacy.covers, possible.classes)):
        return ClientAddress(found.ip, found.mac, name, kind)
    sealed = privacy.sealing.seal_client(name or "", found.ip or "", found.mac)
    return ClientAddress(None, None, name, kind, sealed.pseudonym, sealed.sealed)


def _may_be_anybody(ip: bytes) -> bool:
    """Whether an address says of no network: devices of all classes have such ones until they get
    another (``0.0.0.0``, ``::``), or beside it (``fe80::/10``, ``169.254.0.0/16``)."""
    if not ip:
        return True
    address = ipaddress.ip_address(ip)
    return address.is_unspecified or address.is_link_local
