"""What a centre publishes: the files of a configuration, examined before anything is signed, and
what was published, as it is kept on disk: the truth that the server only carries.

::

    versions.json                  the highest version of each kind that was ever given
    set.all.bundle                 the newest set for all sensors
    configuration.sensor.x.bundle  the newest configuration for sensor x

Versions are per kind, over all audiences: a sensor uses the newest bundle that is for it, by name
or with all others. The version is on disk before the bundle is signed, so none is used twice, also
if the publisher is killed in between. A server that lost its stream gets the files again.

A configuration is a netwatch.yaml with keys that can be published, and the files that it names:
inventories, lease files, signatures. They are only taken from its own folder, so a path that leads
out of it, even through a link, is a mistake: no other file of the centre must reach the sensors,
and a path of the centre means nothing there. The files are put into an empty folder and loaded
there as by ``policy check``, with the set of the sensors.
"""

import contextlib
import contextvars
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any

from netwatch import __version__
from netwatch.config import load
from netwatch.config.layers import published_fields
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.private_files import PrivateFolder
from netwatch.core.system.files import publishing, write_whole
from netwatch.core.user_yaml import Fields, Problems, YamlMapping, YamlSequence, read_user_file
from netwatch.fleet.access import (
    ALL,
    SigningKey,
    audience_text,
    is_audience,
    open_signing_key,
    read_public_key,
)
from netwatch.fleet.bundle import MAX_BUNDLE_BYTES, Bundle, read_bundle, write_bundle
from netwatch.rules.documents import read_document
from netwatch.rules.load import BUILTIN
from netwatch.updates.set_format import (
    CONFIGURATION,
    CONFIGURATION_FILE,
    MAX_SET_BYTES,
    MAX_SET_FILES,
    MAX_VERSION,
    SHAPES,
    Content,
    Manifest,
    SetError,
    pack,
    read_manifest,
)

_SIGNATURES = (".yaml", ".yml")

DEFAULT_LIFE = timedelta(days=365)
"""How long a bundle may be applied by default. What a sensor has applied stays in use; a sensor
that is enrolled later needs one that is still valid."""

_VERSIONS, _SUFFIX = "versions.json", ".bundle"


def collect_configuration(path: Path) -> dict[str, bytes]:
    """The files of the configuration at `path`, by their names in a bundle. Raises `ConfigError`
    with file and line."""
    problems = Problems()
    mapping = read_document(path, problems)
    problems.raise_if_any()
    assert mapping is not None
    collection = _Collection(path, problems)
    collection.add(path, 0, CONFIGURATION_FILE)
    fields = Fields(mapping, str(path), problems, "the configuration")
    for line, text, suffixes in _named(fields):
        collection.add_named(line, text, suffixes)
    problems.raise_if_any()
    return collection.files


def examine_files(
    files: Mapping[str, bytes], shown: Path, set_files: Mapping[str, bytes] | None
) -> None:
    """Load a configuration like a sensor that has this set, or the shipped files. Raises
    `ConfigError`, whose problems name the files below `shown`."""
    with PrivateFolder() as place:
        folder, candidate = place / "configuration", place / "set"
        write_files(folder, files)
        if set_files is not None:
            write_files(candidate, set_files)
        problems = Problems()
        published_fields(folder, problems)
        if not problems.found:
            try:
                contextvars.copy_context().run(
                    load,
                    str(folder / CONFIGURATION_FILE),
                    candidate=candidate if set_files is not None else None,
                )
            except ConfigError as error:
                problems.found.extend(error.problems)
        if problems.found:
            where = str(shown)
            raise ConfigError([_moved(problem, f"{folder}", where) for problem in problems.found])


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a new folder."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _moved(problem: Problem, place: str, shown: str) -> Problem:
    return replace(
        problem,
        file=problem.file.replace(place, shown, 1),
        message=problem.message.replace(place, shown),
    )


def _named(fields: Fields) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """The paths in a configuration, with their lines and the files to take from a folder; values
    that are not paths are found when it is loaded."""
    devices: Any = fields.mapping.get("devices")
    if isinstance(devices, YamlMapping):
        inner = Fields(devices, fields.file, fields.problems, "devices")
        if isinstance(devices.get("inventory"), str):
            yield inner.line_of("inventory"), devices["inventory"], (".csv",)
        for line, lease in zip(*_items(devices.get("leases")), strict=True):
            if isinstance(lease, dict) and isinstance(lease.get("path"), str):
                yield line, lease["path"], ()
    for line, source in zip(*_items(fields.mapping.get("signatures")), strict=True):
        if isinstance(source, str) and source != BUILTIN:
            yield line, source, _SIGNATURES


def _items(value: Any) -> tuple[list[int], list[Any]]:
    return ([*value.lines], [*value]) if isinstance(value, YamlSequence) else ([], [])


class _Collection:
    """The files so far, and the mistakes of the configuration at `path`."""

    def __init__(self, path: Path, problems: Problems) -> None:
        self.files: dict[str, bytes] = {}
        self._path = path
        self._base = path.parent.resolve()
        self._problems = problems
        self._bytes = 0

    def add_named(self, line: int, text: str, suffixes: tuple[str, ...]) -> None:
        """Add the file that the configuration names, or the files of a folder of signatures or of
        dated inventories."""
        name = PurePosixPath(text)
        place = self._path.parent / name
        if name.is_absolute() or ".." in name.parts:
            self._refuse(
                line, f"expected a path below the folder of this file, found '{text[:80]}'"
            )
            return
        if not place.is_dir():
            self.add(place, line, str(name))
            return
        if suffixes == _SIGNATURES and (place / "apps").is_dir():
            place, name = place / "apps", name / "apps"
        found = sorted(
            path
            for path in place.iterdir()
            if path.name.endswith(suffixes) and not path.name.startswith(".")
        )
        if not found:
            self._refuse(line, f"expected files ({', '.join(suffixes)}) in {place}, found none")
        for path in found:
            self.add(path, line, str(name / path.name))

    def add(self, path: Path, line: int, name: str) -> None:
        """Add a file under a name."""
        if name in self.files:
            return
        if not CONFIGURATION.names.fullmatch(name):
            self._refuse(
                line,
                f"'{name[:80]}' cannot be published: expected a name of letters, digits, '.', '_'"
                " and '-'",
            )
            return
        if not path.resolve().is_relative_to(self._base):
            self._refuse(line, f"{path} leads out of the folder of this file")
            return
        try:
            data = read_user_file(path, MAX_SET_BYTES - self._bytes)
        except NetwatchError as error:
            self._refuse(line, f"{path} {error}")
            return
        self._bytes += len(data)
        if len(self.files) >= MAX_SET_FILES:
            self._refuse(line, f"expected at most {MAX_SET_FILES:,} files, found more")
            return
        self.files[name] = data

    def _refuse(self, line: int, message: str) -> None:
        self._problems.add(str(self._path), line, message)


@dataclass(frozen=True, slots=True)
class Published:
    """The newest bundle of a kind for an audience; `data` are its bytes."""

    bundle: Bundle
    data: bytes


def open_publications(centre: Path) -> "Publications":
    """What the centre with this folder has published. Its key is created if there is none. Raises
    `NetwatchError`."""
    return Publications(centre / "published", open_signing_key(centre / "keys"))


class Publications:
    """What was published, in `folder`, signed by `key`. Methods raise `NetwatchError`."""

    def __init__(self, folder: Path, key: SigningKey) -> None:
        self.folder = folder
        self._key = key

    def publish(
        self,
        kind: str,
        audience: str,
        files: Mapping[str, bytes],
        life: timedelta = DEFAULT_LIFE,
        release: str = __version__,
        now: datetime | None = None,
    ) -> Published:
        """Sign the next version of this kind for an audience, and keep it. `files` were examined
        before; `release` is the oldest netwatch that can read them."""
        now = (now or datetime.now(UTC)).replace(microsecond=0)
        try:
            archive = pack(files)
        except ValueError as error:
            raise NetwatchError(f"the files cannot be packed: {error}") from None
        manifest = Manifest(
            version=1,
            created=now,
            expires=now + life,
            netwatch=release,
            archive=Content.of(archive),
            files={name: Content.of(data) for name, data in files.items()},
            format=SHAPES[kind].format,
        )
        try:
            read_manifest(manifest.to_bytes(), SHAPES[kind])
        except SetError as error:
            raise NetwatchError(f"{kind} for {audience_text(audience)}: {error}") from None
        with publishing(self.folder, 0o700, NetwatchError):
            version = self._next_version(kind)
            bundle = Bundle(kind, audience, replace(manifest, version=version), archive)
            data = write_bundle(bundle, self._key)
            self._write(f"{kind}.{audience}{_SUFFIX}", data)
        return Published(bundle, data)

    def listing(self) -> list[Published]:
        """The newest bundle of each kind and audience, in the order of their versions."""
        found = []
        keys = read_public_key(self._key.public)
        for path in sorted(self.folder.glob(f"*{_SUFFIX}")):
            kind, _, audience = path.name.removesuffix(_SUFFIX).partition(".")
            if kind not in SHAPES or not is_audience(audience):
                continue
            try:
                data = read_user_file(path, MAX_BUNDLE_BYTES)
                found.append(Published(read_bundle(data, keys), data))
            except NetwatchError as error:
                raise NetwatchError(f"{path}: {error}; publish it again") from None
        return sorted(found, key=lambda item: (item.bundle.kind, item.bundle.manifest.version))

    def newest(self, kind: str, audience: str) -> dict[str, bytes] | None:
        """The files of a kind that a sensor of this audience has once it has applied everything;
        None if nothing was published to it."""
        found = [
            item.bundle
            for item in self.listing()
            if item.bundle.kind == kind and item.bundle.audience in (audience, ALL)
        ]
        return found[-1].files() if found else None

    def fingerprint(self) -> object:
        """Changes whenever something is published."""
        found = []
        for path in self.folder.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((path.name, status.st_mtime_ns, status.st_size, status.st_ino))
        return sorted(found)

    def _next_version(self, kind: str) -> int:
        """The next version of a kind, which is recorded on disk as used."""
        path = self.folder / _VERSIONS
        versions: dict[str, int] = {}
        if path.exists():
            try:
                content = json.loads(read_user_file(path, 1 << 16))
                versions = {str(name): int(number) for name, number in content.items()}
            except (ValueError, TypeError, AttributeError, NetwatchError) as error:
                raise NetwatchError(
                    f"{path}: is damaged ({error}); expected the highest version of each kind, as"
                    ' in {"set": 7}; netwatch fleet status shows what sensors have applied'
                ) from None
        version = versions.get(kind, 0) + 1
        if not 0 < version <= MAX_VERSION:
            raise NetwatchError(f"{path}: expected versions from 0 to {MAX_VERSION - 1:,}")
        self._write(_VERSIONS, json.dumps({**versions, kind: version}).encode() + b"\n")
        return version

    def _write(self, name: str, data: bytes) -> None:
        path = self.folder / name
        try:
            write_whole(path, data)
        except OSError as error:
            raise NetwatchError(f"{path}: cannot be written: {error.strerror}") from None
