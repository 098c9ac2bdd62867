"""The configuration: netwatch.yaml and the files that it names, checked as a whole.

All files are read before any mistake is reported, so that a user sees all mistakes at once, each
with its file and line. The result is frozen and ready for use: networks, devices, signatures,
policy, databases and outputs. Relative paths in a file count from the folder of that file.

`netwatch.config.layers` decides where each section is read from; the ``…sections`` modules read
them.
"""

import contextvars
import functools
import gc
import hashlib
import json
import sys
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from netwatch import __version__
from netwatch.config.layers import (
    NOTHING_REPLACED,
    Candidates,
    Layers,
    Replacements,
    Updates,
    read_layers,
    read_updates,
)
from netwatch.config.policy_sections import (
    devices_section,
    read_bans,
    read_exemptions,
    read_refresh,
)
from netwatch.config.sections import (
    TopKeys,
    geoip_section,
    incidents_section,
    metrics_section,
    networks_section,
    read_console,
    read_data_protection,
    read_delivery,
    read_exporters,
    read_fleet,
    read_privacy,
    read_store,
    search_suffixes_section,
    sensor_section,
    signatures_section,
    sinkholes_section,
)
from netwatch.core.alert import Sensor
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.file_keys import know_keys, read_key
from netwatch.core.user_yaml import Fields, Problems, YamlMapping, foreign_owner
from netwatch.core.verdict import CLIENT_LIMIT
from netwatch.delivery.output import OutboxOptions, Output
from netwatch.inventory.devices import Devices
from netwatch.inventory.geo import Geo
from netwatch.inventory.networks import Networks, Sinkholes
from netwatch.language.sentences import sentence
from netwatch.rules.bans import bans_version
from netwatch.rules.catalog import Catalog
from netwatch.rules.documents import read_document
from netwatch.rules.policy import Policy

if TYPE_CHECKING:
    from netwatch.config.console_section import ConsoleOptions
    from netwatch.config.data_sections import DataProtection
    from netwatch.config.fleet_section import FleetOptions
    from netwatch.config.layers import Published
    from netwatch.flow_export.known_exporters import Exporters
    from netwatch.privacy import Privacy
    from netwatch.refresh.options import RefreshOptions
    from netwatch.store.options import Retention, StoreOptions
    from netwatch.updates.set_format import Installed
    from netwatch.watch.endpoint_options import EndpointOptions

P = ParamSpec("P")
T = TypeVar("T")

HERE = "netwatch.yaml"
"""The configuration in the current folder, which applies without being named."""

SEARCH_PATHS = (HERE, "/etc/netwatch/netwatch.yaml")
"""Where to search for a configuration if none is named. On Windows only in the current folder:
anybody may create a folder like the other one there."""


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration without mistakes.

    `path` is None for the built-in defaults. `learn` has the words of `LEARNING_SOURCES` from which
    devices are learned. `quiet_gap` is in ns. `is_sensor_named` means that `sensor_name` is
    configured, and not taken from the host. `metrics` is None without an endpoint. `notes` are
    sentences on what a user may not expect, such as defaults in use. `outputs` are the receivers of
    alerts, which are delivered from `outbox`. `sinkholes` are the addresses that filters answer
    with. `files` are the files and folders that the configuration was read from. `version` is a
    short hash of the configuration, the inventory, the leases of lease files, the signatures and
    the bans, `bans_version` one of bans and exemptions. `updates` is None unless the configuration
    has ``updates``, `store` unless it has ``store``. `privacy` is None unless devices have
    pseudonyms, `retention` unless a retention is configured. `data_protection` is whom a person
    concerned may ask, `console` the web console, and `fleet` the fleet that this machine belongs
    to, None if they are not configured. `published` is what its centre has published to this
    sensor, None outside a fleet. If there are more unknown clients than `client_limit`, they are
    summed up (`netwatch.incidents.unproven`). Flow records are accepted from `exporters`, from
    anyone if that is None.
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
    is_sensor_named: bool = False
    version: str = ""
    bans_version: str = ""
    updates: Updates | None = None
    privacy: "Privacy | None" = None
    retention: "Retention | None" = None
    store: "StoreOptions | None" = None
    data_protection: "DataProtection | None" = None
    console: "ConsoleOptions | None" = None
    fleet: "FleetOptions | None" = None
    client_limit: int = CLIENT_LIMIT
    published: "Published | None" = None
    exporters: "Exporters | None" = None

    @property
    def installed(self) -> "Installed | None":
        """The installed set that ``builtin`` stands for; None if it stands for the shipped
        files."""
        if self.published is not None and self.published.installed_set is not None:
            return self.published.installed_set
        return self.updates.installed if self.updates is not None else None

    @property
    def sensor(self) -> Sensor:
        """The sensor in alerts decided by this configuration."""
        return Sensor(
            self.sensor_name,
            __version__,
            signatures=self.catalog.version,
            policy=self.version,
            bans=self.bans_version,
            installed_set=self.installed.identity if self.installed else None,
            is_named=self.is_sensor_named,
        )

    @property
    def words(self) -> Mapping[str, Set[str]]:
        """The words with which queries name what this configuration has."""
        return {
            "app": self.catalog.apps().keys(),
            "ban": {ban.id for ban in self.policy.bans},
            "network": {scope.network.name for scope in self.networks.scopes},
            "sensor": {self.sensor_name},
        }

    def strip_search_suffix(self, name: str) -> str:
        """A name without the search suffix that a resolver appended: the longest that fits. A name
        that is only a suffix is returned unchanged."""
        for suffix in self.search_suffixes:
            if name.endswith(suffix) and name[: -len(suffix)].endswith("."):
                return name[: -len(suffix) - 1]
        return name


def _without_collection(read: Callable[P, T]) -> Callable[P, T]:
    """Suspends the garbage collector while `read` runs. None of its values is garbage, and finding
    that out takes a third of its time if there are very many."""

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
    candidate_configuration: Path | None = None,
    replacements: Replacements = NOTHING_REPLACED,
) -> Config:
    """The configuration in `path`, otherwise in the first of `SEARCH_PATHS` that exists, otherwise
    the built-in defaults. Raises `ConfigError` with all mistakes in all files that it names; if
    `with_secrets`, a secret that cannot be read now is one, as it is for delivery, and so is a
    missing file of the console. `candidate` is the folder of a set that replaces the installed one,
    `candidate_configuration` of a configuration that replaces the published one; `replacements`
    replace sections of the file."""
    fields = _open(path)
    base = Path(fields.file).parent
    notes: list[str] = []
    if not fields.file:
        notes.append(sentence("note-no-file"))
    elif (owner := foreign_owner(Path(fields.file))) is not None:
        notes.append(sentence("note-foreign-file", file=fields.file, owner=str(owner)))
    know_keys(TopKeys, fields)
    read_key(TopKeys, "version", fields, base)
    updates = read_updates(fields, base, notes, candidate)
    fleet = read_fleet(fields, base)
    layers, published = read_layers(
        fields, fleet, notes, Candidates(candidate, candidate_configuration)
    )
    replacements.replace_in(layers)
    rules = _read_rules(layers, notes)
    values = _read_sections(fields, base, layers, with_secrets=with_secrets)
    outputs, outbox = read_delivery(fields, base, with_secrets=with_secrets)
    if values["console"] is not None and values["console"].triage_outputs:
        from netwatch.config.console_section import check_triage_outputs

        by_name = {output.name: bool(output.format) for output in outputs}
        check_triage_outputs(fields, values["console"], by_name)
    sensor_name, is_sensor_named = sensor_section(fields, fleet.sensor if fleet is not None else "")
    incidents = incidents_section(layers.of("incidents")[0])
    privacy, retention = read_privacy(fields, layers.of("retention")[0], base)
    store = read_store(fields, base)
    if store is not None:
        store = replace(store, retention=retention or store.retention, unheard=incidents.unheard)
    fields.reject_unknown()
    fields.problems.raise_if_any()
    files = [fields.file, *layers.named_files()] if fields.file else []
    if updates is not None:
        files.append(str(updates.state_file))
    if published is not None:
        files.extend(published.state_files)
    return Config(
        path=fields.file or None,
        quiet_gap=incidents.quiet_gap,
        client_limit=incidents.unknown_clients,
        sensor_name=sensor_name,
        is_sensor_named=is_sensor_named,
        notes=tuple(notes),
        outputs=outputs,
        outbox=outbox,
        files=tuple(files),
        updates=updates,
        privacy=privacy,
        retention=retention,
        store=store,
        fleet=fleet,
        published=published,
        **values,
        **rules(),
    )


def _read_sections(
    fields: Fields, base: Path, layers: Layers, *, with_secrets: bool
) -> dict[str, Any]:
    """The sections that depend on no other, by their attribute of a `Config`."""
    return {
        "geo": geoip_section(fields, base),
        "search_suffixes": search_suffixes_section(*layers.of("search_suffixes")),
        "sinkholes": sinkholes_section(*layers.of("sinkholes")),
        "metrics": metrics_section(fields),
        "exporters": read_exporters(fields),
        "data_protection": read_data_protection(fields),
        "console": read_console(fields, base, with_secrets=with_secrets),
    }


def _read_rules(layers: Layers, notes: list[str]) -> Callable[[], dict[str, Any]]:
    """Who is known to the configuration, and what is forbidden to them: returns attributes of a
    `Config`, if there are no mistakes."""
    scopes = networks_section(layers.of("networks")[0], notes)
    devices, learn = devices_section(*layers.of("devices"))
    catalog = signatures_section(*layers.of("signatures"), notes)
    bans, ban_ids = read_bans(layers.of("bans")[0], catalog, scopes, notes)
    exemptions = read_exemptions(layers.of("exemptions")[0], catalog, ban_ids, devices, notes)

    def attributes() -> dict[str, Any]:
        version_of_bans = bans_version(bans, exemptions)
        return {
            "networks": Networks(scopes),
            "devices": devices,
            "learn": learn,
            "catalog": catalog,
            "policy": Policy(bans, exemptions),
            "version": _version(layers, devices, catalog, version_of_bans),
            "bans_version": version_of_bans,
        }

    return attributes


@_without_collection
def load_catalog(
    path: str | None = None, *, replacements: Replacements = NOTHING_REPLACED
) -> Catalog:
    """The catalogue of the signatures in the configuration, which is found and replaced as by
    `load`. Of the other sections only the syntax is checked. Raises `ConfigError`."""
    fields = _open(path)
    base = Path(fields.file).parent
    read_updates(fields, base, [])
    layers, _ = read_layers(fields, read_fleet(fields, base), [])
    replacements.replace_in(layers)
    catalog = signatures_section(*layers.of("signatures"), [])
    fields.problems.raise_if_any()
    return catalog


def examine_set(path: str | None, folder: Path) -> list[Problem]:
    """The objections to judging by the set in `folder` with the configuration at `path`."""
    return _examine(functools.partial(load, path, candidate=folder))


def examine_configuration(path: str | None, folder: Path) -> list[Problem]:
    """The objections to the published configuration in `folder`, next to the file at `path`."""
    return _examine(functools.partial(load, path, candidate_configuration=folder))


def _examine(load_candidate: Callable[[], Config]) -> list[Problem]:
    try:
        # In a context of its own, because the candidate is not in use yet.
        contextvars.copy_context().run(load_candidate)
    except ConfigError as error:
        return error.problems
    return []


def load_updates(path: str | None = None, *, with_installed: bool = True) -> Updates | None:
    """``updates`` of the configuration, which is found as by `load`. Of the other sections only the
    syntax is checked. Raises `ConfigError`. Without `with_installed` the installed set is not read,
    so that a damaged one can be replaced."""

    def read(fields: Fields, base: Path) -> Updates | None:
        if with_installed:
            return read_updates(fields, base, [])
        from netwatch.updates.options import read_update_options

        options = read_update_options(fields, base)
        return None if options is None else Updates(options)

    return _read_alone(path, read)


def load_store(path: str | None = None) -> "StoreOptions | None":
    """``store`` of the configuration, which is found as by `load`. Of the other sections only the
    syntax is checked. Raises `ConfigError`."""
    return _read_alone(path, read_store)


def load_refresh(path: str | None = None) -> "RefreshOptions | None":
    """The sources from which the configuration's inventory is refreshed, found as by `load`. The
    inventory itself is not read. Raises `ConfigError`."""
    return _read_alone(path, read_refresh)


def load_outputs(path: str | None = None) -> tuple[tuple[Output, ...], OutboxOptions]:
    """The outputs and the outbox of the configuration, like `load_store`."""
    return _read_alone(path, read_delivery)


def load_fleet(path: str | None = None) -> "FleetOptions | None":
    """``fleet`` of the configuration, like `load_store`."""
    return _read_alone(path, read_fleet)


def load_console(path: str | None = None) -> "ConsoleOptions | None":
    """``console`` of the configuration, like `load_store`."""
    return _read_alone(path, read_console)


def _read_alone(path: str | None, read: Callable[[Fields, Path], T]) -> T:
    """The result of `read` for the configuration. Raises `ConfigError`."""
    fields = _open(path)
    found = read(fields, Path(fields.file).parent)
    fields.problems.raise_if_any()
    return found


def _open(path: str | None) -> Fields:
    """The top level of the configuration; the defaults only have the version. Raises `ConfigError`
    if the file cannot be read."""
    problems = Problems()
    searched = SEARCH_PATHS[:1] if sys.platform == "win32" else SEARCH_PATHS
    found = path or next((place for place in searched if Path(place).exists()), None)
    is_unnamed = not path and found == HERE
    if found is None:
        defaults = YamlMapping(0)
        defaults["version"] = 1
        return Fields(defaults, "", problems, "the configuration")
    mapping = read_document(Path(found), problems, found=is_unnamed)
    if mapping is None:
        problems.raise_if_any()
    assert mapping is not None
    return Fields(mapping, found, problems, "the configuration")


def _version(layers: Layers, devices: Devices, catalog: Catalog, of_bans: str) -> str:
    content = [catalog.version, of_bans, layers.mapping(), devices.entries.digest()]
    if len(devices.leases):
        content.append(devices.leases.digest())
    text = json.dumps(content, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
