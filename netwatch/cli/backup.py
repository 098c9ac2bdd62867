"""``netwatch backup`` and ``netwatch restore``: a store and everything needed to read it, in a
folder.

Besides the store with its audit and accounts these are the configuration, the secrets and the
inventory that it names, the folder of a centre, and the evidence captures in the store.
`backup.json` lists each file with its place and its hash, and is written last.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netwatch.cli import COMMANDS
from netwatch.cli.group import add_store_option
from netwatch.cli.printing import print_line, print_message
from netwatch.cli.store import chosen_store
from netwatch.core.errors import NetwatchError
from netwatch.core.text import quantity
from netwatch.formats.values import rfc3339
from netwatch.store.options import require_extra

if TYPE_CHECKING:
    from netwatch.store.options import StoreOptions

SCHEMA = "netwatch.backup/1"
"""The version of the list of a backup."""

LIST = "backup.json"
"""The list of a backup."""

_OTHERS = "files"
_CHUNK = 1 << 20
_EXAMPLES = """examples:
  netwatch backup /srv/backup/2026-11-30               while live and serve run
  netwatch restore /srv/backup/2026-11-30              on a machine that has nothing yet

Nothing is overwritten: a backup goes into a new or empty folder, and what is there already at the
place of a file that is restored has to be the same.

exit status: 0 done; 1 something is missing or damaged (it is named); 2 usage or configuration error
"""


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a backup: its path there, where it was (empty in the store), its SHA-256 and its
    permissions."""

    kept: str
    place: str
    sha256: str
    mode: int


def add_backup(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register ``netwatch backup``; `parents` have the common options."""
    _add(groups, parents, "backup", back_up, "a new or an empty folder, which holds personal data")


def add_restore(
    groups: "argparse._SubParsersAction[argparse.ArgumentParser]",
    parents: Sequence[argparse.ArgumentParser] = (),
) -> None:
    """Register ``netwatch restore``; `parents` have the common options."""
    _add(groups, parents, "restore", restore, "the folder of a backup")


def _add(groups: Any, parents: Any, name: str, run: Any, folder: str) -> None:
    summary = COMMANDS[name].summary
    parser = groups.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=_EXAMPLES,
        parents=list(parents),
    )
    parser.add_argument("folder", metavar="FOLDER", help=folder)
    add_store_option(parser)
    parser.set_defaults(func=run)


def back_up(args: argparse.Namespace) -> int:
    """Run ``netwatch backup``; returns the exit status."""
    require_extra("netwatch backup")
    from netwatch.store.backup import STORE, copy_store

    options, folder = _store(args), Path(args.folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise NetwatchError(
                f"{folder}: is not empty, and nothing in it is overwritten; give another folder"
            )
        folder.chmod(0o700)
        store = folder / STORE
        store.mkdir(mode=0o700)
        problems = copy_store(options, store)
        kept = list(_listed(folder, store))
        for path in dict.fromkeys(_other_files(args, store, options)):
            try:
                kept.append(_keep(folder, path))
            except OSError as error:
                problems.append(f"{path}: {error.strerror}")
        _write_list(folder, kept)
    except OSError as error:
        raise NetwatchError(f"{error.filename}: {error.strerror}") from None
    for problem in problems:
        print_message(f"netwatch: {problem}")
    print_line(f"{quantity(len(kept), 'file')} of {options.shown} kept in {folder}")
    return 1 if problems else 0


def restore(args: argparse.Namespace) -> int:
    """Run ``netwatch restore``; returns the exit status."""
    require_extra("netwatch restore")
    from netwatch.store.backup import STORE, restore_store

    folder = Path(args.folder)
    kept = _read_list(folder)
    for copy in kept:
        if _hash(folder / copy.kept) != copy.sha256:
            raise NetwatchError(f"{folder / copy.kept}: it is missing, or not what was kept")
    others = [copy for copy in kept if copy.place]
    for copy in others:
        place = Path(copy.place)
        if place.exists() and _hash(place) != copy.sha256:
            raise NetwatchError(
                f"{place}: is there already, and is another file; move it away first"
            )
    # The configuration may set the place of the store.
    for copy in others:
        _bring_back(folder, copy)
    options = _store(args)
    restore_store(folder / STORE, options)
    print_line(f"{quantity(len(kept), 'file')} restored; the store is {options.shown}")
    return 0


def _store(args: argparse.Namespace) -> "StoreOptions":
    from netwatch.config import load_store

    return chosen_store(args, load_store(args.config))


def _listed(folder: Path, store: Path) -> Iterator[KeptFile]:
    for path in sorted(store.rglob("*")):
        if path.is_file():
            yield KeptFile(path.relative_to(folder).as_posix(), "", _hash(path), 0o600)


def _other_files(args: argparse.Namespace, store: Path, options: "StoreOptions") -> Iterator[Path]:
    """The files to keep besides the store, by their absolute paths."""
    from netwatch.config import load_fleet
    from netwatch.store.backup import evidence_paths

    configuration = _configuration(args)
    if configuration is not None:
        yield configuration
        yield from _named_files(configuration)
        fleet = load_fleet(str(configuration))
        if fleet is not None and fleet.server is not None:
            yield from (path for path in sorted(fleet.server.folder.rglob("*"))
                        if path.is_file() and "jetstream" not in path.parts)  # fmt: skip
    yield from (path for path in evidence_paths(options, store) if path.exists())


def _configuration(args: argparse.Namespace) -> Path | None:
    from netwatch.config import load

    path = load(args.config).path
    return Path(path).absolute() if path and Path(path).is_file() else None


def _named_files(configuration: Path) -> Iterator[Path]:
    """The files that a configuration names: secrets (``{file: …}``) and the inventory."""
    import yaml

    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for key, inner in value.items():
                if key in ("file", "inventory") and isinstance(inner, str):
                    yield inner
                else:
                    yield from walk(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from walk(inner)

    for name in walk(yaml.safe_load(configuration.read_text(encoding="utf-8"))):
        path = configuration.parent / name
        if path.is_file():
            yield path.absolute()


def _keep(folder: Path, path: Path) -> KeptFile:
    from netwatch.store.backup import write_new

    kept = f"{_OTHERS}/{path.as_posix().lstrip('/')}"
    with path.open("rb") as stream:
        digest = write_new(folder / kept, iter(lambda: stream.read(_CHUNK), b""))
    return KeptFile(kept, str(path), digest, path.stat().st_mode & 0o777)


def _bring_back(folder: Path, file: KeptFile) -> None:
    from netwatch.store.backup import write_new

    place = Path(file.place)
    if place.exists():
        return
    try:
        with (folder / file.kept).open("rb") as stream:
            write_new(place, iter(lambda: stream.read(_CHUNK), b""), file.mode)
    except OSError as error:
        raise NetwatchError(f"{place}: {error.strerror}") from None


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""


def _write_list(folder: Path, kept: Sequence[KeptFile]) -> None:
    from netwatch.store.backup import write_new

    files = [
        {"kept": copy.kept, "place": copy.place, "sha256": copy.sha256, "mode": copy.mode}
        for copy in kept
    ]
    record = {"schema": SCHEMA, "made": rfc3339(time.time_ns(), 0), "files": files}
    write_new(folder / LIST, iter([json.dumps(record, indent=1).encode() + b"\n"]))


def _read_list(folder: Path) -> list[KeptFile]:
    path = folder / LIST
    try:
        record = json.loads(path.read_bytes())
        if record["schema"] != SCHEMA:
            raise NetwatchError(f"{path}: written by another version ({record['schema']})")
        kept = [
            KeptFile(str(row["kept"]), str(row["place"]), str(row["sha256"]), int(row["mode"]))
            for row in record["files"]
        ]
    except OSError as error:
        raise NetwatchError(
            f"{folder}: expected a folder that netwatch backup wrote; {LIST}: {error.strerror}"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise NetwatchError(f"{path}: is not the list of a backup") from None
    for copy in kept:
        path_in = Path(copy.kept)
        if path_in.is_absolute() or ".." in path_in.parts or copy.mode & ~0o777:
            raise NetwatchError(f"{path}: {copy.kept} is not a path within the backup")
    return kept
