"""The configuration: netwatch.yaml and the files that it names, checked as a whole.

All files are read before any mistake is reported, so that a user sees all mistakes at once, each
with its file and line. The result is frozen and ready for use: networks, devices, signatures,
policy, databases and outputs. Relative paths in a file count from the folder of that file.

`netwatch.config.sections` and `netwatch.config.ban_sections` read the sections of the file,
`netwatch.config.keys` describes their keys.
"""

import contextvars
import functools
import gc
import hashlib
import json
from collections.abc import Callable
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from netwatch import __version__
from netwatch.config.ban_sections import read_bans, read_exemptions
from netwatch.config.replacements import NOTHING_REPLACED, Replacements
from netwatch.config.sections import (
    devices_section,
    geoip_section,
    incidents_section,
    metrics_section,
    networks_section,
    search_suffixes_section,
    sensor_section,
    signatures_section,
    sinkholes_section,
)
from netwatch.config.updates_section import Updates, read_updates
from netwatch.core.alert import Sensor
from netwatch.core.dataclass import dataclass
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.user_yaml import Fields, Problems, YamlMapping
from netwatch.delivery.output import DEFAULT_FOLDER, OutboxOptions, Output
from netwatch.inventory.devices import Devices
from netwatch.inventory.geo import Geo
from netwatch.inventory.networks import Networks
from netwatch.inventory.sinkholes import Sinkholes
from netwatch.rules.bans import bans_version
from netwatch.rules.catalog import Catalog
from netwatch.rules.documents import read_document
from netwatch.rules.load import BUILTIN
from netwatch.rules.policy import Policy

if TYPE_CHECKING:
    from netwatch.config.console_section import ConsoleOptions
    from netwatch.config.data_protection import DataProtection
    from netwatch.config.fleet_section import FleetOptions
    from netwatch.privacy.options import Privacy
    from netwatch.store.options import Retention, StoreOptions
    from netwatch.updates.store import Installed
    from netwatch.watch.endpoint_options import EndpointOptions

P = ParamSpec("P")
T = TypeVar("T")

SEARCH_PATHS = ("netwatch.yaml", "/etc/netwatch/netwatch.yaml")
"""Where a configuration is searched for when none is named."""


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without mistakes.

    `path` is None for the built-in defaults. `learn` has the words of `LEARNING_SOURCES` from which
    devices are learned. `quiet_gap` is in ns. `metrics` is None without an endpoint.
    `notes` are sentences on what a user may not expect, such as defaults in use. `outputs` are
    the receivers of alerts, which are delivered from `outbox`. `sinkholes` are the addresses that
    filters answer with. `files` are the files and folders
    that the configuration was read from. `version` is a short hash of the configuration, the
    inventory, the leases of lease files, the signatures and the bans, `bans_version` one of bans
    and exemptions. `updates` is None unless the configuration has ``updates``, `store` unless it
    has ``store``. `privacy` is None unless devices have pseudonyms, `retention` unless it is said
    how long a store keeps what. `data_protection` is whom a person concerned may ask, `console`
    the web console, and `fleet` the fleet that this machine belongs to, None where they are not
    configured.
    """

    path: str | None
    networks: Networks
    devices: Devices
    learn: tuple[str, ...]
    catalog: Catalog
    policy: Policy
    geo: Geo
    search_suffixes: tuple[str, ...]
    quiet_gap: int
    sensor_name: str
    metrics: "EndpointOptions | None"
    notes: tuple[str, ...]
    outputs: tuple[Output, ...]
    outbox: OutboxOptions
    sinkholes: Sinkholes = field(default_factory=Sinkholes)
    files: tuple[str, ...] = ()
    version: str = ""
    bans_version: str = ""
    updates: Updates | None = None
    privacy: "Privacy | None" = None
    retention: "Retention | None" = None
    store: "StoreOptions | None" = None
    data_protection: "DataProtection | None" = None
    console: "ConsoleOptions | None" = None
    fleet: "FleetOptions | None" = None

    @property
    def installed(self) -> "Installed | None":
        """The installed set that ``builtin`` stands for; None where it stands for the files that
        netwatch ships."""
        return self.updates.installed if self.updates is not None else None

    @property
    def sensor(self) -> Sensor:
        """The sensor of alerts that are decided by this configuration."""
        return Sensor(
            self.sensor_name,
            __version__,
            signatures=self.catalog.version,
            policy=self.version,
            bans=self.bans_version,
            installed_set=self.installed.identity if self.installed else None,
        )

    def strip_search_suffix(self, name: str) -> str:
        """A name without the search suffix that a resolver appended: the longest that fits. A
        name that is nothing but a suffix is returned as it is."""
        for suffix in self.search_suffixes:
            if name.endswith(suffix) and name[: -len(suffix)].endswith("."):
                return name[: -len(suffix) - 1]
        return name


def _without_collection(read: Callable[P, T]) -> Callable[P, T]:
    """Suspends the garbage collector while `read` runs. Of the values that it makes none is
    garbage, and to find that out takes a third of its time where there are very many."""

    @functools.wraps(read)
    def suspended(*args: P.args, **kwargs: P.kwargs) -> T:
        was_enabled = gc.isenabled()
        gc.disable()
        try:
            return read(*args, **kwargs)
        finally:
            if was_enabled:
                gc.enable()

    return suspended


@_without_collection
def load(
    path: str | None = None,
    *,
    with_secrets: bool = False,
    candidate: Path | None = None,
    replacements: Replacements = NOTHING_REPLACED,
) -> Config:
    """The configuration in `path`, else in the first of `SEARCH_PATHS` that exists, else the
    built-in defaults. Raises `ConfigError` with all mistakes in all files that it names; if
    `with_secrets`, a secret that cannot be read now is one, as it is for delivery. `candidate` is
    the folder of a set that takes the place of the installed one; `replacements` take the place of
    sections of the file."""
    fields = _open(path)
    replacements.replace_signatures(fields)
    ban_fields = replacements.ban_fields(fields)
    base = Path(fields.file).parent
    notes: list[str] = []
    if not fields.file:
        notes.append("no configuration file was found: the built-in defaults apply")
    version = fields.value("version", required="1, the version of this format")
    if version is not None and (version != 1 or isinstance(version, bool)):
        fields.add_mismatch("version", "1")
    scopes = networks_section(fields, notes)
    devices, learn = devices_section(fields, base)
    updates = read_updates(fields, base, notes, candidate)
    catalog = signatures_section(fields, base)
    bans, ban_ids = read_bans(ban_fields, catalog, scopes, notes)
    exemptions = read_exemptions(ban_fields, catalog, ban_ids, devices, notes)
    geo = geoip_section(fields, base)
    search_suffixes = search_suffixes_section(fields)
    sinkholes = sinkholes_section(fields)
    quiet_gap = incidents_section(fields)
    outputs, outbox = _delivery(fields, base, with_secrets=with_secrets)
    fleet = _fleet(fields, base)
    sensor_name = sensor_section(fields, fleet.sensor if fleet is not None else "")
    metrics = metrics_section(fields)
    privacy, retention = _privacy(fields, base)
    store = _store(fields, base)
    if store is not None and retention is not None:
        store = replace(store, retention=retention)
    data_protection = _data_protection(fields)
    console = _console(fields, base)
    fields.reject_unknown()
    fields.problems.raise_if_any()
    version_of_bans = bans_version(bans, exemptions)
    files = [fields.file, *_named_files(fields, base)] if fields.file else []
    if updates is not None:
        files.append(str(updates.state_file))
    return Config(
        path=fields.file or None,
        networks=Networks(scopes),
        devices=devices,
        learn=learn,
        catalog=catalog,
        policy=Policy(bans, exemptions),
        geo=geo,
        search_suffixes=search_suffixes,
        quiet_gap=quiet_gap,
        sensor_name=sensor_name,
        metrics=metrics,
        notes=tuple(notes),
        outputs=outputs,
        outbox=outbox,
        sinkholes=sinkholes,
        files=tuple(files),
        version=_version(fields, devices, catalog, version_of_bans),
        bans_version=version_of_bans,
        updates=updates,
        privacy=privacy,
        retention=retention,
        store=store,
        data_protection=data_protection,
        console=console,
        fleet=fleet,
    )


@_without_collection
def load_catalog(path: str | None = None) -> Catalog:
    """The catalogue of the signatures that the configuration names, which is found as by `load`.
    Of the other sections only the syntax is checked. Raises `ConfigError`."""
    fields = _open(path)
    base = Path(fields.file).parent
    read_updates(fields, base, [])
    catalog = signatures_section(fields, base)
    fields.problems.raise_if_any()
    return catalog


def examine_set(path: str | None, folder: Path) -> list[Problem]:
    """What speaks against judging by the set in `folder` with the configuration at `path`."""
    try:
        # In a context of its own, because the set is not in use yet.
        contextvars.copy_context().run(load, path, candidate=folder)
    except ConfigError as error:
        return error.problems
    return []


def load_updates(path: str | None = None, *, with_installed: bool = True) -> Updates | None:
    """``updates`` of the configuration, which is found as by `load`. Of the other sections only
    the syntax is checked. Raises `ConfigError`. Without `with_installed` the installed set is not
    read, so that one that is damaged can be replaced."""
    fields = _open(path)
    base = Path(fields.file).parent
    if with_installed:
        updates = read_updates(fields, base, [])
    else:
        from netwatch.updates.options import read_update_options

        options = read_update_options(fields, base)
        updates = None if options is None else Updates(options)
    fields.problems.raise_if_any()
    return updates


def load_store(path: str | None = None) -> "StoreOptions | None":
    """``store`` of the configuration, which is found as by `load`. Of the other sections only the
    syntax is checked. Raises `ConfigError`."""
    fields = _open(path)
    store = _store(fields, Path(fields.file).parent)
    fields.problems.raise_if_any()
    return store


def load_outputs(path: str | None = None) -> tuple[tuple[Output, ...], OutboxOptions]:
    """The outputs and the outbox of the configuration, which is found as by `load`. Of the other
    sections only the syntax is checked. Raises `ConfigError`."""
    fields = _open(path)
    base = Path(fields.file).parent
    outputs, outbox = _delivery(fields, base)
    fields.problems.raise_if_any()
    return outputs, outbox


def _delivery(
    fields: Fields, base: Path, *, with_secrets: bool = False
) -> tuple[tuple[Output, ...], OutboxOptions]:
    """The outputs and the outbox."""
    if [fields.value("outputs"), fields.value("spool")] == [None, None]:
        return (), OutboxOptions(DEFAULT_FOLDER)
    from netwatch.delivery.configuration import read_outbox_options, read_outputs

    outputs = read_outputs(fields, base, with_secrets=with_secrets)
    return outputs, read_outbox_options(fields, base)


def _privacy(fields: Fields, base: Path) -> "tuple[Privacy | None, Retention | None]":
    """Who has pseudonyms, and how long a store keeps what."""
    if [fields.value("privacy"), fields.value("retention")] == [None, None]:
        return None, None
    from netwatch.config.privacy_section import privacy_section, retention_section

    return privacy_section(fields, base), retention_section(fields)


def _store(fields: Fields, base: Path) -> "StoreOptions | None":
    """Where what was seen is kept."""
    if fields.value("store") is None:
        return None
    from netwatch.config.store_section import store_section

    return store_section(fields, base)


def _data_protection(fields: Fields) -> "DataProtection | None":
    """Whom a person concerned may ask."""
    if fields.value("data_protection") is None:
        return None
    from netwatch.config.data_protection import data_protection_section

    return data_protection_section(fields)


def _console(fields: Fields, base: Path) -> "ConsoleOptions | None":
    """Where the console listens, and who may sign in."""
    if fields.value("console") is None:
        return None
    from netwatch.config.console_section import console_section

    return console_section(fields, base)


def _fleet(fields: Fields, base: Path) -> "FleetOptions | None":
    """The fleet that this machine belongs to."""
    if fields.value("fleet") is None:
        return None
    from netwatch.config.fleet_section import fleet_section

    return fleet_section(fields, base)


def _open(path: str | None) -> Fields:
    """The top level of the configuration; that of the defaults has the version alone. Raises
    `ConfigError` where the file cannot be read."""
    problems = Problems()
    found = path or next((place for place in SEARCH_PATHS if Path(place).exists()), None)
    if found is None:
        defaults = YamlMapping(0)
        defaults["version"] = 1
        return Fields(defaults, "", problems, "the configuration")
    mapping = read_document(Path(found), problems)
    if mapping is None:
        problems.raise_if_any()
    assert mapping is not None
    return Fields(mapping, found, problems, "the configuration")


def _named_files(fields: Fields, base: Path) -> list[str]:
    """The files and folders that a configuration names, in a fixed order."""
    devices, geoip = fields.mapping.get("devices") or {}, fields.mapping.get("geoip") or {}
    sources = [source for source in fields.mapping.get("signatures") or () if source != BUILTIN]
    named = [devices.get("inventory"), geoip.get("asn"), geoip.get("country"), *sources]
    return [str(base / str(text)) for text in named if text]


def _version(fields: Fields, devices: Devices, catalog: Catalog, of_bans: str) -> str:
    content = [catalog.version, of_bans, fields.mapping, devices.entries.digest()]
    if len(devices.leases):
        content.append(devices.leases.digest())
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
