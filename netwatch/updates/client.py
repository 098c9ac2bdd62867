"""A set from a repository, verified by the rules of The Update Framework (theupdateframework.io).

TUF refuses whatever is not signed with the keys that the root names, is older than what was seen
before, is expired, or is combined from several versions. The errors say which.

The files of a repository are on a server, in a folder, or in one archive. All three are
implementations of python-tuf's `FetcherInterface`, which limits how much of a file is read. A file
that does not exist is HTTP status 404, by which TUF notices that there is no newer root.
"""

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol
from urllib.parse import unquote, urlsplit

import urllib3
from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
    SlowRetrievalError,
    UnsignedMetadataError,
)
from tuf.api.metadata import TargetFile
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from netwatch import __version__
from netwatch.core.exchange import UPDATES, WHOLE_UPDATE, Exchange
from netwatch.core.tls_sockets import contexts, open_pool
from netwatch.updates.set_format import (
    ARCHIVE,
    MANIFEST,
    MAX_ARCHIVE_BYTES,
    MAX_MANIFEST_BYTES,
    Content,
    Manifest,
    SetError,
    is_readable_by,
    read_manifest,
    time_text,
    unpack,
)

MAX_MEMBERS = 100_000
"""Members of a repository's archive. Each set adds some five."""

_CHUNK = 256 << 10
_NOT_FOUND = 404

MAX_ROOT_ROTATIONS = 64
"""New versions of the root in one update."""

MAX_METADATA_BYTES = 256 << 10
"""Bytes of one metadata file. Each has a few keys and signatures, and two targets."""

MAX_CLOCK_DIFFERENCE = 86_400
"""How far in the future a set may have been made, in s by this machine's clock."""

_CONFIG = UpdaterConfig(
    max_root_rotations=MAX_ROOT_ROTATIONS,
    max_delegations=1,
    root_max_length=MAX_METADATA_BYTES,
    timestamp_max_length=MAX_METADATA_BYTES,
    snapshot_max_length=MAX_METADATA_BYTES,
    targets_max_length=MAX_METADATA_BYTES,
)

_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (ExpiredMetadataError, "it is past its expiry, so an old state may be served (freeze)"),
    (BadVersionNumberError, "it is older than what was seen before (rollback)"),
    (UnsignedMetadataError, "it is not signed by the keys of the root (forged)"),
    (LengthOrHashMismatchError, "a file is not the one that was signed (altered or mixed)"),
    (DownloadLengthMismatchError, "a file is larger than it may be"),
    (SlowRetrievalError, "it answers too slowly"),
    (DownloadHTTPError, "a file is missing, perhaps because the upload is not complete"),
    (DownloadError, "it cannot be reached"),
    (RepositoryError, "its metadata are not valid"),
)
"""The meaning of a TUF error; the first that fits."""


class Closeable(Protocol):
    """Something open."""

    def close(self) -> None: ...  # noqa: D102


class SourceFetcher(FetcherInterface):
    """A fetcher with at most one open file, which `close` closes: TUF stops reading in the middle
    if a file is too long."""

    def __init__(self) -> None:
        self._file: Closeable | None = None

    def close(self) -> None:
        """Close what is open."""
        self._opened(None)

    def _opened(self, file: Closeable | None) -> None:
        if self._file is not None:
            self._file.close()
        self._file = file


class HttpFetcher(SourceFetcher):
    """Fetches from a server, through the proxy at `proxy` unless it is empty. Redirections are not
    followed, so that everything comes from the URL in the configuration."""

    def __init__(self, proxy: str) -> None:
        super().__init__()
        self._proxy = proxy
        self._pool: urllib3.PoolManager | None = None
        self._update = Exchange(WHOLE_UPDATE)

    def close(self) -> None:
        """Close the connections."""
        super().close()
        if self._pool is not None:
            self._pool.clear()

    def _fetch(self, url: str) -> Iterator[bytes]:
        file = Exchange(UPDATES)
        if self._pool is None:
            self._pool = open_pool(self._proxy, contexts(url, self._proxy))
        headers = {"User-Agent": f"netwatch/{__version__}", "Accept-Encoding": "identity"}
        with self._bounded(file, url):
            response = self._pool.request(
                "GET",
                url,
                headers=headers,
                preload_content=False,
                redirect=False,
                retries=urllib3.Retry(connect=1, read=1, redirect=0, status=0, other=0),
            )
        file.begin_body()
        self._opened(response)
        if response.status != 200:
            # Some servers answer 403 instead; TUF handles both.
            raise DownloadHTTPError(f"{url}: HTTP status {response.status}", response.status)
        return self._body(response, file, url)

    def _body(self, response: Any, file: Exchange, url: str) -> Iterator[bytes]:
        """The body of a response."""
        while True:
            with self._bounded(file, url):
                chunk = response.read(_CHUNK, decode_content=False)
            if not chunk:
                return
            yield chunk

    @contextmanager
    def _bounded(self, file: Exchange, url: str) -> Iterator[None]:
        """Within the context, the limits of one file and of the whole update apply. Raises
        `SlowRetrievalError` if one of them is reached."""
        try:
            with self._update.going_on(), file.going_on():
                yield
        except (urllib3.exceptions.HTTPError, OSError):
            reason = file.expired or self._update.expired
            if not reason:
                raise
            raise SlowRetrievalError(
                f"{url}: {reason}; if that does not pass, name another mirror as 'updates: url'"
            ) from None


class FolderFetcher(SourceFetcher):
    """Fetches from a folder; the URLs are those from `base_url`."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(unquote(urlsplit(url).path))
        try:
            file = path.open("rb")
        except (FileNotFoundError, NotADirectoryError):
            raise DownloadHTTPError(f"there is no file {path}", _NOT_FOUND) from None
        self._opened(file)
        if not path.is_file():
            raise DownloadError(f"{path}: is no file")
        return _pieces(file)


class ArchiveFetcher(SourceFetcher):
    """Fetches from a tar archive of a repository. It is not compressed, so that nothing has to be
    unpacked before its length is known. Raises `SetError` if it is not an archive."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            self._tar = tarfile.open(path, "r:")  # noqa: SIM115 - open until `close`
        except (tarfile.TarError, OSError) as error:
            raise SetError(
                f"{path}: expected a folder or a tar archive of a repository ({error})"
            ) from None
        self._members: dict[str, tarfile.TarInfo] = {}
        try:
            self._index(path)
        except BaseException:
            self._tar.close()
            raise
        names = (name for name in self._members if name.endswith("metadata/timestamp.json"))
        self._prefix = min(names, key=len, default="").removesuffix("metadata/timestamp.json")

    def _index(self, path: Path) -> None:
        try:
            while (member := self._tar.next()) is not None:
                if len(self._members) == MAX_MEMBERS:
                    raise SetError(f"{path}: expected at most {MAX_MEMBERS:,} members, found more")
                if member.isreg():
                    self._members[str(PurePosixPath(member.name))] = member
        except (tarfile.TarError, OSError) as error:
            raise SetError(f"{path}: is damaged: {error}") from None

    def close(self) -> None:
        """Close the archive."""
        super().close()
        self._tar.close()

    def _fetch(self, url: str) -> Iterator[bytes]:
        name = unquote(urlsplit(url).path).lstrip("/")
        member = self._members.get(self._prefix + name)
        reader = self._tar.extractfile(member) if member is not None else None
        if reader is None:
            raise DownloadHTTPError(f"the archive has no file {name}", _NOT_FOUND)
        self._opened(reader)
        return _pieces(reader)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def fetcher_for(source: str, proxy: str) -> tuple[SourceFetcher, str]:
    """The fetcher for a source (a URL, or the path of a folder or of an archive), and the URL under
    which it finds the repository. A server is contacted through `proxy`, unless it is empty. Raises
    `SetError` if there is no such source."""
    if source.startswith(("https:", "http:")):
        return HttpFetcher(proxy), source
    path = Path(unquote(urlsplit(source).path) if source.startswith("file:") else source)
    if path.is_dir():
        return FolderFetcher(), path.resolve().as_uri()
    if path.exists():
        return ArchiveFetcher(path), "archive:///"
    raise SetError(f"{path}: expected a folder or an archive of a repository, found nothing")


class Repository:
    """The current repository at `source` (see `fetchers.fetcher_for`). `root` has the bytes of the
    trusted root, `metadata` is the folder for the state of TUF. A server is contacted through
    `proxy`, unless it is empty.

    Raises `SetError` if the repository cannot be trusted; so do the methods.
    """

    def __init__(self, source: str, root: bytes, metadata: Path, *, proxy: str = "") -> None:
        self.source = source
        self._fetcher, base = fetcher_for(source, proxy)
        base = base if base.endswith("/") else f"{base}/"
        try:
            with _explained(source):
                self._updater = Updater(
                    str(metadata),
                    metadata_base_url=f"{base}metadata/",
                    target_base_url=f"{base}targets/",
                    fetcher=self._fetcher,
                    config=_CONFIG,
                    bootstrap=root,
                )
                self._updater.refresh()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close what is open."""
        self._fetcher.close()

    def manifest(self, scratch: Path) -> tuple[Manifest, bytes]:
        """The manifest of the set, and its bytes. Files are downloaded to the folder `scratch`."""
        raw = self._download(MANIFEST, scratch, MAX_MANIFEST_BYTES)
        manifest = read_manifest(raw)
        now = datetime.now(UTC)
        if now >= manifest.expires:
            raise SetError(
                f"{self.source}: set {manifest.version} expired at {time_text(manifest.expires)}"
            )
        if manifest.created > now + timedelta(seconds=MAX_CLOCK_DIFFERENCE):
            raise SetError(
                f"{self.source}: set {manifest.version} was made at {time_text(manifest.created)},"
                f" after now, {time_text(now)}; expected the clock of this machine to be right"
            )
        if not is_readable_by(manifest.netwatch, __version__):
            raise SetError(
                f"{self.source}: set {manifest.version} needs netwatch {manifest.netwatch} or"
                f" newer, this is {__version__}"
            )
        return manifest, raw

    def files(self, manifest: Manifest, scratch: Path) -> dict[str, bytes]:
        """The files of the set with this manifest."""
        archive = self._download(ARCHIVE, scratch, MAX_ARCHIVE_BYTES)
        if Content.of(archive) != manifest.archive:
            raise SetError(f"{self.source}: {ARCHIVE} is not the one that {MANIFEST} names")
        return unpack(archive, manifest)

    def _download(self, name: str, scratch: Path, limit: int) -> bytes:
        with _explained(self.source):
            target: TargetFile | None = self._updater.get_targetinfo(name)
            if target is None:
                raise SetError(f"{self.source}: the repository has no {name}")
            if target.length > limit:
                raise SetError(
                    f"{self.source}: {name}: expected at most {limit:,} bytes, found"
                    f" {target.length:,}"
                )
            path = Path(self._updater.download_target(target, str(scratch / name)))
            return path.read_bytes()


class _explained:  # noqa: N801 - used as a context, like a function
    """Within the context, errors of TUF and of the network become a `SetError` that explains
    them."""

    def __init__(self, source: str) -> None:
        self._source = source

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SetError) or error is None:
            return
        if isinstance(error, (RepositoryError, DownloadError)):
            reason = next(text for of, text in _REASONS if isinstance(error, of))
            cause = error.__cause__ or error
            raise SetError(f"{self._source}: {reason}: {cause}") from None
        if isinstance(error, (urllib3.exceptions.HTTPError, OSError, ValueError)):
            raise SetError(f"{self._source}: it cannot be read: {error}") from None
