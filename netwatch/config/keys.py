"""The keys of netwatch.yaml, from which the reference of the configuration is generated.

Each is declared beside its section.
"""

from netwatch.config.ban_sections import ExemptionKeys
from netwatch.config.console_section import ConsoleOptions
from netwatch.config.data_protection import DataProtection
from netwatch.config.fleet_section import FleetOptions
from netwatch.config.privacy_section import PrivacyKeys
from netwatch.config.sections import DeviceKeys, GeoKeys, Incidents, SensorKeys
from netwatch.core.file_keys import REQUIRED, Section, row, sections
from netwatch.delivery.configuration import output_sections
from netwatch.delivery.output import OutboxOptions
from netwatch.inventory.lease_files import LeaseFile
from netwatch.inventory.networks import NetworkKeys
from netwatch.refresh.options import TYPES, source_sections
from netwatch.rules.ban_keys import BanKeys, PackEntryKeys
from netwatch.sinks.registry import SINKS
from netwatch.store.options import Retention, StoreOptions
from netwatch.updates.options import UpdateOptions
from netwatch.watch.endpoint_options import EndpointOptions

_TOP = Section(
    "",
    (
        row("version", "number", REQUIRED, "1, the version of this format"),
        row(
            "networks",
            "list of mappings",
            "private ranges, class `service`",
            "the networks whose clients are judged; with an empty list every client is outside",
        ),
        row("devices", "mapping", "none", "the inventory, and what devices are learned from"),
        row(
            "bans",
            "list of mappings",
            "the pack `default`",
            "the bans; with an empty list nothing is forbidden",
        ),
        row("exemptions", "list of mappings", "none", "registered exemptions from bans"),
        row(
            "signatures",
            "list of texts",
            "`[builtin]`",
            "the word `builtin`, signature files and folders of them; later ones override earlier",
        ),
        row("geoip", "mapping", "none", "databases that locate destinations"),
        row(
            "search_suffixes",
            "list of names",
            "none",
            "suffixes that resolvers append to names, such as `corp.example`; the longest one that "
            "fits is removed before matching",
        ),
        row(
            "sinkholes",
            "list of ranges",
            "none",
            "addresses and ranges, such as `10.20.0.80`, that a filter answers with: a lookup "
            "answered with one of them, or a connection to it, is `blocked`, as with `0.0.0.0` and "
            "`::` without being listed",
        ),
        row("incidents", "mapping", "see below", "how contacts become incidents"),
        row("sensor", "mapping", "see below", "how this sensor is called in alerts"),
        row("metrics", "mapping", "none", "the metrics and health endpoint of a live capture"),
        row("outputs", "list of mappings", "none", "the receivers of alerts"),
        row("spool", "mapping", "see below", "the outbox on disk, from which alerts are delivered"),
        row(
            "updates",
            "mapping",
            "none",
            "where signed sets of signatures and bans come from; `builtin` then stands for the "
            "installed set",
        ),
        row(
            "privacy", "mapping", "none", "whose devices have pseudonyms, in alerts and in a store"
        ),
        row("retention", "mapping", "for ever", "how long a store keeps what"),
        row("store", "mapping", "none", "where what was seen is kept"),
        row("fleet", "mapping", "none", "a sensor that reports to a centre, or the centre itself"),
        row("data_protection", "mapping", "none", "whom a person concerned by a record may ask"),
        row("console", "mapping", "see below", "the web console (`netwatch serve`)"),
    ),
)

CONFIGURATION_KEYS = (
    _TOP,
    *sections("networks[]", NetworkKeys),
    *sections("devices", DeviceKeys),
    *sections("devices.leases[]", LeaseFile),
    *(each for name in TYPES for each in source_sections(f"devices.sources[]:{name}", name)),
    *sections("bans[]", PackEntryKeys),
    *sections("bans[]", BanKeys),
    *sections("exemptions[]", ExemptionKeys),
    *sections("geoip", GeoKeys),
    *sections("incidents", Incidents),
    *sections("sensor", SensorKeys),
    *sections("metrics", EndpointOptions),
    *(each for name in SINKS for each in output_sections(f"outputs[]:{name}", name)),
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
