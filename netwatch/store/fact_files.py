"""The files of a store, in a folder or at a URL that fsspec opens.

In a folder a file is written under a temporary name, flushed to the disk and renamed: a reader
never finds half a file. An object store has no rename and needs none, because an object appears
when its upload is complete. Either way a file only counts once it is in the catalogue, and
leftovers of a killed writer are swept (`FactFiles.sweep`).
"""

import contextlib
import hashlib
import io
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

from netwatch.capture.file_systems import open_file_system, raising, reason_of
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.private_files import give_to_owner, restrict
from netwatch.core.system.files import O_CLOEXEC, sync_folder
from netwatch.core.text import without_secrets

TEMPORARY = ".tmp"
"""The suffix of a file that is being written."""

LEFTOVER_AGE = 3600.0
"""Age from which a file that is not in the catalogue is a leftover, in s."""

_FILE_MODE, _FOLDER_MODE = 0o600, 0o700


class WrittenFile(NamedTuple):
    """A written file: the size in bytes and the SHA-256 of the content."""

    size: int
    sha256: str


class _HashedStream(io.RawIOBase):
    """Passes on what is written to it, counting and hashing it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        octets = memoryview(data).cast("B")
        self._stream.write(octets)
        self._hash.update(octets)
        self._size += len(octets)
        return len(octets)

    @property
    def written(self) -> WrittenFile:
        return WrittenFile(self._size, self._hash.hexdigest())


class FactFiles:
    """The files of the store at `path`, a folder or a URL. Paths of files are relative to it and
    separated by ``/``. Raises `ConfigError` for a URL that cannot be opened; all methods raise
    `NetwatchError` if the file system fails."""

    def __init__(self, path: str) -> None:
        self.place = without_secrets(path)
        self._folder: Path | None = None
        if "://" not in path:
            self._folder = Path(path)
            return
        with raising(lambda reason: NetwatchError(f"{self.place}: {reason}"), but=(ConfigError,)):
            self._system, self._root = open_file_system(path)

    @property
    def file_system(self) -> Any:
        """fsspec's file system through which the files are read; None for a folder."""
        return None if self._folder is not None else self._system

    def url(self, path: str) -> str:
        """The absolute path of a file, or its URL."""
        if self._folder is not None:
            return str(self._folder.absolute() / path)
        return f"{self._system.unstrip_protocol(self._root).rstrip('/')}/{path}"

    @contextlib.contextmanager
    def _errors(self, path: str) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise NetwatchError(f"{self.place}/{path}: {self._reason(error)}") from error
        except NetwatchError:
            raise
        except Exception as error:
            if self._folder is not None:
                raise
            # Libraries for URLs have their own errors for a server that does not answer.
            raise NetwatchError(f"{self.place}/{path}: {self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        if self._folder is None:
            return reason_of(error)
        return getattr(error, "strerror", None) or " ".join(str(error).split()) or repr(error)

    def write(self, path: str, fill: Callable[[IO[bytes]], None]) -> WrittenFile:
        """Write a file, whose content `fill` writes to a stream. It is there as a whole or not at
        all."""
        with self._errors(path):
            if self._folder is not None:
                return self._write_local(self._folder / path, fill)
            stream = self._system.open(f"{self._root}/{path}", "wb")
            try:
                hashed = _HashedStream(stream)
                fill(hashed)  # type: ignore[arg-type]
            except BaseException:
                # Closing it would make what was written so far visible. The error that led here is
                # raised, whatever the library says about this.
                with contextlib.suppress(Exception):
                    stream.discard()
                # Otherwise the destructor would close it, and adlfs has nothing to discard.
                stream.closed = True
                raise
            stream.close()
            return hashed.written

    def _write_local(self, target: Path, fill: Callable[[IO[bytes]], None]) -> WrittenFile:
        self._make_folder(target.parent)
        # The name contains the process, so that files of a dead one are recognised.
        temporary = target.with_name(f"{target.name}.{os.getpid()}{TEMPORARY}")
        descriptor = os.open(
            temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_CLOEXEC, _FILE_MODE
        )
        try:
            with os.fdopen(descriptor, "wb") as stream:
                restrict(descriptor, _FILE_MODE)
                give_to_owner(descriptor, target.parent)
                hashed = _HashedStream(stream)
                fill(hashed)  # type: ignore[arg-type]
                stream.flush()
                os.fsync(descriptor)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_folder(target.parent)
        return hashed.written

    def _make_folder(self, folder: Path) -> None:
        """Create a folder and its parents, each flushed to the disk."""
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=_FOLDER_MODE)
            give_to_owner(folder, folder.parent)
        sync_folder(folder.parent)

    def open(self, path: str) -> IO[bytes]:
        """A file, open for reading."""
        with self._errors(path):
            if self._folder is not None:
                return (self._folder / path).open("rb")
            stream: IO[bytes] = self._system.open(f"{self._root}/{path}", "rb")
            return stream

    def remove(self, path: str) -> None:
        """Remove a file, if it exists, and folders that have become empty."""
        with self._errors(path), contextlib.suppress(FileNotFoundError):
            if self._folder is None:
                self._system.rm_file(f"{self._root}/{path}")
                return
            target = self._folder / path
            target.unlink()
            for folder in target.parents:
                if folder == self._folder:
                    break
                try:
                    folder.rmdir()
                except OSError:
                    break

    def walk(self, below: str) -> Iterator[tuple[str, float]]:
        """The paths of all files below a folder, each with its age in s."""
        with self._errors(below):
            now = time.time()
            if self._folder is not None:
                for path in sorted((self._folder / below).rglob("*")):
                    with contextlib.suppress(FileNotFoundError):
                        if path.is_file():
                            age = now - path.stat().st_mtime
                            yield path.relative_to(self._folder).as_posix(), age
                return
            self._system.invalidate_cache()
            try:
                found = self._system.find(f"{self._root}/{below}", detail=True)
            except FileNotFoundError:
                return
            for name, details in sorted(found.items()):
                # Of S3, of Azure, and of others.
                known = map(details.get, ("LastModified", "last_modified", "mtime"))
                changed = next(filter(None, known), now)
                seconds = changed.timestamp() if hasattr(changed, "timestamp") else changed
                yield name.removeprefix(f"{self._root}/"), now - seconds


def new_path(folder: str) -> str:
    """The path of a new file."""
    return f"{folder}/{uuid.uuid4().hex}.parquet"
