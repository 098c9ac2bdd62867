"""A set from a repository, verified as The Update Framework demands (theupdateframework.io).

The rules of TUF refuse whatever is not signed by the keys that the root names, older than what was
seen before, past its expiry, or put together from several versions. The errors name which.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

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
from tuf.ngclient import Updater, UpdaterConfig

from netwatch import __version__
from netwatch.updates.fetchers import fetcher_for
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

MAX_ROOT_ROTATIONS = 64
"""Versions of the root that are followed in one update."""

MAX_METADATA_BYTES = 256 << 10
"""Bytes of one file of metadata. Each has a few keys and signatures, and two targets."""

MAX_CLOCK_DIFFERENCE = 86_400
"""How far in the future a set may have been made, in s by the clock of this machine."""

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
"""What an error of TUF means; the first that fits."""


class Repository:
    """The repository at `source` (see `fetchers.fetcher_for`) as it is now. `root` has the bytes of
    the trusted root, `metadata` is the folder for what TUF has to remember. A server is asked
    through `proxy`, unless that is empty.

    Raises `SetError` where the repository cannot be trusted; so do the methods.
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
    """Within the context, errors of TUF and of the network become a `SetError` that says what they
    mean."""

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
