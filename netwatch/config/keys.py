"""The keys of netwatch.yaml, from which the reference of the configuration is generated.

Most are declared beside their section. A test compares the rows of others with the keys that their
readers ask for. The keys of outputs are beside their readers, in `netwatch.delivery.configuration`
and `netwatch.sinks`.
"""

from netwatch.config.ban_sections import ExemptionKeys
from netwatch.config.console_section import ConsoleOptions
from netwatch.config.data_protection import DataProtection
from netwatch.config.fleet_section import FleetOptions
from netwatch.config.privacy_section import PrivacyKeys
from netwatch.config.sections import GeoKeys, Incidents, SensorKeys
from netwatch.core.file_keys import REQUIRED, Section, row, sections
from netwatch.delivery.output import OutboxOptions
from netwatch.inventory.lease_files import LeaseFile
from netwatch.inventory.networks import NetworkKeys
from netwatch.refresh.options import CLASS_KEYS, SOURCE_KEYS
from netwatch.rules.ban_keys import (
    BAN_KEYS,
    PACK_ENTRY_KEYS,
    PERIOD_KEYS,
    TEXT_KEYS,
    TEXTS_KEYS,
)
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

_DEVICES = Section(
    "devices",
    (
        row(
            "inventory",
            "path",
            "none",
            "a CSV file of devices, or a folder of dated ones: `devices-2023-03-01.csv` is valid "
            "from that day until that of the next one",
        ),
        row(
            "timezone",
            "IANA name",
            "`UTC`",
            "time zone of the days in the inventory and in the names of dated files",
        ),
        row("columns", "mapping", "their own names", "what its columns are called"),
        row(
            "sources",
            "list of mappings",
            "none",
            "where `netwatch inventory refresh` reads devices, to write `inventory`; the first one "
            "takes precedence",
        ),
        row("keep", "time", "for ever", "a refresh leaves out rows that ended longer ago"),
        row("leases", "list of mappings", "none", "lease files of DHCP servers"),
        row(
            "learn",
            "list of words",
            "none",
            "protocols from which devices are learned: `dhcp` (DHCPv4 and DHCPv6), `mdns`, `arp` "
            "(ARP and IPv6 neighbor discovery)",
        ),
    ),
)

_COLUMNS = Section(
    "devices.columns",
    tuple(
        row(column, "text", f"`{column}`", meaning)
        for column, meaning in {
            "id": "the id of the device",
            "mac": "its MAC address",
            "ip": "its IP addresses",
            "hostname": "its host name",
            "owner": "its owner",
            "class": "its class",
            "from": "the first day on which the row is valid",
            "until": "the last day on which the row is valid",
        }.items()
    ),
)

CONFIGURATION_KEYS = (
    _TOP,
    *sections("networks[]", NetworkKeys),
    _DEVICES,
    _COLUMNS,
    *sections("devices.leases[]", LeaseFile),
    SOURCE_KEYS,
    CLASS_KEYS,
    PACK_ENTRY_KEYS,
    BAN_KEYS,
    PERIOD_KEYS,
    TEXTS_KEYS,
    TEXT_KEYS,
    *sections("exemptions[]", ExemptionKeys),
    *sections("geoip", GeoKeys),
    *sections("incidents", Incidents),
    *sections("sensor", SensorKeys),
    *sections("metrics", EndpointOptions),
    *sections("spool", OutboxOptions),
    *sections("updates", UpdateOptions),
    *sections("privacy", PrivacyKeys),
    *sections("retention", Retention),
    *sections("store", StoreOptions),
    *sections("fleet", FleetOptions),
    *sections("data_protection", DataProtection),
    *sections("console", ConsoleOptions),
)
"""The mappings of netwatch.yaml, with their keys, in the order of the reference. The keys of
`outputs` are in `netwatch.delivery.configuration` and beside each type of output."""
