"""The keys of netwatch.yaml, from which the reference of the configuration is generated.

A test compares this table with the keys that the readers in `netwatch.config` ask for. The keys of
outputs and of the spool are beside their readers, in `netwatch.delivery.configuration` and
`netwatch.sinks`.
"""

from netwatch.config.service_keys import SERVICE_KEYS
from netwatch.core.file_keys import REQUIRED, Key, Section
from netwatch.refresh.options import CLASS_KEYS, SOURCE_KEYS
from netwatch.rules.ban_keys import (
    BAN_KEYS,
    EXEMPTION_KEYS,
    PACK_ENTRY_KEYS,
    PERIOD_KEYS,
    TEXT_KEYS,
    TEXTS_KEYS,
)
from netwatch.updates.options import UPDATE_KEYS

_TOP = Section(
    "",
    "the configuration",
    (
        Key("version", "number", REQUIRED, "1, the version of this format"),
        Key(
            "networks",
            "list of mappings",
            "private ranges, class `service`",
            "the networks whose clients are judged; with an empty list every client is outside",
        ),
        Key("devices", "mapping", "none", "the inventory, and what devices are learned from"),
        Key(
            "bans",
            "list of mappings",
            "the pack `default`",
            "the bans; with an empty list nothing is forbidden",
        ),
        Key("exemptions", "list of mappings", "none", "registered exemptions from bans"),
        Key(
            "signatures",
            "list of texts",
            "`[builtin]`",
            "the word `builtin`, signature files and folders of them; later ones override earlier",
        ),
        Key("geoip", "mapping", "none", "databases that locate destinations"),
        Key(
            "search_suffixes",
            "list of names",
            "none",
            "suffixes that resolvers append to names, such as `corp.example`; the longest one that "
            "fits is removed before matching",
        ),
        Key(
            "sinkholes",
            "list of ranges",
            "none",
            "addresses and ranges, such as `10.20.0.80`, that a filter answers with: a lookup "
            "answered with one of them, or a connection to it, is `blocked`, as with `0.0.0.0` and "
            "`::` without being listed",
        ),
        Key("incidents", "mapping", "see below", "how contacts become incidents"),
        Key("sensor", "mapping", "see below", "how this sensor is called in alerts"),
        Key("metrics", "mapping", "none", "the metrics and health endpoint of a live capture"),
        Key("outputs", "list of mappings", "none", "the receivers of alerts"),
        Key("spool", "mapping", "see below", "the outbox on disk, from which alerts are delivered"),
        Key(
            "updates",
            "mapping",
            "none",
            "where signed sets of signatures and bans come from; `builtin` then stands for the "
            "installed set",
        ),
        Key(
            "privacy", "mapping", "none", "whose devices have pseudonyms, in alerts and in a store"
        ),
        Key("retention", "mapping", "for ever", "how long a store keeps what"),
        Key("store", "mapping", "none", "where what was seen is kept"),
        Key("fleet", "mapping", "none", "a sensor that reports to a centre, or the centre itself"),
        Key("data_protection", "mapping", "none", "whom a person concerned by a record may ask"),
        Key("console", "mapping", "see below", "the web console (`netwatch serve`)"),
    ),
)

_NETWORK = Section(
    "networks[]",
    "a network",
    (
        Key("name", "text", REQUIRED, "a unique name, used by bans and shown in alerts"),
        Key("class", "word", REQUIRED, "`service`, `personal`, `guest` or `infrastructure`"),
        Key("cidrs", "list of ranges", "any address", "such as `10.20.0.0/16`, `2001:db8::/32`"),
        Key("vlans", "list of numbers and spans", "any VLAN", "1 to 4094, or a span like `30-39`"),
        Key("authority", "text", "empty", "who is responsible for the network, shown in alerts"),
        Key(
            "expected",
            "text",
            "working days",
            "when the network is used: `always`, `never`, or days and times like "
            "`Mon-Fri 07:00-19:00`, several with commas. Silence then is a gap in a report",
        ),
    ),
)

_DEVICES = Section(
    "devices",
    "devices",
    (
        Key(
            "inventory",
            "path",
            "none",
            "a CSV file of devices, or a folder of dated ones: `devices-2023-03-01.csv` is valid "
            "from that day until that of the next one",
        ),
        Key(
            "timezone",
            "IANA name",
            "`UTC`",
            "time zone of the days in the inventory and in the names of dated files",
        ),
        Key("columns", "mapping", "their own names", "what its columns are called"),
        Key(
            "sources",
            "list of mappings",
            "none",
            "where `netwatch inventory refresh` reads devices, to write `inventory`; the first one "
            "takes precedence",
        ),
        Key("keep", "time", "for ever", "a refresh leaves out rows that ended longer ago"),
        Key("leases", "list of mappings", "none", "lease files of DHCP servers"),
        Key(
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
    "columns",
    tuple(
        Key(column, "text", f"`{column}`", f"the header of the column with {meaning}")
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

_LEASES = Section(
    "devices.leases[]",
    "a lease file",
    (
        Key("path", "path", REQUIRED, "the file; it is read when the configuration is"),
        Key(
            "format",
            "word",
            "recognised",
            "`dhcpd` (ISC, DHCPv4 and DHCPv6), `kea` (memfile, both) or `dnsmasq`",
        ),
        Key(
            "lease_time",
            "time",
            "`1h`",
            "for how long dnsmasq grants a lease: its file has the end of a lease alone",
        ),
    ),
)

_GEOIP = Section(
    "geoip",
    "geoip",
    (
        Key("asn", "path", "none", "a MaxMind-format database of type ASN or ISP"),
        Key("country", "path", "none", "one of type Country, City or Enterprise"),
    ),
)

_INCIDENTS = Section(
    "incidents",
    "incidents",
    (
        Key("quiet_gap", "time", "`30m`", "time without a contact that ends an incident"),
        Key(
            "unknown_clients",
            "number",
            "`10000`",
            "clients in a network and hour that the inventory does not have, and of which no"
            " handshake proves that they are there; if more of them ask, they have one incident"
            " together for each app and ban, see"
            " [unknown clients](../concepts/incidents.md#a-flood-of-unknown-clients)",
        ),
        Key(
            "unheard",
            "time",
            "`1h`",
            "time without a sign of life of its sensor after which an open incident is closed in a"
            " store, with the mark `unheard`",
        ),
    ),
)

_SENSOR = Section(
    "sensor",
    "sensor",
    (
        Key(
            "name",
            "text",
            "the host name",
            "the name of this sensor in alerts; ids of incidents contain it if it is written",
        ),
    ),
)

_METRICS = Section(
    "metrics",
    "metrics",
    (
        Key(
            "listen",
            "text",
            REQUIRED,
            "address and port of the endpoint, such as `127.0.0.1:9477` or `[::1]:9477`. Without "
            "an address it is 127.0.0.1; port 0 is any free port",
        ),
        Key(
            "hosts",
            "list of texts",
            "`[]`",
            "host names under which the endpoint may be asked, besides `localhost`, addresses and "
            "the host name of this machine",
        ),
        Key("silence", "time", "`60s`", "unhealthy after this time without a packet"),
        Key("dropping", "time", "`60s`", "unhealthy for this time after a drop by the kernel"),
        Key("stuck", "time", "`5m`", "unhealthy once an alert waits longer for its output"),
    ),
)

CONFIGURATION_KEYS = (
    _TOP,
    _NETWORK,
    _DEVICES,
    _COLUMNS,
    _LEASES,
    SOURCE_KEYS,
    CLASS_KEYS,
    PACK_ENTRY_KEYS,
    BAN_KEYS,
    PERIOD_KEYS,
    TEXTS_KEYS,
    TEXT_KEYS,
    EXEMPTION_KEYS,
    _GEOIP,
    _INCIDENTS,
    _SENSOR,
    _METRICS,
    UPDATE_KEYS,
    *SERVICE_KEYS,
)
"""The mappings of netwatch.yaml, with their keys, in the order of the reference. The keys of
`outputs` and `spool` are in `netwatch.delivery.configuration` and beside each type of output."""
