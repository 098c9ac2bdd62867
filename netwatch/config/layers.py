"""Where each section of a configuration is read from, and what ``builtin`` stands for.

A machine's file may be overridden by what its fleet's centre published: each of the keys in
`PUBLISHED_KEYS` that the published file has replaces the same key in the local file, as a whole.
Everything else is decided on the machine: where the centre is, what is stored and where, outputs,
metrics, keys. Both are overridden by what a command takes from elsewhere.

``builtin`` stands for the shipped files, as a source of signatures and for the packs of ``bans``.
With ``updates`` in the configuration it is the installed set, and with a published set that one.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.config.sections import TopKeys
from netwatch.core.file_keys import know_keys, read_key
from netwatch.core.user_yaml import Fields, Problems, YamlMapping, YamlSequence
from netwatch.language.sentences import sentence
from netwatch.rules.documents import read_document
from netwatch.rules.load import BUILTIN, use_builtin

if TYPE_CHECKING:
    from netwatch.config.fleet_section import FleetOptions
    from netwatch.updates.options import UpdateOptions
    from netwatch.updates.set_format import Installed
    from netwatch.updates.store import Held


@dataclass(slots=True)
class Layers:
    """The keys of the local file, overridden by those of a file published to this sensor, and both
    overridden by `replaced`, which a command takes from elsewhere."""

    local: Fields
    published: Fields | None = None
    replaced: dict[str, Fields] = field(default_factory=dict)

    def of(self, key: str) -> tuple[Fields, Path]:
        """The fields from which a key is read, and the folder to which its paths are relative."""
        found = self.local
        if key in self.replaced:
            found = self.replaced[key]
        elif self.published is not None and self.published.has(key):
            found = self.published
        return found, Path(found.file).parent

    def mapping(self) -> dict[str, object]:
        """All keys with their values, without replaced ones."""
        published = {} if self.published is None else self.published.mapping
        return {**self.local.mapping, **published}

    def named_files(self) -> list[str]:
        """The files and folders that the sections name, in a fixed order."""
        devices, geoip, signatures = map(self.of, ("devices", "geoip", "signatures"))
        named = [(devices, "devices", "inventory"), (geoip, "geoip", "asn")]
        named.append((geoip, "geoip", "country"))
        found = [
            (base, (fields.mapping.get(section) or {}).get(key))
            for (fields, base), section, key in named
        ]
        sources, base = signatures[0].mapping.get("signatures") or (), signatures[1]
        found += [(base, source) for source in sources if source != BUILTIN]
        return [str(base / str(text)) for base, text in found if text]


@dataclass(frozen=True, slots=True)
class Replacements:
    """`signatures` are sources instead of ``signatures``; `bans` is a file whose ``bans`` and
    ``exemptions`` are used instead of the configuration's. Paths are relative to the current
    folder. Empty ones replace nothing."""

    signatures: Sequence[str] = ()
    bans: str = ""

    def replace_in(self, layers: Layers) -> None:
        """Put replacements of sections into the layers of a configuration."""
        if self.signatures:
            self._replace_signatures(layers)
        if self.bans:
            layers.replaced["bans"] = layers.replaced["exemptions"] = self._ban_fields(layers.local)

    def _replace_signatures(self, layers: Layers) -> None:
        fields = layers.local
        sources = YamlSequence(fields.line_of("signatures"))
        for source in self.signatures:
            sources.append(source if source == BUILTIN else str(Path(source).absolute()))
            sources.lines.append(sources.line)
        fields.mapping["signatures"] = sources
        layers.replaced["signatures"] = fields

    def _ban_fields(self, fields: Fields) -> Fields:
        """The fields with the bans, instead of a configuration's."""
        mapping = read_document(Path(self.bans), fields.problems)
        if mapping is None:
            fields.problems.raise_if_any()
        assert mapping is not None
        replaced = Fields(mapping, self.bans, fields.problems, "the file of bans")
        if not replaced.has("bans"):
            replaced.add_problem(None, "the file of bans needs 'bans': expected a list of bans")
        # It may be the whole configuration of another site, whose other sections do not matter.
        know_keys(TopKeys, replaced)
        replaced.reject_unknown()
        return replaced


NOTHING_REPLACED = Replacements()
"""The configuration as written."""


PUBLISHED_KEYS = (
    "networks",
    "devices",
    "bans",
    "exemptions",
    "signatures",
    "search_suffixes",
    "sinkholes",
    "incidents",
    "retention",
)
"""The keys of netwatch.yaml that a centre can publish. All others are local to each sensor."""


@dataclass(frozen=True, slots=True)
class Published:
    """The published data in use; None if there is none. `state_files` change with it."""

    installed_set: "Installed | None" = None
    configuration: "Installed | None" = None
    state_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidates:
    """Folders that replace others: a set that is being examined, and a configuration."""

    set: Path | None = None
    configuration: Path | None = None


NO_CANDIDATES = Candidates()


def read_layers(
    local: Fields,
    fleet: "FleetOptions | None",
    notes: list[str],
    candidates: Candidates = NO_CANDIDATES,
) -> "tuple[Layers, Published | None]":
    """The layers of a configuration, with what is in use of what its centre published; mistakes are
    noted. From now on ``builtin`` stands for the published set, if there is one."""
    if fleet is None or not fleet.sensor:
        return Layers(local), None
    from netwatch.updates.set_format import SHAPES, time_text
    from netwatch.updates.store import published_store

    folder = fleet.published
    found: dict[str, tuple[Installed, Path]] = {}
    candidate = {"set": candidates.set, "configuration": candidates.configuration}
    for kind in SHAPES:
        if candidate[kind] is not None:
            continue
        with _noted(local):
            current = published_store(folder, kind).open_current()
            if current is not None:
                found[kind] = current
    if candidates.set is None and "set" in found:
        installed, place = found["set"]
        use_builtin(place)
        if installed.is_expired(datetime.now(UTC)):
            notes.append(
                f"set {installed.version} of the centre has expired at"
                f" {time_text(installed.expires)}: it stays in use"
            )
    place_of = candidates.configuration
    if place_of is None and "configuration" in found:
        installed, place_of = found["configuration"]
        notes.append(f"configuration {installed.version} of the centre is in use")
    above = None if place_of is None else published_fields(place_of, local.problems)
    installed_set, configuration = (found.get(kind) for kind in ("set", "configuration"))
    return Layers(local, above), Published(
        None if installed_set is None else installed_set[0],
        None if configuration is None else configuration[0],
        tuple(str(published_store(folder, kind).state_file) for kind in SHAPES),
    )


def published_fields(folder: Path, problems: Problems) -> Fields | None:
    """The fields of the published configuration in a folder, which only has keys that may be
    published; None if it cannot be read. Mistakes are noted in `problems`."""
    from netwatch.updates.set_format import CONFIGURATION_FILE

    path = folder / CONFIGURATION_FILE
    mapping = read_document(path, problems)
    if mapping is None:
        return None
    fields = Fields(mapping, str(path), problems, "the published configuration")
    read_key(TopKeys, "version", fields, folder)
    _reject_local(fields, mapping)
    return fields


def _reject_local(fields: Fields, mapping: YamlMapping) -> None:
    """Note the keys that stay local. Unknown ones are noted, too."""
    for key in mapping:
        if key != "version" and key not in PUBLISHED_KEYS:
            fields.add_problem(
                key,
                f"'{str(key)[:60]}' cannot be published, it is local to each sensor; expected only"
                f" {', '.join(PUBLISHED_KEYS)}",
            )


@contextlib.contextmanager
def _noted(local: Fields) -> Iterator[None]:
    """A context in which problems of the folder are mistakes of the configuration."""
    from netwatch.updates.set_format import SetError

    try:
        yield
    except SetError as error:
        local.add_problem("fleet", f"'fleet': what the centre published is damaged: {error}")


@dataclass(frozen=True, slots=True)
class Updates:
    """How sets are updated, and which is installed: None if none is, and if the set is only being
    examined. `held` is a newer set that is held back until somebody accepts it. `state_file`
    changes with the installed set."""

    options: "UpdateOptions"
    installed: "Installed | None" = None
    held: "Held | None" = None

    @property
    def state_file(self) -> Path:
        """The file that changes when another set is installed."""
        from netwatch.updates.store import STATE

        return self.options.folder / STATE


def read_updates(
    fields: Fields, base: Path, notes: list[str], candidate: Path | None = None
) -> Updates | None:
    """Choose what ``builtin`` stands for from now on: the installed set if ``updates`` is
    configured, otherwise the shipped files. The set in the folder `candidate` replaces the
    installed one."""
    use_builtin(candidate, examined=candidate is not None)
    if fields.value("updates") is None:
        return None
    # Not at the top, because few configurations need it.
    from netwatch.updates.options import read_update_options

    options = read_update_options(fields, base)
    if options is None:
        return None
    if candidate is not None:
        return Updates(options)
    from netwatch.updates.set_format import SetError, time_text
    from netwatch.updates.store import SetStore

    store = SetStore(options.folder)
    try:
        found, held = store.open_current(), store.read_state().held
    except SetError as error:
        fields.add_problem("updates", f"'updates': {error}")
        return Updates(options)
    if held is not None:
        notes.append(note_held(held))
    if found is None:
        notes.append(sentence("note-no-set", folder=str(options.folder)))
        return Updates(options, held=held)
    installed, folder = found
    use_builtin(folder)
    now = datetime.now(UTC)
    if installed.is_expired(now):
        notes.append(
            sentence(
                "note-set-expired",
                version=str(installed.version),
                moment=time_text(installed.expires),
            )
        )
    elif installed.expires_soon(now):
        moment = time_text(installed.expires)
        notes.append(sentence("note-set-expires", version=str(installed.version), moment=moment))
    return Updates(options, installed, held)


def note_held(held: "Held") -> str:
    """That a set is held back, and who can change that."""
    return sentence(
        "note-set-held",
        version=str(held.version),
        count=str(held.devices),
        problem=held.apps or "-",
    )
