"""What a centre has published, as it keeps it on disk: the truth that the server only carries.

::

    versions.json                  the highest version of each kind that was ever given
    set.all.bundle                 the newest set for all sensors
    configuration.sensor.x.bundle  the newest configuration for sensor x

A version counts for a kind, over all audiences: a sensor uses the newest bundle that is for it, by
name or with all others. The version is on disk before the bundle is signed, so none is given twice,
also where the publisher is killed in between. A server that lost its stream is given the files
again.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from netwatch import __version__
from netwatch.core.errors import NetwatchError
from netwatch.core.user_files import read_user_file
from netwatch.fleet.bundle import MAX_BUNDLE_BYTES, Bundle, read_bundle, write_bundle
from netwatch.fleet.signing_key import SigningKey, open_signing_key, read_public_key
from netwatch.fleet.subjects import ALL, audience_text, is_audience
from netwatch.updates.published import SHAPES
from netwatch.updates.set_format import (
    MAX_VERSION,
    Content,
    Manifest,
    SetError,
    pack,
    read_manifest,
)

DEFAULT_LIFE = timedelta(days=365)
"""How long a bundle may be applied unless its publisher says otherwise. What a sensor has applied
stays in use; a sensor that is enrolled later needs one that is still valid."""

_VERSIONS, _SUFFIX, _MODE = "versions.json", ".bundle", 0o600


@dataclass(frozen=True, slots=True)
class Published:
    """The newest bundle of a kind for an audience; `data` are its bytes."""

    bundle: Bundle
    data: bytes


def open_publications(centre: Path) -> "Publications":
    """What was published by the centre with this folder. Its key is made where there is none.
    Raises `NetwatchError`."""
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
        before; `release` is the least netwatch that can read them."""
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
        with self._locked():
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
        return sorted(found, key=lambda each: (each.bundle.kind, each.bundle.manifest.version))

    def newest(self, kind: str, audience: str) -> dict[str, bytes] | None:
        """The files that a sensor of this audience has of a kind, once it has applied everything;
        None where nothing was published to it."""
        found = [
            each.bundle
            for each in self.listing()
            if each.bundle.kind == kind and each.bundle.audience in (audience, ALL)
        ]
        return found[-1].files() if found else None

    def fingerprint(self) -> object:
        """What changes whenever something is published."""
        found = []
        for path in self.folder.glob(f"*{_SUFFIX}"):
            with contextlib.suppress(OSError):
                status = path.stat()
                found.append((path.name, status.st_mtime_ns, status.st_size, status.st_ino))
        return sorted(found)

    def _next_version(self, kind: str) -> int:
        """The next version of a kind, which is on disk as given away."""
        path = self.folder / _VERSIONS
        versions: dict[str, int] = {}
        if path.exists():
            try:
                content = json.loads(read_user_file(path, 1 << 16))
                versions = {str(name): int(number) for name, number in content.items()}
            except (ValueError, TypeError, AttributeError, NetwatchError) as error:
                raise NetwatchError(
                    f"{path} is damaged ({error}): expected the highest version of each kind, as in"
                    ' {"set": 7}; netwatch fleet status shows what sensors have applied'
                ) from None
        version = versions.get(kind, 0) + 1
        if not 0 < version <= MAX_VERSION:
            raise NetwatchError(f"{path}: expected versions from 0 to {MAX_VERSION - 1:,}")
        self._write(_VERSIONS, json.dumps({**versions, kind: version}).encode() + b"\n")
        return version

    def _write(self, name: str, data: bytes) -> None:
        """Write a file as a whole, on disk before this returns."""
        path, new = self.folder / name, self.folder / f".{name}.new"
        try:
            with contextlib.suppress(FileNotFoundError):
                new.unlink()
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            with os.fdopen(os.open(new, flags, _MODE), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
            descriptor = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise NetwatchError(f"{path} cannot be written: {error.strerror}") from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """A context in which nobody else publishes."""
        try:
            self.folder.mkdir(0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise NetwatchError(f"{self.folder} cannot be made: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError:
            raise NetwatchError(f"{self.folder}: another process publishes now") from None
        finally:
            os.close(descriptor)
