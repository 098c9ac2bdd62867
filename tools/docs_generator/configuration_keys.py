"""The keys of netwatch.yaml, from which the reference of the configuration is generated.

Each is declared beside its section.
"""

from netwatch.config.console_section import ConsoleOptions
from netwatch.config.data_sections import DataProtection, PrivacyKeys
from netwatch.config.fleet_section import FleetOptions
from netwatch.config.policy_sections import DeviceKeys, ExemptionKeys
from netwatch.config.sections import GeoKeys, Incidents, SensorKeys, TopKeys
from netwatch.core.file_keys import sections
from netwatch.delivery.configuration import output_sections
from netwatch.delivery.output import OutboxOptions
from netwatch.flow_export.known_exporters import KnownExporter
from netwatch.inventory.lease_files import LeaseFile
from netwatch.inventory.networks import NetworkKeys
from netwatch.refresh.options import TYPES, source_sections
from netwatch.rules.keys import BanKeys, PackEntryKeys
from netwatch.sinks.registry import SINKS
from netwatch.store.options import Retention, StoreOptions
from netwatch.updates.options import UpdateOptions
from netwatch.watch.endpoint_options import EndpointOptions

CONFIGURATION_KEYS = (
    *sections("", TopKeys),
    *sections("networks[]", NetworkKeys),
    *sections("devices", DeviceKeys),
    *sections("devices.leases[]", LeaseFile),
    *(section for name in TYPES for section in source_sections(f"devices.sources[]:{name}", name)),
    *sections("bans[]", PackEntryKeys),
    *sections("bans[]", BanKeys),
    *sections("exemptions[]", ExemptionKeys),
    *sections("geoip", GeoKeys),
    *sections("exporters[]", KnownExporter),
    *sections("incidents", Incidents),
    *sections("sensor", SensorKeys),
    *sections("metrics", EndpointOptions),
    *(section for name in SINKS for section in output_sections(f"outputs[]:{name}", name)),
    *sections("spool", OutboxOptions),
    *sections("updates", UpdateOptions),
    *sections("privacy", PrivacyKeys),
    *sections("retention", Retention),
    *sections("store", StoreOptions),
    *sections("fleet", FleetOptions),
    *sections("data_protection", DataProtection),
    *sections("console", ConsoleOptions),
)
"""The mappings of netwatch.yaml, with their keys, in the order of the reference. Behind a colon in
the path is the type of an entry, which says what keys it has."""
