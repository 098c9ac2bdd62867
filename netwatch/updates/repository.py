"""A repository of sets, as its publisher keeps it: a folder that any web server can serve.

::

    metadata/1.root.json        who may sign what; the first one is what subscribers are given
    metadata/12.targets.json    the manifest and the archive of a set
    metadata/12.snapshot.json   which targets.json is the newest
    metadata/timestamp.json     which snapshot is the newest; short-lived
    targets/HASH.set.json       manifests and archives, named after their hashes

Everything is written under a new name, and `timestamp.json` last: subscribers see either the old
state or the new one, even if the publisher is killed in between or uploads in this order.

There is one file for each private key, never overwritten. It is named after its role and the
beginning of its key id (``targets-0a1b2c3d.pem``), so that an old key can stay next to a new one.
The root of the repository says which of them is in force. Keys of roles that sign rarely,
especially ``root``, should be kept offline.
"""

import hashlib
import stat
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError
from tuf.api.serialization.json import JSONSerializer

from netwatch.core.errors import NetwatchError
from netwatch.core.system.files import publishing, write_new, write_whole
from netwatch.core.user_yaml import read_user_file
from netwatch.updates.set_format import (
    ARCHIVE,
    MANIFEST,
    Content,
    Manifest,
    SetError,
    pack,
    read_manifest,
)

ROLES = ("root", "targets", "snapshot", "timestamp")
"""The roles of TUF. Each has one key."""

MAX_KEY_BYTES = 16 << 10
"""Bytes of a key file."""

ROOT_LIFE = timedelta(days=5 * 365)
"""How long a root is valid. It is renewed at each rotation of a key."""

ROOT_WARNING = timedelta(days=180)
"""How long before the root expires the publisher is warned."""

_T = TypeVar("_T", Root, Snapshot, Targets, Timestamp)


class KeyFolder:
    """The keys in `folder`. Methods raise `SetError`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def is_empty(self) -> bool:
        """Whether the folder has no keys, or does not exist."""
        return not any(self._files("*"))

    def create(self, role: str) -> CryptoSigner:
        """Make an Ed25519 key for a role, and write it to a new file for its owner only."""
        signer = CryptoSigner.generate_ed25519()
        path = self.folder / f"{role}-{signer.public_key.keyid[:8]}.pem"
        try:
            self.folder.mkdir(0o700, parents=True, exist_ok=True)
            write_new(path, signer.private_bytes)
        except OSError as error:
            raise SetError(f"{path}: cannot be written: {error.strerror}") from None
        return signer

    def signer(self, role: str, key_ids: Collection[str]) -> CryptoSigner:
        """The key of a role with one of these ids, which come from the root."""
        for path in self._files(role):
            signer = _load(path)
            if signer.public_key.keyid in key_ids:
                return signer
        wanted = " or ".join(f"{role}-{key_id[:8]}.pem" for key_id in key_ids)
        raise SetError(f"{self.folder}: expected the key {wanted}, which the root names")

    def only(self, role: str) -> CryptoSigner | None:
        """The key of a role that never has more than one; None if there is none."""
        files = self._files(role)
        if len(files) > 1:
            names = ", ".join(path.name for path in files)
            raise SetError(f"{self.folder}: expected one key of {role}, found {names}")
        return _load(files[0]) if files else None

    def _files(self, role: str) -> list[Path]:
        return sorted(self.folder.glob(f"{role}-*.pem"))


def _load(path: Path) -> CryptoSigner:
    try:
        mode = path.lstat().st_mode
        if not stat.S_ISREG(mode):
            raise SetError(f"{path}: expected a file, found another kind of entry")
        if mode & 0o077:
            raise SetError(
                f"{path}: expected a key that only its owner may read, found mode"
                f" {stat.S_IMODE(mode):o}; chmod 600 restricts it"
            )
        key = load_pem_private_key(read_user_file(path, MAX_KEY_BYTES), password=None)
    except SetError:
        raise
    except (OSError, ValueError, TypeError, NetwatchError) as error:
        raise SetError(f"{path}: expected a private key in PEM, not encrypted ({error})") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SetError(f"{path}: expected an Ed25519 key, found another kind")
    return CryptoSigner(key)


class Repository:
    """The repository in `folder`, signed with `keys`. `now` is the time of signing.

    Methods raise `SetError`; then subscribers still see what they saw before.
    """

    def __init__(self, folder: Path, keys: KeyFolder, now: datetime | None = None) -> None:
        self.folder = folder
        self._keys = keys
        self._now = (now or datetime.now(UTC)).replace(microsecond=0)

    def create(self) -> Path:
        """Make the keys and the first root, and return the root's path. Nothing may exist yet."""
        if self._root_versions():
            raise SetError(f"{self.folder}: expected a new repository, found one with a root")
        if not self._keys.is_empty():
            raise SetError(f"{self._keys.folder}: expected a folder without keys, found some")
        root = Root(expires=self._now + ROOT_LIFE, consistent_snapshot=True)
        signers = {role: self._keys.create(role) for role in ROLES}
        for role, signer in signers.items():
            root.add_key(signer.public_key, role)
        with publishing(self.folder, 0o777, SetError):
            self._write_signed("1.root.json", Metadata(root), [signers["root"]])
        return self.folder / "metadata" / "1.root.json"

    def publish(
        self, files: Mapping[str, bytes], life: timedelta, timestamp_life: timedelta, release: str
    ) -> Manifest:
        """Add the next set. It is valid for `life`; the timestamp for `timestamp_life`, after which
        it has to be signed again. `release` is the minimum version of netwatch that can read the
        set."""
        root = self.root()
        signers = {role: self._signer(root, role) for role in ROLES[1:]}
        with publishing(self.folder, 0o777, SetError):
            last = self.last_manifest()
            archive = pack(files)
            manifest = Manifest(
                version=1 if last is None else last.version + 1,
                created=self._now,
                expires=self._now + life,
                netwatch=release,
                archive=Content.of(archive),
                files={name: Content.of(data) for name, data in files.items()},
            )
            content = {MANIFEST: manifest.to_bytes(), ARCHIVE: archive}
            read_manifest(content[MANIFEST])
            targets = self._next(Targets, self._newest_targets(), self._now + life)
            targets.signed.targets = {
                name: TargetFile.from_data(name, data, ["sha256"]) for name, data in content.items()
            }
            for name, data in content.items():
                self._write(self.folder / "targets" / f"{_sha256(data)}.{name}", data)
            self._sign_all(signers, targets, timestamp_life)
        return manifest

    def refresh(self, timestamp_life: timedelta) -> datetime:
        """Sign the timestamp again, which needs only the timestamp key. Returns its expiry."""
        signer = self._signer(self.root(), "timestamp")
        with publishing(self.folder, 0o777, SetError):
            old = self._timestamp()
            if old is None:
                raise SetError(f"{self.folder}: expected a repository with a set, found none")
            new = self._next(Timestamp, old, self._now + timestamp_life)
            new.signed.snapshot_meta = old.signed.snapshot_meta
            self._write_signed("timestamp.json", new, [signer])
        return new.signed.expires

    def rotate(self, roles: Sequence[str], timestamp_life: timedelta) -> Path:
        """Replace the keys of these roles by new ones, in a new root, whose path is returned. The
        old and the new root key sign it, so that subscribers follow; the current set is signed
        again with the new keys."""
        old = self.root()
        old_signer = self._signer(old, "root")
        current = {
            role: self._signer(old, role) for role in ROLES if role not in roles or role == "root"
        }
        new = self._next(Root, old, self._now + ROOT_LIFE)
        new.signed.consistent_snapshot = True
        new.signed.keys, new.signed.roles = dict(old.signed.keys), dict(old.signed.roles)
        signers = dict(current)
        with publishing(self.folder, 0o777, SetError):
            for role in roles:
                signers[role] = self._keys.create(role)
                for key_id in list(new.signed.roles[role].keyids):
                    new.signed.revoke_key(key_id, role)
                new.signed.add_key(signers[role].public_key, role)
            name = f"{new.signed.version}.root.json"
            self._write_signed(name, new, [old_signer, signers["root"]])
            newest = self._newest_targets()
            if newest is not None:
                targets = self._next(Targets, newest, newest.signed.expires)
                targets.signed.targets = newest.signed.targets
                self._sign_all(signers, targets, timestamp_life)
        return self.folder / "metadata" / name

    def root(self) -> Metadata[Root]:
        """The newest root."""
        versions = self._root_versions()
        if not versions:
            raise SetError(f"{self.folder}: expected a repository, found none; --init makes one")
        return self._read(f"{versions[-1]}.root.json", Root)

    def root_expires_soon(self) -> bool:
        """Whether the root is close to its expiry."""
        return self._now > self.root().signed.expires - ROOT_WARNING

    def last_manifest(self) -> Manifest | None:
        """The manifest of the newest set; None if none was published."""
        targets = self._newest_targets()
        if targets is None:
            return None
        target = targets.signed.targets[MANIFEST]
        path = self.folder / "targets" / f"{target.hashes['sha256']}.{MANIFEST}"
        try:
            return read_manifest(path.read_bytes())
        except OSError as error:
            raise SetError(f"{path}: cannot be read: {error.strerror}") from None

    def _sign_all(
        self,
        signers: Mapping[str, CryptoSigner],
        targets: Metadata[Targets],
        timestamp_life: timedelta,
    ) -> None:
        """Write targets, and a snapshot and a timestamp for them."""
        old = self._timestamp()
        name = f"{targets.signed.version}.targets.json"
        data = self._write_signed(name, targets, [signers["targets"]])
        snapshot = self._next(Snapshot, self._snapshot(old), targets.signed.expires)
        snapshot.signed.meta = {"targets.json": _meta(targets, data)}
        name = f"{snapshot.signed.version}.snapshot.json"
        data = self._write_signed(name, snapshot, [signers["snapshot"]])
        expires = min(self._now + timestamp_life, targets.signed.expires)
        timestamp = self._next(Timestamp, old, expires)
        timestamp.signed.snapshot_meta = _meta(snapshot, data)
        self._write_signed("timestamp.json", timestamp, [signers["timestamp"]])

    def _signer(self, root: Metadata[Root], role: str) -> CryptoSigner:
        return self._keys.signer(role, root.signed.roles[role].keyids)

    def _next(self, kind: type[_T], old: Metadata[_T] | None, expires: datetime) -> Metadata[_T]:
        """Unsigned metadata of the version after `old`."""
        version = 1 if old is None else old.signed.version + 1
        signed: Any = kind
        return Metadata(signed(version=version, expires=expires))

    def _timestamp(self) -> Metadata[Timestamp] | None:
        if not (self.folder / "metadata" / "timestamp.json").exists():
            return None
        return self._read("timestamp.json", Timestamp)

    def _snapshot(self, timestamp: Metadata[Timestamp] | None) -> Metadata[Snapshot] | None:
        if timestamp is None:
            return None
        return self._read(f"{timestamp.signed.snapshot_meta.version}.snapshot.json", Snapshot)

    def _newest_targets(self) -> Metadata[Targets] | None:
        snapshot = self._snapshot(self._timestamp())
        if snapshot is None:
            return None
        return self._read(f"{snapshot.signed.meta['targets.json'].version}.targets.json", Targets)

    def _root_versions(self) -> list[int]:
        found = (self.folder / "metadata").glob("*.root.json")
        names = (path.name.partition(".")[0] for path in found)
        return sorted(int(name) for name in names if name.isdigit())

    def _read(self, name: str, kind: type[_T]) -> Metadata[_T]:
        path = self.folder / "metadata" / name
        try:
            metadata: Metadata[Any] = Metadata.from_bytes(path.read_bytes())
        except (OSError, DeserializationError, RepositoryError) as error:
            raise SetError(f"{path}: cannot be read: {error}") from None
        if not isinstance(metadata.signed, kind):
            raise SetError(f"{path}: expected {kind.__name__}, found another role")
        return metadata

    def _write_signed(
        self, name: str, metadata: Metadata[Any], signers: Sequence[CryptoSigner]
    ) -> bytes:
        metadata.signatures.clear()
        for signer in signers:
            metadata.sign(signer, append=True)
        data: bytes = metadata.to_bytes(JSONSerializer(compact=False))
        self._write(self.folder / "metadata" / name, data)
        return data

    def _write(self, path: Path, data: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data, 0o666)
        except OSError as error:
            raise SetError(f"{path}: cannot be written: {error.strerror}") from None


def _meta(metadata: Metadata[Any], data: bytes) -> MetaFile:
    return MetaFile(metadata.signed.version, len(data), {"sha256": _sha256(data)})


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
