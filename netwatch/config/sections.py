"""The sections of netwatch.yaml, one function each, besides those with a module of their own.

A function notes mistakes in the problems of `fields`, and returns a value that is complete even
then. `base` is the folder of the configuration, to which paths are relative; `notes` collects
sentences on what a user may not expect.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwatch.core.errors import ConfigError
from netwatch.core.file_keys import Key, Kind, key, read_key, read_section
from netwatch.core.names import normalise_name
from netwatch.core.system.files import host_name
from netwatch.core.user_yaml import Fields, describe
from netwatch.core.value_kinds import NANOSECONDS, PATH, TEXT, number, texts
from netwatch.core.verdict import CLIENT_LIMIT
from netwatch.delivery.output import OutboxOptions, Output
from netwatch.inventory.geo import Geo
from netwatch.inventory.networks import (
    Range,
    Scope,
    Sinkholes,
    built_in,
    check,
    read_cidr,
    read_scope,
)
from netwatch.language.sentences import sentence
from netwatch.rules.catalog import Catalog
from netwatch.rules.load import BUILTIN, read_signatures

# Imported on use, because few configurations need it.
if TYPE_CHECKING:
    from netwatch.config.console_section import ConsoleOptions
    from netwatch.config.data_sections import DataProtection
    from netwatch.config.fleet_section import FleetOptions
    from netwatch.flow_export.known_exporters import Exporters
    from netwatch.privacy import Privacy
    from netwatch.store.options import Retention, StoreOptions
    from netwatch.watch.endpoint_options import EndpointOptions

_SUFFIX = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def _read_suffix(entry: Fields, declared: Key, line: int, text: str) -> str | None:
    suffix = normalise_name(text.removeprefix(".").encode())
    if _SUFFIX.fullmatch(suffix):
        return suffix
    expected = f"expected a domain name like corp.example, found {describe(text)}"
    entry.problems.add(entry.file, line, f"'{declared.name}': {expected}")
    return None


def read_by_section(entry: Fields, declared: Key, _: Path) -> Any:
    """A value as written, which the function of its section reads."""
    return entry.value(declared.name)


# These are read by the function of the section, which is imported if there is one.
LIST = Kind("list of mappings", {"type": "array", "items": {"type": "object"}}, read_by_section)
_MAPPING = Kind("mapping", {"type": "object"}, read_by_section)


@dataclass(slots=True, eq=False, repr=False)
class TopKeys:
    """The keys at the top level."""

    version: int = key(
        number(1, 1, "1"),
        "1, the version of this format",
        required="1, the version of this format",
    )
    networks: Any = key(
        LIST,
        "the networks whose clients are judged; with an empty list every client is outside",
        shown="private ranges, class `service`",
    )
    devices: Any = key(_MAPPING, "the inventory, and what devices are learned from")
    bans: Any = key(
        LIST, "the bans; with an empty list nothing is forbidden", shown="the pack `default`"
    )
    exemptions: Any = key(LIST, "registered exemptions from bans")
    signatures: tuple[str, ...] = key(
        texts(),
        "the word `builtin`, signature files and folders of them; later ones override earlier",
        shown="`[builtin]`",
    )
    geoip: Any = key(_MAPPING, "databases that locate destinations")
    search_suffixes: tuple[str, ...] = key(
        texts("list of names", _read_suffix),
        "suffixes that resolvers append to names, such as `corp.example`; the longest one that fits"
        " is removed before matching",
    )
    sinkholes: tuple[Range, ...] = key(
        texts("list of ranges", read_cidr),
        "addresses and ranges, such as `10.20.0.80`, that a filter answers with: a lookup answered "
        "with one of them, or a connection to it, is `blocked`, as with `0.0.0.0` and `::` without "
        "being listed",
    )
    exporters: Any = key(
        LIST,
        "the routers, switches and agents whose flow records and sampled packets `live` takes;"
        " what others send is refused and counted",
        shown="anyone",
    )
    incidents: Any = key(_MAPPING, "how contacts become incidents", shown="see below")
    sensor: Any = key(_MAPPING, "how this sensor is called in alerts", shown="see below")
    metrics: Any = key(_MAPPING, "the metrics and health endpoint of a live capture")
    outputs: Any = key(LIST, "the receivers of alerts")
    spool: Any = key(
        _MAPPING, "the outbox on disk, from which alerts are delivered", shown="see below"
    )
    updates: Any = key(
        _MAPPING,
        "where signed sets of signatures and bans come from; `builtin` then means the installed"
        " set",
    )
    privacy: Any = key(_MAPPING, "whose devices have pseudonyms, in alerts and in a store")
    retention: Any = key(_MAPPING, "how long a store keeps what", shown="for ever")
    store: Any = key(_MAPPING, "where what was seen is kept")
    fleet: Any = key(_MAPPING, "a sensor that reports to a centre, or the centre itself")
    data_protection: Any = key(_MAPPING, "whom a person concerned by a record may ask")
    console: Any = key(_MAPPING, "the web console (`netwatch serve`)", shown="see below")


def search_suffixes_section(fields: Fields, base: Path) -> tuple[str, ...]:
    """The search suffixes, normalised, the longest first."""
    found = set(read_key(TopKeys, "search_suffixes", fields, base))
    return tuple(sorted(found, key=lambda suffix: (-len(suffix), suffix)))


def sinkholes_section(fields: Fields, base: Path) -> Sinkholes:
    """The addresses that filters answer with."""
    return Sinkholes(read_key(TopKeys, "sinkholes", fields, base))


def networks_section(fields: Fields, notes: list[str]) -> list[Scope]:
    """The networks; the built-in one if the key is absent."""
    scopes = fields.build_each("networks", read_scope, "a network")
    if not fields.has("networks"):
        notes.append(sentence("note-no-networks"))
        return built_in()
    check(scopes, fields.problems)
    if not scopes:
        notes.append(sentence("note-empty-networks"))
    return scopes


def signatures_section(fields: Fields, base: Path, notes: list[str]) -> Catalog:
    """The catalogue of the signatures; not `complete` if one has a mistake. Undecided names in an
    installed set are noted."""
    sources = [*read_key(TopKeys, "signatures", fields, base)]
    if not sources and fields.is_set("signatures"):
        fields.add_problem(
            "signatures", f"'signatures': expected {BUILTIN} or a path, found an empty list"
        )
    catalog = read_signatures(sources or [BUILTIN], base, fields.problems)
    if catalog.undecided:
        first = catalog.undecided[0]
        count, place = str(len(catalog.undecided)), f"{first.file}:{first.line}"
        notes.append(sentence("note-undecided", count=count, place=place))
    return catalog


@dataclass(slots=True, eq=False, repr=False)
class GeoKeys:
    """The keys of ``geoip``."""

    asn: Path | None = key(PATH, "a MaxMind-format database of type ASN or ISP")
    country: Path | None = key(PATH, "one of type Country, City or Enterprise")


def geoip_section(fields: Fields, base: Path) -> Geo:
    """The databases, opened to check that they can be read."""
    section = fields.nested("geoip", "geoip")
    if section is None:
        return Geo()
    keys = read_section(GeoKeys, section, base)
    geo = Geo(keys.asn, keys.country)
    try:
        geo.check()
    except ConfigError as error:
        fields.problems.found.extend(error.problems)
    return geo


MOST_CLIENTS = 1_000_000
"""Unknown clients that may have incidents of their own, per network and hour."""


@dataclass(slots=True, eq=False, repr=False)
class Incidents:
    """``incidents``: the quiet gap, the time of silence of a sensor after which an incident is
    closed, in ns; and how many unknown clients have incidents of their own."""

    quiet_gap: int = key(NANOSECONDS, "time without a contact that ends an incident", "30m")
    unknown_clients: int = key(
        number(1, MOST_CLIENTS, f"a number from 1 to {MOST_CLIENTS:,}"),
        "clients in a network and hour that are not in the inventory, and that no handshake proves"
        " to be there; if more of them ask, they have one incident"
        " together for each app and ban, see"
        " [unknown clients](../concepts/incidents.md#a-flood-of-unknown-clients)",
        CLIENT_LIMIT,
    )
    unheard: int = key(
        NANOSECONDS,
        "time without a sign of life of its sensor after which an open incident is closed in a"
        " store, with the mark `unheard`",
        "1h",
    )


def incidents_section(fields: Fields) -> Incidents:
    """How contacts become incidents."""
    section = fields.nested("incidents", "incidents")
    return Incidents() if section is None else read_section(Incidents, section, Path())


def metrics_section(fields: Fields) -> "EndpointOptions | None":
    """Where the endpoint of a live capture listens, and its thresholds; None without one."""
    section = fields.nested("metrics", "metrics")
    if section is None:
        return None
    from netwatch.watch.endpoint_options import EndpointOptions

    found = read_section(EndpointOptions, section, Path())
    return found if found.listen[0] else None


@dataclass(slots=True, eq=False, repr=False)
class SensorKeys:
    """The keys of ``sensor``."""

    name: str = key(
        TEXT,
        "the name of this sensor in alerts; ids of incidents contain it if it is written",
        shown="the host name",
    )


def sensor_section(fields: Fields, in_fleet: str = "") -> tuple[str, bool]:
    """The name of this sensor: its name in its fleet (`in_fleet`), or otherwise the host name if
    none is configured; and whether one is."""
    section = fields.nested("sensor", "sensor")
    name = read_section(SensorKeys, section, Path()).name if section else ""
    if section and name and in_fleet and name != in_fleet:
        section.add_problem("name", f"'name': expected '{in_fleet}', as 'fleet' calls this sensor")
    written = name or in_fleet
    return written or host_name(), bool(written)


# Sections that most configurations lack. Their readers are imported on use.


def read_delivery(
    fields: Fields, base: Path, *, with_secrets: bool = False
) -> tuple[tuple[Output, ...], OutboxOptions]:
    """The outputs and the outbox."""
    part = fields.nested("spool", "spool")
    spool = OutboxOptions() if part is None else read_section(OutboxOptions, part, base)
    if fields.value("outputs") is None:
        return (), spool
    from netwatch.delivery.configuration import read_outputs

    return read_outputs(fields, base, with_secrets=with_secrets), spool


def read_privacy(
    fields: Fields, above: Fields, base: Path
) -> "tuple[Privacy | None, Retention | None]":
    """Who has pseudonyms, and the retention of a store, which is read from `above`."""
    if [fields.value("privacy"), above.value("retention")] == [None, None]:
        return None, None
    from netwatch.config.data_sections import privacy_section, retention_section

    return privacy_section(fields, base), retention_section(above)


def read_store(fields: Fields, base: Path) -> "StoreOptions | None":
    """The store."""
    if fields.value("store") is None:
        return None
    from netwatch.config.data_sections import store_section

    return store_section(fields, base)


def read_exporters(fields: Fields) -> "Exporters | None":
    """Whose flow records are taken; None for those of all."""
    if fields.value("exporters") is None:
        return None
    from netwatch.flow_export.known_exporters import exporters_section

    return exporters_section(fields)


def read_data_protection(fields: Fields) -> "DataProtection | None":
    """Whom a person concerned may ask."""
    if fields.value("data_protection") is None:
        return None
    from netwatch.config.data_sections import data_protection_section

    return data_protection_section(fields)


def read_console(
    fields: Fields, base: Path, *, with_secrets: bool = False
) -> "ConsoleOptions | None":
    """Where the console listens, and who may sign in. If `with_secrets`, its files must exist."""
    if fields.value("console") is None:
        return None
    from netwatch.config.console_section import console_section

    return console_section(fields, base, with_secrets=with_secrets)


def read_fleet(fields: Fields, base: Path) -> "FleetOptions | None":
    """The fleet that this machine belongs to."""
    if fields.value("fleet") is None:
        return None
    from netwatch.config.fleet_section import fleet_section

    return fleet_section(fields, base)
