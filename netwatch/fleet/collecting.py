"""The files of a configuration that is to be published, examined before anything is signed.

A configuration is a netwatch.yaml with keys that can be published, and the files that it names:
inventories, lease files, signatures. They are taken from its own folder and from nowhere else, so a
path that leads out of it, through a link as well, is a mistake: a file of the centre that nobody
meant must not reach the sensors, and a path of the centre means nothing there. What was taken is
put into an empty folder and loaded there as ``policy check`` would, with the set of the sensors.
"""

import contextvars
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from netwatch.config import load
from netwatch.config.published import published_fields
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.private_files import PrivateFolder
from netwatch.core.user_files import read_user_file
from netwatch.core.user_yaml import Fields, Problems, YamlMapping, YamlSequence
from netwatch.rules.documents import read_document
from netwatch.rules.load import BUILTIN
from netwatch.updates.published import CONFIGURATION, CONFIGURATION_FILE
from netwatch.updates.set_format import MAX_SET_BYTES, MAX_SET_FILES

_SIGNATURES = (".yaml", ".yml")


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
    """Load a configuration as a sensor would that has this set, or the files that netwatch ships.
    Raises `ConfigError`, whose problems name the files below `shown`."""
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
            raise ConfigError([_moved(each, f"{folder}", where) for each in problems.found])


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
    """The paths that a configuration names, with their lines and the files that are wanted of a
    folder; values that are no paths are found when it is loaded."""
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
        """Add the file that the configuration names, or those of a folder of signatures or of
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
            each
            for each in place.iterdir()
            if each.name.endswith(suffixes) and not each.name.startswith(".")
        )
        if not found:
            self._refuse(line, f"expected files ({', '.join(suffixes)}) in {place}, found none")
        for each in found:
            self.add(each, line, str(name / each.name))

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
