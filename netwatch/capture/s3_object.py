"""Reads objects of S3, a range at a time.

s3fs finds the objects, and with it they could be read. But its bodies pass through an event loop in
chunks of some KiB, which takes three times as much of the CPU as botocore below it takes without
one, while other threads judge packets. So the ranges are fetched by a client of botocore with the
settings of s3fs. Each request names the ETag that is meant, and no more of a body is read than was
asked for.

botocore repeats a request that a server refuses for the moment or does not answer; a body that is
cut is continued by `netwatch.capture.remote_file`.
"""

import os
from typing import Any

from netwatch.capture.library_errors import raising
from netwatch.capture.locations import FileInfo
from netwatch.capture.remote_file import ATTEMPTS, Pace, Range, RemoteError, TransientError

TIMEOUT = 30
"""Seconds to connect to a server, and that it may be silent."""

CONNECTIONS = 32
"""Connections to a server that are kept."""

PIECE = 1 << 18
"""Bytes of a body that are read at a time."""


def s3_options() -> dict[str, Any]:
    """The options of s3fs, but for what the environment says."""
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
        # What is worth another attempt was tried again by the library.
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
    """The first `size` bytes of a body, fewer where it ends before. Raises `TransientError` where
    there are none."""
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
    """The client with the settings of a file system of s3fs, which keeps it: a process that is
    forked has file systems of its own."""
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
