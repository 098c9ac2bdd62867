"""Captures in an object store, as fsspec opens them: S3, Google Cloud Storage, Azure and others.

The providers' libraries read credentials, endpoints and proxies from the environment
(``AWS_PROFILE``, ``AWS_ENDPOINT_URL``, ``GOOGLE_APPLICATION_CREDENTIALS``,
``AZURE_STORAGE_CONNECTION_STRING`` and more) and from the configuration of fsspec. None is ever
shown.

S3 objects are found here and read by `S3Object`. For the others fsspec fetches ranges, and the
content is compared at the end with the one at the start. Libraries that repeat failed requests
themselves (`netwatch.capture.file_systems.REPEATING`) are left to do so.

s3fs finds the objects, and could also read them. But its bodies pass through an event loop in
chunks of some KiB, which takes three times as much CPU as botocore below it takes without one,
while other threads judge packets. So the ranges are fetched by a botocore client with the settings
of s3fs. Each request names the expected ETag, and no more of a body is read than was requested.

botocore repeats a request that a server temporarily refuses or does not answer; a body that is cut
is continued by `netwatch.capture.remote_file`.
"""

import os
from collections.abc import Iterator
from typing import Any

from netwatch.capture.file_systems import (
    BUCKETS,
    REPEATING,
    S3,
    authority_of,
    open_file_system,
    raising,
    reason_of,
    scheme_of,
)
from netwatch.capture.locations import (
    FileInfo,
    FoundUrl,
    OpenFile,
    fixed_part,
    has_magic,
    is_hidden,
    matcher,
    shown_url,
)
from netwatch.capture.remote_file import (
    ATTEMPTS,
    Pace,
    Range,
    RemoteError,
    RemoteFile,
    TransientError,
)
from netwatch.core.errors import CaptureError, ConfigError

TIMEOUT = 30
"""Seconds to connect to a server, and of its silence."""

CONNECTIONS = 32
"""Connections to a server to keep."""

PIECE = 1 << 18
"""Bytes of a body to read at a time."""

_FINAL = (FileNotFoundError, PermissionError, ValueError, NotImplementedError)
"""Errors after which another attempt would not help."""

_IDENTITIES = ("ETag", "generation", "etag", "LastModified", "last_modified", "mtime", "created")


def s3_options() -> dict[str, Any]:
    """The options of s3fs, except those from the environment."""
    settings: dict[str, Any] = {
        "connect_timeout": TIMEOUT,
        "read_timeout": TIMEOUT,
        "max_pool_connections": CONNECTIONS,
    }
    if not {"AWS_MAX_ATTEMPTS", "AWS_RETRY_MODE"} & {*os.environ}:
        settings["retries"] = {"mode": "standard", "total_max_attempts": ATTEMPTS}
    return {"config_kwargs": settings}


class S3Object:
    """Fetches ranges of the object at a path of `system`, a file system of s3fs."""

    def __init__(self, system: Any, path: str, info: FileInfo) -> None:
        self._client = _client_of(system)
        bucket, key, _ = system.split_path(path)
        self._request = {"Bucket": bucket, "Key": key, **system.req_kw}
        if info.etag:
            self._request["IfMatch"] = f'"{info.etag}"'

    def fetch(self, wanted: Range) -> bytes:
        """See `netwatch.capture.remote_file.Fetch`."""
        asked = f"bytes {wanted.start}-"
        # The library has already repeated what may succeed later.
        with raising(RemoteError):
            answer = self._client.get_object(
                Range=f"bytes={wanted.start}-{wanted.end - 1}", **self._request
            )
        body = answer["Body"]
        try:
            if not str(answer.get("ContentRange", asked)).startswith(asked):
                raise RemoteError("the server answered with other bytes than were asked for")
            return _taken(body, wanted.end - wanted.start)
        finally:
            body.close()


def _taken(body: Any, size: int) -> bytes:
    """The first `size` bytes of a body, fewer if it ends before. Raises `TransientError` if there
    are none."""
    pieces: list[bytes] = []
    pace = Pace()
    while size:
        try:
            with raising(TransientError):
                piece = body.read(min(PIECE, size))
            pace.add(len(piece))
        except TransientError:
            if pieces:
                break  # what has arrived counts, and the next attempt asks for the rest
            raise
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def _client_of(system: Any) -> Any:
    """The client with the settings of an s3fs file system, which keeps it: a forked process has
    file systems of its own."""
    if not hasattr(system, "netwatch_client"):
        system.netwatch_client = _new_client(system)
    return system.netwatch_client


def _new_client(system: Any) -> Any:
    import botocore.session
    from botocore import UNSIGNED
    from botocore.config import Config

    settings, options = dict(system.config_kwargs), dict(system.client_kwargs)
    if system.anon:
        settings["signature_version"] = UNSIGNED
    known = {
        "aws_access_key_id": system.key,
        "aws_secret_access_key": system.secret,
        "aws_session_token": system.token,
        "endpoint_url": system.endpoint_url,
    }
    options = {name: value for name, value in known.items() if value is not None} | options
    options.setdefault("use_ssl", system.use_ssl)
    session = botocore.session.Session(**system.kwargs)
    return session.create_client("s3", config=Config(**settings), **options)


def find_urls(url: str) -> Iterator[FoundUrl]:
    """The captures at a URL: itself, those below a folder (a prefix that ends where a name does),
    or those that match a glob. Hidden names are left out, as on a disk. Raises `CaptureError` if
    there is none or the server fails, and `ConfigError` if a library for the scheme is missing or
    there is no such scheme."""
    store = _Store(url)
    root, is_folder = store.root, url.endswith("/")
    if is_folder and has_magic(root):
        yield from store.matching(f"{root}/")
        return
    if not is_folder:
        found = store.info(root)
        if found is not None and found["type"] == "file":
            yield FoundUrl(url, store.described(found))
            return
        is_folder = found is not None
    if is_folder:
        yield from store.below(root, is_named=False)
    elif has_magic(root):
        yield from store.matching(root)
    else:
        raise CaptureError(f"{store.shown}: no such object or folder")


def open_url(url: str, info: FileInfo | None) -> OpenFile:
    """Open the capture at a URL. If `info` has an etag, only that content is read: another one is
    an error and never a mix of two. Raises as `find_urls`."""
    store = _Store(url)
    if info is None or info.size is None:
        info = info_of_url(url)
    assert info.size is not None
    if store.is_s3:
        return RemoteFile(S3Object(store.system, store.root, info).fetch, info.size)
    return RemoteFile(_Ranges(store).fetch, info.size, verify=_Unchanged(url, info))


def info_of_url(url: str) -> FileInfo:
    """The identity of the current content at a URL. Raises as `find_urls`."""
    store = _Store(url)
    found = store.info(store.root)
    if found is None or found["type"] != "file":
        reason = "is a folder, expected a file" if found else "no such object or folder"
        raise CaptureError(f"{store.shown}: {reason}")
    return store.described(found)


class _Store:
    """The file system of a URL, and the path in it."""

    def __init__(self, url: str) -> None:
        self.shown = shown_url(url)
        self.protocol = scheme_of(url)
        self.is_s3 = self.protocol in S3
        self._authority = authority_of(url)
        options = s3_options() if self.is_s3 else {}
        with raising(self._unreadable, but=(ConfigError,)):
            self.system, self.root = open_file_system(url, **options)
        if self.is_s3:
            # The underlying library already repeats requests, considering the server's errors.
            self.system.retries = 1

    def info(self, path: str) -> dict[str, Any] | None:
        """The store's information about an object or folder, None if there is none. Raises
        `CaptureError`."""
        try:
            with raising(self._unreadable, but=(FileNotFoundError,)):
                found: dict[str, Any] = self.system.info(path)
        except FileNotFoundError:
            return None
        return found

    def _unreadable(self, reason: str) -> CaptureError:
        return CaptureError(f"{self.shown}: {reason}")

    def described(self, found: dict[str, Any]) -> FileInfo:
        """The identity of an object."""
        known = next((found[name] for name in _IDENTITIES if found.get(name)), "")
        # A time is a number in some answers and an object in others of the same file system.
        known = known.timestamp() if hasattr(known, "timestamp") else known
        etag = str(known).strip('"')
        size = None if found.get("size") is None else int(found["size"])
        return FileInfo(shown_url(self.url(found["name"])), etag, size)

    def url(self, name: str) -> str:
        """The URL of an object of this store."""
        if self.protocol == "memory":
            return f"memory://{name}"
        if self.protocol in BUCKETS and self.root.partition("/")[0] in self._authority.split("@"):
            # The bucket is in the authority, unless that is an Azure account.
            name = name.partition("/")[2]
        return f"{self.protocol}://{self._authority}/{name.lstrip('/')}"

    def below(self, folder: str, is_named: bool) -> Iterator[FoundUrl]:
        """All objects below a folder, in the order of a folder on a disk."""
        found = [each for each in self._listed(folder, "") if not is_hidden(each["name"], folder)]
        for each in found:
            yield FoundUrl(self.url(each["name"]), self.described(each), is_named)
        if not found:
            raise CaptureError(f"{self.shown}: no files in this folder")

    def matching(self, pattern: str) -> Iterator[FoundUrl]:
        """All objects that match a glob, or are in a folder that does."""
        folder, stem = fixed_part(pattern)
        matches = matcher(pattern)
        is_any = False
        for each in self._listed(folder, stem):
            named = matches(each["name"])
            if named is not None:
                is_any = True
                yield FoundUrl(self.url(each["name"]), self.described(each), named)
        if not is_any:
            raise CaptureError(f"{self.shown}: no file matches")

    def _listed(self, folder: str, stem: str) -> list[dict[str, Any]]:
        options = {"prefix": stem} if stem and self.is_s3 else {}
        try:
            with raising(self._unreadable, but=(FileNotFoundError,)):
                found = self.system.find(folder, detail=True, **options)
        except FileNotFoundError:
            return []
        if not isinstance(found, dict):
            return []  # adlfs returns the name of a file instead of the folder's
        files = [each for each in found.values() if each["type"] == "file"]
        # An object whose name ends in a slash represents a folder.
        files = [each for each in files if not each["name"].endswith("/")]
        return sorted(files, key=lambda each: each["name"].split("/"))


class _Ranges:
    """Fetches ranges of an object with the methods that all fsspec file systems have."""

    def __init__(self, store: _Store) -> None:
        self._store = store

    def fetch(self, wanted: Range) -> bytes:
        """See `netwatch.capture.remote_file.Fetch`."""
        final = (Exception,) if self._store.protocol in REPEATING else _FINAL
        try:
            with raising(TransientError, but=final):
                data: bytes = self._store.system.cat_file(
                    self._store.root, start=wanted.start, end=wanted.end
                )
        except final as error:
            raise RemoteError(reason_of(error)) from None
        if len(data) > wanted.end - wanted.start:
            # A server that ignores ranges, or an object that was decompressed in transit.
            text = "more bytes came than were asked for, as of objects with a Content-Encoding"
            raise RemoteError(text)
        return data


class _Unchanged:
    """Compares the content that a URL has now with `info`."""

    def __init__(self, url: str, info: FileInfo) -> None:
        self._url = url
        self._info = info

    def __call__(self) -> None:
        """Raise `RemoteError` if it is different."""
        try:
            now = info_of_url(self._url)
        except CaptureError as error:
            raise RemoteError(str(error).removeprefix(f"{shown_url(self._url)}: ")) from None
        if (now.etag, now.size) != (self._info.etag, self._info.size):
            raise RemoteError("it has changed while it was read")
