"""Where a ledger is: a folder of this machine, or a URL that fsspec opens.

An object has a name with slashes. It is there as a whole or not at all: in a folder it is written
under another name and renamed, an object store has no other way. Two runs that write the same
object write the same bytes, so it does not matter which one was last.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol, TypeVar
from urllib.parse import urlsplit

from netwatch.capture.file_systems import (
    GOOGLE,
    REPEATING,
    open_file_system,
    raising,
    reason_of,
    scheme_of,
)
from netwatch.capture.locations import is_url, local_path, shown_url
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.private_files import PrivateFolder
from netwatch.core.system.files import O_CLOEXEC

ATTEMPTS = 4
"""How often to make a request to an object store before it has failed."""

PAUSE = 0.5
"""Seconds before the second attempt; each further one waits twice as long."""

_MULTIPART = 5 << 20
"""Bytes from which gcsfs sends a file in chunks anyway."""

T = TypeVar("T")


class StorageError(NetwatchError):
    """A ledger that cannot be read or written."""


class MissingError(StorageError):
    """A missing object."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: its name, its size in bytes, and when it was written (s since the epoch, 0 if
    unknown)."""

    name: str
    size: int
    written: float


class Storage(Protocol):
    """A place for objects. It may be sent to other processes and machines. All methods raise
    `StorageError`. `shown` is its path or URL without secrets."""

    shown: str

    def objects(self, folder: str) -> Iterator[Stored]:
        """All objects below a folder."""
        ...

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of an object, or a range of them. Raises `MissingError` too."""
        ...

    def writing(self, name: str) -> contextlib.AbstractContextManager[BinaryIO]:
        """A file that becomes the object when the context ends without an error."""
        ...

    def remove(self, name: str) -> None:
        """Delete an object, if it is there."""
        ...


def open_storage(url: str) -> Storage:
    """The storage at a path or URL. Raises `ConfigError` if it is invalid."""
    if not is_url(url):
        return Folder(url)
    local = local_path(url)
    if local is not None:
        return Folder(local)
    if urlsplit(url).scheme.lower() in ("http", "https"):
        text = "a ledger is written too: expected a folder, or a URL of an object store"
        raise ConfigError.of(shown_url(url), text)
    return Bucket(url)


def write(storage: Storage, name: str, data: bytes) -> None:
    """Write an object at once."""
    with storage.writing(name) as stream:
        stream.write(data)


class Folder:
    """A folder of this machine. Only its owner can read what is written there: it contains data
    about people, like captures."""

    def __init__(self, path: str) -> None:
        self.shown = path
        self._path = Path(path)

    def objects(self, folder: str) -> Iterator[Stored]:
        """See `Storage`."""
        top = self._path / folder
        for parent, _, names in os.walk(top):
            for name in names:
                path = Path(parent, name)
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    if not name.startswith("."):
                        found = path.relative_to(self._path).as_posix()
                        yield Stored(found, status.st_size, status.st_mtime)

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """See `Storage`."""
        try:
            with (self._path / name).open("rb", buffering=0) as stream:
                stream.seek(start)
                return stream.readall() if end is None else _exactly(stream, end - start)
        except FileNotFoundError:
            raise MissingError(f"{self.shown}/{name}: is not there") from None
        except OSError as error:
            raise StorageError(f"{self.shown}/{name}: cannot be read: {error.strerror}") from None

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """See `Storage`."""
        target = self._path / name
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
        try:
            for folder in (*reversed(target.parents),):
                folder.mkdir(mode=0o700, exist_ok=True)
            handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_CLOEXEC, 0o600)
            with os.fdopen(handle, "wb") as stream:
                # It is not synchronised: an object that a power failure damages is made again.
                yield stream
            temporary.replace(target)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            text = f"{self.shown}/{name}: cannot be written: {error.strerror}"
            raise StorageError(text) from None
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def remove(self, name: str) -> None:
        """See `Storage`. Folders that become empty go too."""
        path = self._path / name
        with contextlib.suppress(OSError):
            path.unlink()
            for folder in path.relative_to(self._path).parents[:-1]:
                (self._path / folder).rmdir()


class Bucket:
    """An object store, as opened by fsspec, with the credentials of the environment."""

    def __init__(self, url: str) -> None:
        self.shown = shown_url(url)
        self._url = url.rstrip("/")

    def __getstate__(self) -> dict[str, Any]:
        # Another process opens it again: connections and threads cannot be sent.
        return {"shown": self.shown, "_url": self._url}

    @cached_property
    def _opened(self) -> tuple[int, Any, str]:
        with raising(self._unusable, but=(ConfigError,)):
            system, root = open_file_system(self._url)
        return os.getpid(), system, root

    def _system(self) -> tuple[Any, str]:
        if "_opened" in self.__dict__ and self._opened[0] != os.getpid():
            del self._opened  # The threads of a connection are not forked.
        _, system, root = self._opened
        return system, root

    def _unusable(self, reason: str) -> StorageError:
        return StorageError(f"{self.shown}: cannot be used: {reason}")

    def objects(self, folder: str) -> Iterator[Stored]:
        """See `Storage`."""
        system, root = self._system()
        found = self._ask(folder, "listed", lambda: system.find(f"{root}/{folder}", detail=True))
        for path, info in found.items():
            when = info.get("LastModified") or info.get("last_modified") or info.get("mtime")
            stamp = getattr(when, "timestamp", lambda: 0.0)()
            yield Stored(str(path)[len(root) + 1 :], int(info.get("size") or 0), stamp)

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """See `Storage`."""
        system, root = self._system()
        if end == start:
            return b""
        path = f"{root}/{name}"
        # Azure raises an error for a range of an empty object.
        data = self._ask(name, "read", lambda: system.cat_file(path, start=start or None, end=end))
        return bytes(data)

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """See `Storage`."""
        system, root = self._system()
        with PrivateFolder() as folder:
            path = folder / "object"
            with path.open("wb") as stream:
                yield stream
            self._ask(name, "written", lambda: self._put(system, str(path), f"{root}/{name}"))

    def _put(self, system: Any, file: str, target: str) -> None:
        data = b""
        if scheme_of(self._url) in GOOGLE and Path(file).stat().st_size <= _MULTIPART:
            data = Path(file).read_bytes()
        if data:
            # With a chunk as large as all of it, gcsfs sends only the content. Otherwise it would
            # be a part of a multipart body with bare line feeds, and a carriage return at its end
            # would be taken for the first half of the delimiter (RFC 2046, section 5.1.1).
            system.pipe_file(target, data, chunksize=len(data), consistency="size")
        else:
            system.put_file(file, target)

    def remove(self, name: str) -> None:
        """See `Storage`."""
        system, root = self._system()
        with contextlib.suppress(StorageError):
            self._ask(name, "deleted", lambda: system.rm_file(f"{root}/{name}"))

    def _ask(self, name: str, done: str, ask: Callable[[], T]) -> T:
        """The result of a request. It is repeated if the server failed, unless the library has done
        so. Raises `StorageError`."""
        attempts = 1 if scheme_of(self._url) in REPEATING else ATTEMPTS
        for attempt in range(1, attempts + 1):
            try:
                return ask()
            except FileNotFoundError:
                if done == "listed":
                    return {}  # type: ignore[return-value]
                if done == "written":
                    text = f"{self.shown}/{name}: cannot be written: there is no such bucket"
                    raise StorageError(text) from None
                raise MissingError(f"{self.shown}/{name}: is not there") from None
            except Exception as error:  # Anything that a provider's library raises.
                if attempt == attempts or isinstance(error, PermissionError):
                    text = f"{self.shown}/{name}: cannot be {done}: {reason_of(error)}"
                    raise StorageError(text) from None
                time.sleep(PAUSE * 2 ** (attempt - 1))
        raise AssertionError


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """So many bytes, or those that are left."""
    parts = []
    while size and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
