"""The keys of netwatch.yaml, from which the reference of the configuration is generated.

A test compares this table with the keys that the readers in `netwatch.config` ask for. The keys of
outputs and of the spool are beside their readers, in `netwatch.delivery.configuration` and
`netwatch.sinks`.
"""

from netwatch.core.file_keys import REQUIRED, Key, Section
from netwatch.rules.ban_keys import BAN_KEYS, EXEMPTION_KEYS, PACK_ENTRY_KEYS, PERIOD_KEYS
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
    (Key("quiet_gap", "time", "`30m`", "time without a contact that ends an incident"),),
)

_SENSOR = Section(
    "sensor",
    "sensor",
    (Key("name", "text", "the host name", "the name of this sensor in alerts"),),
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

_PRIVACY = Section(
    "privacy",
    "privacy",
    (
        Key(
            "pseudonyms",
            "list of words",
            REQUIRED,
            "the classes whose devices are called by a pseudonym: `personal`, `guest`, `service`, "
            "`infrastructure`. A device that cannot be told from others has that of its network",
        ),
        Key(
            "key",
            "secret",
            REQUIRED,
            "the key of the pseudonyms, `{file: path}` or `{env: NAME}`, at least 32 bytes; "
            "`netwatch store key new FILE` makes one. Others must not be able to read the file",
        ),
        Key(
            "previous",
            "list of secrets",
            "none",
            "keys that it replaced, the newest first, as long as what they made has to be read",
        ),
    ),
)

_RETENTION = Section(
    "retention",
    "retention",
    (
        Key(
            "observations",
            "time",
            "for ever",
            "facts: observations, flows and address claims. Times are days or years, `30d`, `2y`",
        ),
        Key("incidents", "time", "for ever", "incidents and coverage"),
        Key("evidence", "time", "for ever", "evidence captures that netwatch wrote"),
        Key(
            "personal",
            "time",
            "that of `observations`",
            "facts of clients in networks of class `personal` and `guest`, where it is shorter",
        ),
    ),
)

_STORE = Section(
    "store",
    "store",
    (
        Key(
            "path",
            "path",
            REQUIRED,
            "a folder, which is created, or a URL that fsspec opens, like `s3://bucket/netwatch`",
        ),
        Key(
            "catalogue",
            "text",
            "an SQLite database in the folder",
            "the URL of a PostgreSQL database, like `postgresql://user@host/netwatch`; a store at "
            "a URL needs one",
        ),
    ),
)

_FLEET = Section(
    "fleet",
    "fleet",
    (
        Key(
            "centre",
            "URL",
            REQUIRED,
            "where sensors reach the server of the centre, like `tls://nats.example:4222`;"
            " `nats://`, without TLS, on loopback only",
        ),
        Key("sensor", "text", "none", "the name of this sensor, for which it was enrolled"),
        Key(
            "credentials",
            "path",
            "none",
            "the file that `netwatch fleet enrol NAME` made at the centre; a sensor needs it",
        ),
        Key("spool", "mapping", "see below", "where a sensor keeps facts until they are committed"),
        Key(
            "published",
            "path",
            "`/var/lib/netwatch/fleet/published`",
            "where a sensor keeps sets and configurations that the centre published; created for "
            "its owner only",
        ),
        Key("server", "mapping", "none", "the server of the centre; a centre needs it"),
    ),
)

_FLEET_SPOOL = Section(
    "fleet.spool",
    "fleet.spool",
    (
        Key("path", "path", "`/var/lib/netwatch/fleet/spool`", "the folder; created if absent"),
        Key(
            "max_bytes", "size", "`1G`", "above this size the oldest facts are evicted; `8M` least"
        ),
    ),
)

_FLEET_SERVER = Section(
    "fleet.server",
    "fleet.server",
    (
        Key("listen", "text", "`0.0.0.0`, port of `centre`", "address and port"),
        Key(
            "folder",
            "path",
            "`/var/lib/netwatch/fleet`",
            "keys, credentials of sensors, and what the server stores; for its owner only",
        ),
        Key(
            "certificate",
            "path",
            "one that the centre makes",
            "the certificate of the server with its chain, PEM",
        ),
        Key("key", "path", "one that the centre makes", "its private key, PEM"),
        Key("ca", "path", "that of the centre", "the authority that sensors verify it with, PEM"),
        Key("join", "URL", "none", "a server that runs already, instead of one of its own"),
        Key("credentials", "path", "none", "a credentials file of NATS for that server"),
        Key("max_bytes", "size", "`4G`", "what waits on the server at most; `64M` at least"),
        Key("max_age", "duration", "`7d`", "how long it waits there; sensors send it again"),
        Key(
            "silence",
            "duration",
            "`60s`",
            "time without a sign of life after which a sensor is silent; `15s` at least",
        ),
    ),
)

_DATA_PROTECTION = Section(
    "data_protection",
    "data_protection",
    (
        Key("controller", "text", "a blank to fill in", "who is responsible for the data"),
        Key("contact", "text", "a blank to fill in", "how the data protection officer is reached"),
        Key("supervisor", "text", "a blank to fill in", "the supervisory authority"),
    ),
)

_CONSOLE = Section(
    "console",
    "console",
    (
        Key(
            "listen",
            "text",
            "`127.0.0.1:8477`",
            "address and port. Another address than one of loopback needs `tls` and an account",
        ),
        Key("tls", "mapping", "none", "the certificate of the console"),
        Key(
            "url",
            "text",
            "the address it listens on",
            "the address that browsers know the console by, such as `https://netwatch.example`; "
            "behind a proxy it is needed",
        ),
        Key(
            "hosts",
            "list of texts",
            "`[]`",
            "host names under which the console may be asked, besides `localhost`, addresses, the "
            "host name of this machine and that of `url`",
        ),
        Key("idle", "time", "`30m`", "a session ends this long after its last request"),
        Key("absolute", "time", "`12h`", "a session ends this long after its begin"),
        Key("language", "word", "`en`", "`en`, `fr`, `nl` or `de`, for who has chosen none"),
        Key("timezone", "IANA name", "`UTC`", "the time zone of pages that are of no single ban"),
        Key("metrics", "text", "none", "the URL of the metrics endpoint of a sensor"),
        Key("oidc", "mapping", "none", "a provider of OpenID Connect that signs people in"),
        Key("proxy", "mapping", "none", "a reverse proxy that signs people in"),
    ),
)

_CONSOLE_TLS = Section(
    "console.tls",
    "tls",
    (
        Key("certificate", "path", REQUIRED, "the certificate with its chain, PEM"),
        Key("key", "path", REQUIRED, "its private key, PEM"),
    ),
)

_CONSOLE_OIDC = Section(
    "console.oidc",
    "oidc",
    (
        Key("issuer", "text", REQUIRED, "the address of the provider, as its tokens name it"),
        Key("client_id", "text", REQUIRED, "the name of the console at the provider"),
        Key("client_secret", "secret", "none", "`{file: path}` or `{env: NAME}`"),
        Key("roles", "mapping", REQUIRED, "values of the claim, and the role that each gives"),
        Key("role_claim", "text", "`groups`", "the claim that has one value, or a list of them"),
        Key("name_claim", "text", "`preferred_username`", "the claim that names the account"),
        Key("scope", "text", "`openid profile`", "the scopes that are asked for"),
        Key("ca_file", "path", "those of the system", "the certificates of authorities, PEM"),
    ),
)

_CONSOLE_PROXY = Section(
    "console.proxy",
    "proxy",
    (
        Key("addresses", "list of ranges", REQUIRED, "the proxy; the headers of others are void"),
        Key("roles", "mapping", REQUIRED, "groups of the proxy, and the role that each gives"),
        Key("user_header", "text", "`X-Remote-User`", "the header with the name of the account"),
        Key(
            "role_header",
            "text",
            "`X-Remote-Groups`",
            "the header with the groups, separated by commas",
        ),
    ),
)

CONFIGURATION_KEYS = (
    _TOP,
    _NETWORK,
    _DEVICES,
    _COLUMNS,
    _LEASES,
    PACK_ENTRY_KEYS,
    BAN_KEYS,
    PERIOD_KEYS,
    EXEMPTION_KEYS,
    _GEOIP,
    _INCIDENTS,
    _SENSOR,
    _METRICS,
    UPDATE_KEYS,
    _PRIVACY,
    _RETENTION,
    _STORE,
    _FLEET,
    _FLEET_SPOOL,
    _FLEET_SERVER,
    _DATA_PROTECTION,
    _CONSOLE,
    _CONSOLE_TLS,
    _CONSOLE_OIDC,
    _CONSOLE_PROXY,
)
"""The mappings of netwatch.yaml, with their keys, in the order of the reference. The keys of
`outputs` and `spool` are in `netwatch.delivery.configuration` and beside each type of output."""
