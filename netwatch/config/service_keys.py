"""The keys of netwatch.yaml for what is kept and who is served: personal data, store, fleet and
console. They are part of `netwatch.config.keys`."""

from netwatch.core.file_keys import REQUIRED, Section, row

_PRIVACY = Section(
    "privacy",
    (
        row(
            "pseudonyms",
            "list of words",
            REQUIRED,
            "the classes whose devices are called by a pseudonym: `personal`, `guest`, `service`, "
            "`infrastructure`. A device that cannot be told from others has that of its network",
        ),
        row(
            "key",
            "secret",
            REQUIRED,
            "the key of the pseudonyms, `{file: path}` or `{env: NAME}`, at least 32 bytes; "
            "`netwatch store key new FILE` makes one. Others must not be able to read the file",
        ),
        row(
            "previous",
            "list of secrets",
            "none",
            "keys that it replaced, the newest first, as long as what they made has to be read",
        ),
    ),
)

_RETENTION = Section(
    "retention",
    (
        row(
            "observations",
            "time",
            "for ever",
            "facts: observations, flows and address claims. Times are days or years, `30d`, `2y`, "
            "or `forever`",
        ),
        row("incidents", "time", "for ever", "incidents and coverage"),
        row("evidence", "time", "for ever", "evidence captures that netwatch wrote"),
        row(
            "personal",
            "time",
            "that of `observations`",
            "facts of clients in networks of class `personal` and `guest`, where it is shorter",
        ),
    ),
)

_STORE = Section(
    "store",
    (
        row(
            "path",
            "path",
            REQUIRED,
            "a folder, which is created, or a URL that fsspec opens, like `s3://bucket/netwatch`",
        ),
        row(
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
    (
        row(
            "centre",
            "URL",
            REQUIRED,
            "where sensors reach the server of the centre, like `tls://nats.example:4222`;"
            " `nats://`, without TLS, on loopback only",
        ),
        row("sensor", "text", "none", "the name of this sensor, for which it was enrolled"),
        row(
            "credentials",
            "path",
            "none",
            "the file that `netwatch fleet enrol NAME` made at the centre; a sensor needs it",
        ),
        row("spool", "mapping", "see below", "where a sensor keeps facts until they are committed"),
        row(
            "published",
            "path",
            "`/var/lib/netwatch/fleet/published`",
            "where a sensor keeps sets and configurations that the centre published; created for "
            "its owner only",
        ),
        row("server", "mapping", "none", "the server of the centre; a centre needs it"),
        row(
            "sensors",
            "mapping",
            "any",
            "at a centre: what each sensor, by its name, may speak of",
        ),
    ),
)

_FLEET_SENSOR = Section(
    "fleet.sensors.*",
    (
        row(
            "networks",
            "list of texts",
            "all",
            "the networks that the sensor sees; what it says of others is kept as a contradiction,"
            " and raises no confidence",
        ),
    ),
)

_FLEET_SPOOL = Section(
    "fleet.spool",
    (
        row("path", "path", "`/var/lib/netwatch/fleet/spool`", "the folder; created if absent"),
        row(
            "max_bytes", "size", "`1G`", "above this size the oldest facts are evicted; `8M` least"
        ),
    ),
)

_FLEET_SERVER = Section(
    "fleet.server",
    (
        row("listen", "text", "`0.0.0.0`, port of `centre`", "address and port"),
        row(
            "folder",
            "path",
            "`/var/lib/netwatch/fleet`",
            "keys, credentials of sensors, and what the server stores; for its owner only",
        ),
        row(
            "certificate",
            "path",
            "one that the centre makes",
            "the certificate of the server with its chain, PEM",
        ),
        row("key", "path", "one that the centre makes", "its private key, PEM"),
        row("ca", "path", "that of the centre", "the authority that sensors verify it with, PEM"),
        row("join", "URL", "none", "a server that runs already, instead of one of its own"),
        row("credentials", "path", "none", "a credentials file of NATS for that server"),
        row("max_bytes", "size", "`4G`", "what waits on the server at most; `64M` at least"),
        row("max_age", "duration", "`7d`", "how long it waits there; sensors send it again"),
        row(
            "silence",
            "duration",
            "`60s`",
            "time without a sign of life after which a sensor is silent; `15s` at least",
        ),
    ),
)

_DATA_PROTECTION = Section(
    "data_protection",
    (
        row("controller", "text", "a blank to fill in", "who is responsible for the data"),
        row("contact", "text", "a blank to fill in", "how the data protection officer is reached"),
        row("supervisor", "text", "a blank to fill in", "the supervisory authority"),
    ),
)

_CONSOLE = Section(
    "console",
    (
        row(
            "listen",
            "text",
            "`127.0.0.1:8477`",
            "address and port. Another address than one of loopback needs `tls` and an account",
        ),
        row("tls", "mapping", "none", "the certificate of the console"),
        row(
            "url",
            "text",
            "the address it listens on",
            "the address that browsers know the console by, such as `https://netwatch.example`; "
            "behind a proxy it is needed",
        ),
        row(
            "hosts",
            "list of texts",
            "`[]`",
            "host names under which the console may be asked, besides `localhost`, addresses, the "
            "host name of this machine and that of `url`",
        ),
        row("idle", "time", "`30m`", "a session ends this long after its last request"),
        row("absolute", "time", "`12h`", "a session ends this long after its begin"),
        row("language", "word", "`en`", "`en`, `fr`, `nl` or `de`, for who has chosen none"),
        row("timezone", "IANA name", "`UTC`", "the time zone of pages that are of no single ban"),
        row("metrics", "text", "none", "the URL of the metrics endpoint of a sensor"),
        row("oidc", "mapping", "none", "a provider of OpenID Connect that signs people in"),
        row("proxy", "mapping", "none", "a reverse proxy that signs people in"),
    ),
)

_CONSOLE_TLS = Section(
    "console.tls",
    (
        row("certificate", "path", REQUIRED, "the certificate with its chain, PEM"),
        row("key", "path", REQUIRED, "its private key, PEM"),
    ),
)

_CONSOLE_OIDC = Section(
    "console.oidc",
    (
        row("issuer", "text", REQUIRED, "the address of the provider, as its tokens name it"),
        row("client_id", "text", REQUIRED, "the name of the console at the provider"),
        row("client_secret", "secret", "none", "`{file: path}` or `{env: NAME}`"),
        row("roles", "mapping", REQUIRED, "values of the claim, and the role that each gives"),
        row("role_claim", "text", "`groups`", "the claim that has one value, or a list of them"),
        row("name_claim", "text", "`preferred_username`", "the claim that names the account"),
        row("scope", "text", "`openid profile`", "the scopes that are asked for"),
        row("ca_file", "path", "those of the system", "the certificates of authorities, PEM"),
    ),
)

_CONSOLE_PROXY = Section(
    "console.proxy",
    (
        row("addresses", "list of ranges", REQUIRED, "the proxy; the headers of others are void"),
        row("roles", "mapping", REQUIRED, "groups of the proxy, and the role that each gives"),
        row("user_header", "text", "`X-Remote-User`", "the header with the name of the account"),
        row(
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
