"""The private keys of a publisher: one file for each key, never overwritten.

A file is called after its role and the beginning of its key id (``targets-0a1b2c3d.pem``), so that
an old key can stay beside a new one. Which of them is in force, the root of the repository says.
Keys of roles that sign rarely, that of ``root`` above all, belong on a medium that is put away.
"""

import os
import stat
from collections.abc import Collection
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner

from netwatch.core.errors import NetwatchError
from netwatch.core.system.opening import O_CLOEXEC, O_NOFOLLOW
from netwatch.core.user_files import read_user_file
from netwatch.updates.set_format import SetError

ROLES = ("root", "targets", "snapshot", "timestamp")
"""The roles of TUF. Each has one key."""

MAX_KEY_BYTES = 16 << 10
"""Bytes of the file of a key."""


class KeyFolder:
    """The keys in `folder`. Methods raise `SetError`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def is_empty(self) -> bool:
        """Whether the folder has no keys, or does not exist."""
        return not any(self._files("*"))

    def create(self, role: str) -> CryptoSigner:
        """Make a key (Ed25519) for a role, and write it to a new file for its owner only."""
        signer = CryptoSigner.generate_ed25519()
        path = self.folder / f"{role}-{signer.public_key.keyid[:8]}.pem"
        try:
            self.folder.mkdir(0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_CLOEXEC | O_NOFOLLOW
            with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
                file.write(signer.private_bytes)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SetError(f"{path} cannot be written: {error.strerror}") from None
        return signer

    def signer(self, role: str, key_ids: Collection[str]) -> CryptoSigner:
        """The key of a role with one of these ids, which the root names."""
        for path in self._files(role):
            signer = _load(path)
            if signer.public_key.keyid in key_ids:
                return signer
        wanted = " or ".join(f"{role}-{key_id[:8]}.pem" for key_id in key_ids)
        raise SetError(f"{self.folder}: expected the key {wanted}, which the root names")

    def only(self, role: str) -> CryptoSigner | None:
        """The key of a role of which there is never more than one; None where there is none."""
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
            raise SetError(f"{path}: expected a file, found something else")
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
