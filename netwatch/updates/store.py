"""The folder with the installed sets, or with something of another `Shape` that is installed like
them.

::

    netwatch-sets       marks the folder as ours
    state.json          which set is in use, which one it replaced, the highest version so far
    lock                locked during an installation (flock)
    metadata/           what TUF trusts, kept so that it cannot be rolled back
    sets/12-0a1b2c3d4e5f/   a set: set.json, apps/, bans/
    sets/incoming-…     one that is being written

A set takes effect when `state.json` is renamed over the old one, after everything it names is on
disk. A process killed before that leaves an `incoming` folder or an unreferenced set, which the
next installation removes. The replaced set stays, so that `rollback` can return to it.

A set decides who is accused. So the folder must belong to the user who reads it or to root, must
not be writable for others or contain symbolic links, and a set is read only if each of its files
still has the hash in its manifest.

What a centre has published to a sensor is kept in two such folders, ``set/`` and ``configuration/``
(`SHAPES`). An inventory names people, so only the owner can read configurations.
"""

import contextlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.core.system.files import (
    O_CLOEXEC,
    O_NOFOLLOW,
    lock,
    others_may_write,
    sync_folder,
    user_id,
    write_new,
    write_whole,
)
from netwatch.core.user_yaml import read_user_file
from netwatch.updates.set_format import (
    MANIFEST,
    MAX_MANIFEST_BYTES,
    MAX_VERSION,
    SET,
    SHAPES,
    Content,
    Installed,
    Manifest,
    SetError,
    Shape,
    parse_time,
    read_manifest,
    set_hash,
    time_text,
)

MARK = "netwatch-sets"
MARK_TEXT = b"netwatch sets, format 1\n"
"""The name and the content of the file that marks a folder of sets."""

STATE = "state.json"
"""The name of the file that says which set is in use."""

MAX_STATE_BYTES = 64 << 10
"""Bytes of the state file of a folder of sets."""

MAX_ROLLED_BACK = 100
"""Versions that are remembered because somebody rolled them back."""

_SETS, _METADATA, _LOCK, _INCOMING = "sets", "metadata", "lock", "incoming-"


@dataclass(frozen=True, slots=True)
class Held:
    """A set that is held back until somebody accepts it: its version and short hash, how many
    devices it would have accused that the set in use did not, and for which `apps`, in words."""

    version: int
    hash: str
    devices: int
    apps: str


@dataclass(frozen=True, slots=True)
class State:
    """`current` is in use, `previous` was replaced by it. `highest` is the highest version that was
    ever in use; `rolled_back` are versions that somebody rolled back. `held` is a newer set that is
    held back."""

    current: Installed | None = None
    previous: Installed | None = None
    highest: int = 0
    rolled_back: tuple[int, ...] = ()
    held: Held | None = None


class SetStore:
    """The sets in `folder`, which `lock` creates if it does not exist. The content has the `shape`
    of a set unless another is given."""

    def __init__(self, folder: Path, shape: Shape = SET) -> None:
        self.folder = folder
        self.shape = shape
        self.metadata = folder / _METADATA
        self.state_file = folder / STATE

    def read_state(self) -> State:
        """What is installed; an empty state if nothing is. Raises `SetError` if the folder is not
        safe or not ours."""
        if not self._exists():
            return State()
        self._require_safe(self.folder, for_writing=False)
        self._require_mark()
        return self._read_state()

    def open_current(self) -> tuple[Installed, Path] | None:
        """The set in use and its folder, after verifying all of its files; None if there is none.
        Raises `SetError`."""
        current = self.read_state().current
        return None if current is None else (current, self._open(current))

    @contextlib.contextmanager
    def lock(self) -> Iterator[State]:
        """A context that excludes other installations, with the state at its beginning. Leftovers
        of installations that were killed have been removed. Raises `SetError`."""
        self._create()
        descriptor = self._open_lock()
        try:
            try:
                lock(descriptor, exclusive=True)
            except BlockingIOError:
                raise SetError(f"{self.folder}: another process installs a set now") from None
            state = self._read_state()
            self._remove_unused(state)
            yield state
        except OSError as error:
            raise SetError(
                f"{error.filename or self.folder} cannot be written: {error.strerror}"
            ) from None
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def incoming(self, files: Mapping[str, bytes], manifest: bytes) -> Iterator[Path]:
        """A folder on disk with these files, to be examined and then installed. If it was not
        installed by the end of the context, it is removed."""
        folder = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=self.folder / _SETS))
        try:
            os.chmod(folder, self.shape.folder_mode)  # noqa: PTH101 - it is known to be one
            for name, data in {**files, MANIFEST: manifest}.items():
                path = folder / name
                path.parent.mkdir(self.shape.folder_mode, parents=True, exist_ok=True)
                write_new(path, data, self.shape.file_mode)
            for below in {path for path in folder.rglob("*") if path.is_dir()}:
                sync_folder(below)
            sync_folder(folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def install(self, incoming: Path, manifest: Manifest, raw: bytes, state: State) -> Installed:
        """Put the set in the folder `incoming` into use. Only within `lock`, whose `state` was the
        basis of the decision."""
        new = Installed(manifest.version, set_hash(raw), manifest.created, manifest.expires)
        place = self.folder / _SETS / new.name
        if state.current is not None and state.current.name == new.name:
            return state.current
        if place.exists():
            # The set from which `state` was rolled back, or an unreferenced one.
            shutil.rmtree(place)
        incoming.rename(place)
        sync_folder(place.parent)
        rolled_back = tuple(version for version in state.rolled_back if version != new.version)
        previous = state.current
        if previous is not None and previous.version > new.version:
            previous = None
        now = State(new, previous, max(state.highest, new.version), rolled_back)
        self._write_state(now)
        self._remove_unused(now)
        return new

    def hold(self, state: State, held: Held) -> None:
        """Note that a set is held back. Only within `lock`."""
        if state.held != held:
            self._write_state(replace(state, held=held))

    def rollback(self, state: State) -> Installed:
        """Return to the previous set. Only within `lock`. Raises `SetError` if there is none."""
        previous, current = state.previous, state.current
        if previous is None or current is None:
            raise SetError(f"{self.folder}: expected a previous set, found none")
        self._open(previous)
        rolled_back = tuple(sorted({*state.rolled_back, current.version}))[-MAX_ROLLED_BACK:]
        self._write_state(State(previous, None, state.highest, rolled_back))
        return previous

    def _exists(self) -> bool:
        return os.path.lexists(self.folder)

    def _create(self) -> None:
        """Make the folder, or use an empty one, and mark it."""
        try:
            if not self._exists():
                self.folder.mkdir(self.shape.folder_mode, parents=True)
            self._require_safe(self.folder, for_writing=True)
            if not os.path.lexists(self.folder / MARK):
                if any(self.folder.iterdir()):
                    raise SetError(
                        f"{self.folder}: expected an empty folder or one of netwatch's sets,"
                        " found other files"
                    )
                write_new(self.folder / MARK, MARK_TEXT, self.shape.file_mode)
                sync_folder(self.folder)
            self._require_mark()
            for name in (_SETS, _METADATA):
                (self.folder / name).mkdir(self.shape.folder_mode, exist_ok=True)
                self._require_safe(self.folder / name, for_writing=True)
        except OSError as error:
            place = error.filename or self.folder
            raise SetError(f"{place}: cannot be made: {error.strerror}") from None

    def _require_safe(self, folder: Path, *, for_writing: bool) -> None:
        """Raise `SetError` unless nobody else can write to `folder`."""
        try:
            status = folder.lstat()
        except OSError as error:
            raise SetError(f"{folder}: cannot be read: {error.strerror}") from None
        if not stat.S_ISDIR(status.st_mode):
            kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "something else"
            raise SetError(f"{folder}: expected a folder, found {kind}")
        user = user_id()
        # Root reads for the service user who owns the folder, and then drops its privileges.
        owners = {user} if for_writing else {user, 0, status.st_uid if user == 0 else 0}
        if status.st_uid not in owners:
            raise SetError(
                f"{folder}: expected a folder of user {user}, found one of user {status.st_uid}"
            )
        if others_may_write(status):
            raise SetError(
                f"{folder}: expected a folder that only its owner may write to, found mode"
                f" {stat.S_IMODE(status.st_mode):o}; chmod 750 restricts it"
            )

    def _require_mark(self) -> None:
        try:
            text = _read(self.folder / MARK, 1024)
        except NetwatchError:
            text = b""
        if text != MARK_TEXT:
            raise SetError(
                f"{self.folder}: expected a folder of netwatch's sets, with the file {MARK} in it,"
                " found another"
            )

    def _open_lock(self) -> int:
        flags = os.O_CREAT | os.O_RDWR | O_CLOEXEC | O_NOFOLLOW
        try:
            return os.open(self.folder / _LOCK, flags, 0o600)
        except OSError as error:
            raise SetError(f"{self.folder / _LOCK} cannot be locked: {error.strerror}") from None

    def _read_state(self) -> State:
        if not os.path.lexists(self.state_file):
            return State()
        try:
            content = json.loads(_read(self.state_file, MAX_STATE_BYTES))
            return State(
                _installed(content["current"]),
                _installed(content["previous"]),
                _version(content["highest"]),
                tuple(map(_version, content["rolled_back"][:MAX_ROLLED_BACK])),
                _held(content.get("held")),
            )
        except NetwatchError as error:
            raise SetError(f"{self.state_file} {error}") from None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise SetError(f"{self.state_file}: is damaged ({error}); {_REPAIR}") from None

    def _write_state(self, state: State) -> None:
        content = {
            "current": _record(state.current),
            "previous": _record(state.previous),
            "highest": state.highest,
            "rolled_back": list(state.rolled_back),
        }
        if state.held is not None:
            content["held"] = {name: getattr(state.held, name) for name in Held.__slots__}
        data = json.dumps(content, indent=1).encode() + b"\n"
        write_whole(self.state_file, data, self.shape.file_mode)

    def _open(self, installed: Installed) -> Path:
        """The folder of a set, after comparing all of its files with its manifest."""
        folder = self.folder / _SETS / installed.name
        self._require_safe(folder, for_writing=False)
        try:
            raw = _read(folder / MANIFEST, MAX_MANIFEST_BYTES)
            if set_hash(raw) != installed.hash:
                raise SetError(f"{MANIFEST} was changed")
            manifest = read_manifest(raw, self.shape)
            present = [path for path in folder.rglob("*") if path != folder / MANIFEST]
            for below in present:
                if below.is_symlink():
                    raise SetError(f"{below.name}: is a symbolic link")
            found = {
                name: Content.of(_read(folder / name, expected.length))
                for name, expected in manifest.files.items()
            }
            names = {path.relative_to(folder).as_posix() for path in present if path.is_file()}
            if found != dict(manifest.files) or names != set(found):
                raise SetError(f"its files differ from {MANIFEST}")
        except (NetwatchError, OSError) as error:
            raise SetError(f"{folder}: the installed set is damaged ({error}); {_REPAIR}") from None
        return folder

    def _remove_unused(self, state: State) -> None:
        """Remove sets that are neither in use nor the previous one, and incomplete sets."""
        used = {
            installed.name for installed in (state.current, state.previous) if installed is not None
        }
        for path in (self.folder / _SETS).iterdir():
            if path.is_symlink():
                path.unlink()
            elif path.name not in used and path.is_dir():
                shutil.rmtree(path)


_REPAIR = "remove the folder of sets, then install the set again"


def _record(installed: Installed | None) -> dict[str, Any] | None:
    if installed is None:
        return None
    return {
        "version": installed.version,
        "hash": installed.hash,
        "created": time_text(installed.created),
        "expires": time_text(installed.expires),
    }


def _installed(record: Any) -> Installed | None:
    if record is None:
        return None
    text = record["hash"]
    if not isinstance(text, str) or len(text) != 12 or not text.isalnum():
        raise ValueError("a hash has 12 hex digits")
    created, expires = parse_time(record["created"]), parse_time(record["expires"])
    return Installed(_version(record["version"]), text, created, expires)


def _held(record: Any) -> Held | None:
    if record is None:
        return None
    version, devices = _version(record["version"]), record["devices"]
    hash_, apps = record["hash"], record["apps"]
    if not isinstance(devices, int) or not isinstance(hash_, str) or not isinstance(apps, str):
        raise ValueError("a set that is held back has a hash, devices and apps")
    return Held(version, hash_, devices, apps)


def _version(value: Any) -> int:
    if not isinstance(value, int) or not 0 <= value <= MAX_VERSION:
        raise ValueError("a version is a number")
    return value


def _read(path: Path, limit: int) -> bytes:
    """A file that is not a symbolic link; raises `NetwatchError`."""
    if path.is_symlink():
        raise NetwatchError("is a symbolic link")
    return read_user_file(path, limit)


def published_store(folder: Path, kind: str) -> SetStore:
    """The store of one of `SHAPES` in a sensor's folder."""
    return SetStore(folder / kind, SHAPES[kind])
