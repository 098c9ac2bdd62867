"""The configuration: netwatch.yaml and the files it names, checked as a whole.

Everything is read before anything is complained of, so that a user sees all mistakes at
once, each with file and line. What comes out is frozen and ready for use: networks,
devices, catalogue, policy, databases. Paths in a file count from that file's folder.
"""

import difflib
import hashlib
import json
import re
import socket
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

from netwatch import __version__
from netwatch.core.addresses import ip_text, mac_text, parse_ip, parse_mac
from netwatch.core.alert import Sensor
from netwatch.core.errors import ConfigError
from netwatch.core.message import LEARNING_SOURCES
from netwatch.core.names import normalise_name
from netwatch.core.user_yaml import Fields, Problems, YamlMapping, read_yaml
from netwatch.core.verdict import Ban, Exemption
from netwatch.inventory import devices as inventory
from netwatch.inventory import networks as places
from netwatch.inventory.devices import Devices
from netwatch.inventory.geo import Geo
from netwatch.inventory.networks import Networks, Scope
from netwatch.rules.bans import load_pack, read_ban
from netwatch.rules.catalog import Catalog
from netwatch.rules.load import BUILTIN, gather
from netwatch.rules.policy import Policy
from netwatch.sinks.base import Outbox, Output
from netwatch.sinks.settings import read_outbox, read_outputs
from netwatch.watch.health import Thresholds
from netwatch.watch.listen import Listen, parse_listen

SEARCH_PATHS = ("netwatch.yaml", "/etc/netwatch/netwatch.yaml")
"""Where a configuration is looked for when none is named."""

DEFAULT_BAN = "default"
"""The shipped ban that holds where a configuration has no ``bans``."""

_SECOND = 1_000_000_000
_UNITS = {"s": _SECOND, "m": 60 * _SECOND, "h": 3600 * _SECOND, "d": 86_400 * _SECOND}
_DURATION = re.compile(r"([1-9]\d{0,8})([smhd])")
_SUFFIX = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


@dataclass(frozen=True, slots=True)
class Config:
    """A sound configuration. `path` is None for the built-in defaults; `quiet_gap` is in
    ns; `sensor` is the name told in alerts; `notes` are sentences on what a user may
    not expect to hold, such as a default. `learn` names which of `LEARNING_SOURCES` devices
    are learned from, `metrics` is None where no endpoint is wanted. `outputs` are where
    alerts are delivered to, from `outbox`. `files` are the files and folders that it was
    read from, `version` a short hash of what stands in it, in the inventory and in the
    signatures.
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
    metrics: Listen | None
    notes: tuple[str, ...]
    outputs: tuple[Output, ...]
    outbox: Outbox
    files: tuple[str, ...] = ()
    version: str = ""

    @property
    def sensor(self) -> Sensor:
        """The `sensor` of alerts that are judged by this configuration."""
        return Sensor(self.sensor_name, __version__, self.catalog.version, self.version)

    def strip_search_suffix(self, name: str) -> str:
        """A name without the search suffix that a resolver appended, the longest that
        fits; a name that is nothing but the suffix stays."""
        for suffix in self.search_suffixes:
            if name.endswith(suffix) and name[: -len(suffix)].endswith("."):
                return name[: -len(suffix) - 1]
        return name


def load(path: str | None = None) -> Config:
    """The configuration in `path`, else in the first of `SEARCH_PATHS` that is there, else the
    built-in defaults. Raises `ConfigError` with all mistakes in all files it names."""
    problems = Problems()
    fields = _top(path, problems)
    notes: list[str] = []
    if not fields.file:
        notes.append("no configuration file: built-in defaults hold")
    base = Path(fields.file).parent
    version = fields.value("version", required="1, the version of this format")
    if version is not None and (version != 1 or isinstance(version, bool)):
        fields.add_problem("version", f"'version' is {version!r}, expected 1")
    scopes = _scopes(fields, notes)
    devices, learn = _devices(fields, base)
    before = len(problems.found)
    catalog = _catalog(fields, base, problems)
    if len(problems.found) > before:
        catalog = _Unsound([], "")
    bans, known = _bans(fields, catalog, scopes, notes)
    exemptions = _exemptions(fields, catalog, known, devices, notes)
    geo = _geo(fields, base)
    suffixes = _search_suffixes(fields)
    quiet_gap = _quiet_gap(fields)
    outputs = _outputs(fields, base)
    outbox = read_outbox(fields, base)
    sensor = _sensor(fields)
    metrics = _metrics(fields)
    fields.reject_unknown()
    problems.raise_if_any()
    return Config(
        path=fields.file or None,
        networks=Networks(scopes),
        devices=devices,
        learn=learn,
        catalog=catalog,
        policy=Policy(bans, exemptions),
        geo=geo,
        search_suffixes=suffixes,
        quiet_gap=quiet_gap,
        sensor_name=sensor,
        metrics=metrics,
        notes=tuple(notes),
        outputs=outputs,
        outbox=outbox,
        files=tuple(fields.file and [fields.file, *_named(fields, base)]),
        version=_version(fields, devices, catalog),
    )


def _named(fields: Fields, base: Path) -> list[str]:
    """The files and folders that a configuration names, in a fixed order."""
    devices, geoip = fields.mapping.get("devices") or {}, fields.mapping.get("geoip") or {}
    sources = [each for each in fields.mapping.get("signatures") or () if each != BUILTIN]
    named = [devices.get("inventory"), geoip.get("asn"), geoip.get("country"), *sources]
    return [str(base / str(text)) for text in named if text]


def _version(fields: Fields, devices: Devices, catalog: Catalog) -> str:
    entries = [astuple(entry) for entry in devices.entries]
    held = [catalog.version, fields.mapping, entries]
    text = json.dumps(held, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def load_catalog(path: str | None = None) -> Catalog:
    """The catalogue that the configuration names, found as in `load`; of the rest of the
    file only the syntax is checked. Raises `ConfigError`."""
    problems = Problems()
    fields = _top(path, problems)
    catalog = _catalog(fields, Path(fields.file).parent, problems)
    problems.raise_if_any()
    return catalog


class _Unsound(Catalog):
    """Stands in for signatures with mistakes: no app can be said to be missing."""

    __slots__ = ()

    def select(
        self, words: Iterable[tuple[int, str]], file: str, problems: Problems
    ) -> frozenset[str]:
        return frozenset()


def _top(path: str | None, problems: Problems) -> Fields:
    found = path or next((place for place in SEARCH_PATHS if Path(place).exists()), None)
    if found is None:
        empty = YamlMapping(0)
        empty["version"] = 1
        return Fields(empty, "", problems, "the configuration")
    mapping = read_yaml(Path(found), problems)
    if mapping is None:
        problems.raise_if_any()
    assert mapping is not None
    return Fields(mapping, found, problems, "the configuration")


def _near(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, sorted(known), 1)
    return f"; did you mean '{near[0]}'?" if near else ""


def _scopes(fields: Fields, notes: list[str]) -> list[Scope]:
    scopes = fields.build_each("networks", places.read_scope, "a network")
    if not fields.has("networks"):
        notes.append("no networks written: private ranges are one network of class service")
        return places.built_in()
    places.check(scopes, fields.problems)
    if not scopes:
        notes.append("the list of networks is empty: every client is outside")
    return scopes


def _devices(fields: Fields, base: Path) -> tuple[Devices, tuple[str, ...]]:
    part = fields.nested("devices", "devices")
    if part is None:
        return Devices(), ()
    path = part.text("inventory")
    entries = inventory.read(base / path, fields.problems) if path else []
    learn = part.texts("learn")
    for line, word in learn:
        if word not in LEARNING_SOURCES:
            told = f"'learn' holds '{word}', expected {', '.join(LEARNING_SOURCES)}"
            fields.problems.add(fields.file, line, told)
    part.reject_unknown()
    return Devices(entries), tuple(word for _, word in learn)


def _catalog(fields: Fields, base: Path, problems: Problems) -> Catalog:
    sources = [text for _, text in fields.texts("signatures")]
    if not sources and fields.has("signatures"):
        fields.add_problem(
            "signatures", f"'signatures' names nothing, expected {BUILTIN} or a path"
        )
    return gather(sources or [BUILTIN], base, problems)


def _bans(
    fields: Fields, catalog: Catalog, scopes: list[Scope], notes: list[str]
) -> tuple[list[Ban], set[str]]:
    """The bans, and the ids that are meant to be there, even of those with mistakes."""
    problems = fields.problems
    if not fields.has("bans"):
        notes.append(f"no bans written: the built-in ban '{DEFAULT_BAN}' holds")
        try:
            return [load_pack(DEFAULT_BAN, catalog).ban], {DEFAULT_BAN}
        except ConfigError as error:
            problems.found.extend(error.problems)
            return [], {DEFAULT_BAN}
    names = {scope.network.name for scope in scopes}
    lines: dict[str, int] = {}

    def build(entry: Fields) -> Ban | None:
        ban = read_ban(entry, catalog)
        written = str(entry.mapping.get("id") or entry.mapping.get("pack") or "")
        first = lines.get(written)
        lines.setdefault(written, entry.line_of())
        if ban is None:
            return None
        if first is not None:
            entry.add_problem(None, f"ban '{ban.id}' stands twice (first in line {first})")
        for name in sorted(ban.networks - names):
            entry.add_problem("networks", f"no network is '{name}'{_near(name, names)}")
        return ban

    bans = fields.build_each("bans", build, "a ban")
    if not fields.mapping["bans"]:
        notes.append("the list of bans is empty: nothing is forbidden")
    return bans, set(lines)


def _exemptions(
    fields: Fields, catalog: Catalog, bans: set[str], devices: Devices, notes: list[str]
) -> list[Exemption]:
    def build(entry: Fields) -> Exemption | None:
        ban = entry.text("ban", required="the id of the ban it is from")
        device = entry.text("device", required="an id of the inventory, an address or a MAC")
        start, end = entry.date("from"), entry.date("until")
        apps = catalog.select(entry.texts("apps"), entry.file, entry.problems)
        reason, approved_by = entry.text("reason"), entry.text("approved_by")
        if ban and ban not in bans:
            entry.add_problem("ban", f"no ban is '{ban}'{_near(ban, bans)}")
        if start and end and end < start:
            entry.add_problem("until", f"'until' is {end}, before 'from', {start}")
        entry.reject_unknown()
        if not ban or not device:
            return None
        return Exemption(ban, spelled(device), start, end, reason, approved_by, apps)

    def spelled(device: str) -> str:
        known = devices.find(device)
        if known and known.id == device:
            return device
        ip, mac = parse_ip(device), parse_mac(device)
        if ip:
            return ip_text(ip)
        if mac:
            return mac_text(mac)
        ids = [known.id for known in devices.entries]
        notes.append(
            f"exemption of '{device}': no device of the inventory has this id, so it never"
            f" applies{_near(device, ids)}"
        )
        return device

    return fields.build_each("exemptions", build, "an exemption")


def _geo(fields: Fields, base: Path) -> Geo:
    part = fields.nested("geoip", "geoip")
    if part is None:
        return Geo()
    asn, country = part.text("asn"), part.text("country")
    part.reject_unknown()
    geo = Geo(base / asn if asn else None, base / country if country else None)
    try:
        geo.check()
    except ConfigError as error:
        fields.problems.found.extend(error.problems)
    return geo


def _search_suffixes(fields: Fields) -> tuple[str, ...]:
    found = []
    for line, text in fields.texts("search_suffixes"):
        suffix = normalise_name(text.removeprefix(".").encode())
        if _SUFFIX.fullmatch(suffix):
            found.append(suffix)
        else:
            told = f"'{text}' is not a domain name, expected one like corp.example"
            fields.problems.add(fields.file, line, told)
    return tuple(sorted(set(found), key=lambda suffix: (-len(suffix), suffix)))


def _quiet_gap(fields: Fields) -> int:
    part = fields.nested("incidents", "incidents")
    if part is None:
        return 30 * _UNITS["m"]
    gap = _time(part, "quiet_gap", "30m")
    part.reject_unknown()
    return gap


def _time(part: Fields, key: str, default: str) -> int:
    """A length of time in ns; 0 where it is none, which is told."""
    text = part.text(key, default)
    written = _DURATION.fullmatch(text)
    if not written:
        part.add_problem(key, f"'{key}' is '{text}', expected a time like 90s, 30m, 2h, 1d")
        return 0
    return int(written[1]) * _UNITS[written[2]]


def _metrics(fields: Fields) -> Listen | None:
    part = fields.nested("metrics", "metrics")
    if part is None:
        return None
    text = part.text("listen", required="an address and port, like 127.0.0.1:9477")
    limits = Thresholds(
        silence=_time(part, "silence", "60s") / _SECOND,
        dropping=_time(part, "dropping", "60s") / _SECOND,
        stuck=_time(part, "stuck", "5m") / _SECOND,
    )
    part.reject_unknown()
    try:
        return Listen(*parse_listen(text), limits) if text else None
    except ValueError as error:
        part.add_problem("listen", f"'listen': {error}")
        return None


def _outputs(fields: Fields, base: Path) -> tuple[Output, ...]:
    if not fields.value("outputs"):
        fields.sequence("outputs")
        return ()
    from netwatch.formats.registry import RENDERERS
    from netwatch.formats.shorten_lists import render_within
    from netwatch.sinks.table import SINKS

    return read_outputs(fields, base, SINKS, RENDERERS, render_within)


def load_outputs(path: str | None = None) -> tuple[tuple[Output, ...], Outbox]:
    """The outputs and the outbox that the configuration names, found as in `load`; of the
    rest of the file only the syntax is checked. Raises `ConfigError`."""
    problems = Problems()
    fields = _top(path, problems)
    base = Path(fields.file).parent
    outputs, outbox = _outputs(fields, base), read_outbox(fields, base)
    problems.raise_if_any()
    return outputs, outbox


def _sensor(fields: Fields) -> str:
    part = fields.nested("sensor", "sensor")
    name = part.text("name") if part else ""
    if part:
        part.reject_unknown()
    return name or socket.gethostname()
