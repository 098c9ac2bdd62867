"""What the centre of a fleet has published to this sensor, above the file of the sensor itself.

A sensor has its own netwatch.yaml, and whoever looks after the machine decides there what belongs
to the machine: where the centre is, what is stored and where, outputs, metrics, keys. What is
judged by can come from the centre: of the keys in `PUBLISHED_KEYS`, each that the published file
has takes the place of the same key in the local file, as a whole. A published set is what
``builtin`` stands for, in place of one that ``updates`` installed.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from netwatch.config.layers import Layers
from netwatch.config.sections import TopKeys
from netwatch.core.file_keys import read_key
from netwatch.core.user_yaml import Fields, Problems, YamlMapping
from netwatch.rules.documents import read_document
from netwatch.rules.load import use_builtin
from netwatch.updates.published import CONFIGURATION_FILE, SHAPES, published_store
from netwatch.updates.set_format import SetError, time_text
from netwatch.updates.store import Installed

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
    """What is in use of what was published: None where nothing is. `state_files` change with it."""

    installed_set: Installed | None = None
    configuration: Installed | None = None
    state_files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidates:
    """Folders in whose place others take: a set that is being examined, and a configuration."""

    set: Path | None = None
    configuration: Path | None = None


NO_CANDIDATES = Candidates()


def read_published(
    folder: Path, local: Fields, notes: list[str], candidates: Candidates = NO_CANDIDATES
) -> tuple[Layers, Published]:
    """The layers of a configuration, with what is in use of `folder`; mistakes are noted. From now
    on ``builtin`` stands for the published set, if there is one."""
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
    """The fields of the published configuration in a folder, which has no other keys than may be
    published; None where it cannot be read. Mistakes are noted in `problems`."""
    path = folder / CONFIGURATION_FILE
    mapping = read_document(path, problems)
    if mapping is None:
        return None
    fields = Fields(mapping, str(path), problems, "the published configuration")
    read_key(TopKeys, "version", fields, folder)
    _reject_local(fields, mapping)
    return fields


def _reject_local(fields: Fields, mapping: YamlMapping) -> None:
    """Note the keys that stay local. Other unknown ones are noted, too."""
    for key in mapping:
        if key != "version" and key not in PUBLISHED_KEYS:
            fields.add_problem(
                key,
                f"'{str(key)[:60]}' cannot be published, it is local to each sensor; expected only"
                f" {', '.join(PUBLISHED_KEYS)}",
            )


@contextlib.contextmanager
def _noted(local: Fields) -> Iterator[None]:
    """A context in which what is wrong with the folder is a mistake of the configuration."""
    try:
        yield
    except SetError as error:
        local.add_problem("fleet", f"'fleet': what the centre published is damaged: {error}")
