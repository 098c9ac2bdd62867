"""The keys of netwatch.yaml for what is kept and who is served: personal data, store, fleet and
console. They are part of `netwatch.config.keys`."""

from netwatch.core.file_keys import REQUIRED, Key, Section

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
            "facts: observations, flows and address claims. Times are days or years, `30d`, `2y`, "
            "or `forever`",
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
        Key(
            "sensors",
            "mapping",
            "any",
            "at a centre: what each sensor, by its name, may speak of",
        ),
    ),
)

_FLEET_SENSOR = Section(
    "fleet.sensors.*",
    "a sensor of the fleet",
    (
        Key(
            "networks",
            "list of texts",
            "all",
            "the networks that the sensor sees; what it says of others is kept as a contradiction,"
            " and raises no confidence",
        ),
        Key(
            "devices",
            "list of globs",
            "all",
            "the devices of an inventory that it sees, by id, like `lab-*`; the same for others."
            " A device that no inventory names is not limited",
        ),
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

SERVICE_KEYS = (
    _PRIVACY,
    _RETENTION,
    _STORE,
    _FLEET,
    _FLEET_SENSOR,
    _FLEET_SPOOL,
    _FLEET_SERVER,
    _DATA_PROTECTION,
    _CONSOLE,
    _CONSOLE_TLS,
    _CONSOLE_OIDC,
    _CONSOLE_PROXY,
)
"""The mappings, in the order of the reference."""
