"""The origin of results in a ledger: signatures by a key that is never in it.

A worker returns the digest of each result that it wrote, over the channel through which the tasks
came, with a key of the run. The process that began the run signs these digests (HMAC-SHA256, with
the name of the object that has them) and writes them into the ledger:
``signatures/DIGEST/RUN-N.json``, a line with the signature and a JSON object of digests by the id
of the unit. DIGEST stands for what judged them, as in the names of results. A later run accepts
results whose signatures were made with the same key. All others are judged again: anyone who can
write to the ledger, or was a worker of an earlier run, can delay a run but not alter its results.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from netwatch.cluster.ledger import Ledger, Unit
from netwatch.cluster.result_file import Written
from netwatch.cluster.storage import MissingError, write
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.typed_json import MISMATCHES, dumps, loads, read
from netwatch.core.user_yaml import read_trusted_file
from netwatch.privacy import MIN_KEY_BYTES, mode_problem, write_new_key

SCHEMA = "netwatch.signatures/1"

KEY_FILE_NAME = "ledger.key"
"""The key in the state folder of the user who scans."""

MAX_KEY_FILE = 4096
"""Bytes of the file of a key."""

WRITE_SECONDS = 1.0
"""The least time between two writes of signatures, s. They are written when a unit is done, so a
killed run loses what was done within that time after the last ones."""

MAX_SIGNATURES = 64 << 20
"""Bytes of an object of signatures; one that is larger is not read."""

MOST_OBJECTS = 16
"""Objects of signatures of one configuration; more are written as one."""


@dataclass(frozen=True, slots=True)
class LedgerKey:
    """The key that results are signed with. It never appears in the text of this object."""

    secret: bytes = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        """A key for a ledger that ends with its run."""
        return cls(secrets.token_bytes(MIN_KEY_BYTES))

    @classmethod
    def of_file(cls, path: str | None) -> Self:
        """The key in a file, which must exist; if none is named, the state folder's, which is
        created if necessary. Raises `ConfigError`."""
        place = Path(path) if path else state_folder() / KEY_FILE_NAME
        try:
            if path is None and not place.exists():
                _make(place)
            text = read_trusted_file(place, MAX_KEY_FILE, found=path is None).strip()
        except OSError as error:
            raise _unusable(place, f"cannot be made: {error.strerror}") from None
        except NetwatchError as error:
            raise _unusable(place, str(error)) from None
        if reason := mode_problem(place):
            raise _unusable(place, reason)
        if len(text) < MIN_KEY_BYTES:
            raise _unusable(
                place,
                f"expected at least {MIN_KEY_BYTES} bytes, found {len(text)}:"
                " netwatch store key new FILE makes a key",
            )
        return cls(hashlib.sha256(b"netwatch ledger" + text).digest())

    def signature(self, name: str, content: bytes) -> str:
        """The signature of an object, in hex digits."""
        message = len(name.encode()).to_bytes(4) + name.encode() + content
        return hmac.digest(self.secret, message, "sha256").hex()


def _make(place: Path) -> None:
    """Make a key for a user without one. Raises `NetwatchError` and `OSError`."""
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        write_new_key(place)
    except NetwatchError:
        if not place.exists():
            raise  # Otherwise another process has just made it.


def _unusable(place: Path, reason: str) -> ConfigError:
    return ConfigError.of(str(place), f"the key of the ledger {reason}")


def state_folder() -> Path:
    """Where netwatch keeps its state: as given by systemd, otherwise the user's."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base, "netwatch")


class Signatures:
    """The signed results of one configuration in a ledger."""

    def __init__(self, ledger: Ledger, key: LedgerKey) -> None:
        self._ledger = ledger
        self._key = key
        self._folder = f"signatures/{ledger.digest}/"
        self._objects: list[str] = []
        self._number = 0
        self._all: dict[str, str] = {}
        self._waiting: dict[str, str] = {}
        self._written_at = 0.0

    def read(self) -> Mapping[str, str]:
        """The digests that are signed with the key, by the ids of their units. Later objects take
        precedence, and those signed with another key are left out."""
        for stored in sorted(self._ledger.storage.objects(self._folder), key=lambda one: one.name):
            if stored.size <= MAX_SIGNATURES:
                found = self._read(stored.name)
                if found is not None:
                    self._objects.append(stored.name)
                    self._all |= found
        return self._all

    def add(self, unit: Unit, written: Written) -> None:
        """Sign the result of a unit, as reported by its worker."""
        self._waiting[unit.id] = written.digest

    def write_in_time(self, run: str) -> None:
        """Write what was added, unless that was done a moment ago."""
        if time.monotonic() - self._written_at >= WRITE_SECONDS:
            self.write(run)

    def write(self, run: str) -> None:
        """Write what was added since the last call; all as one object if there are many."""
        if not self._waiting:
            return
        self._all |= self._waiting
        merges = len(self._objects) >= MOST_OBJECTS
        name = f"{self._folder}{run}-{self._number:06}.json"
        self._number += 1
        digests = self._all if merges else self._waiting
        content = dumps({"schema": SCHEMA, "results": digests})
        line = self._key.signature(name, content).encode() + b"\n"
        write(self._ledger.storage, name, line + content)
        if merges:
            for merged in self._objects:
                self._ledger.storage.remove(merged)
            self._objects.clear()
        self._objects.append(name)
        self._waiting = {}
        self._written_at = time.monotonic()

    def _read(self, name: str) -> dict[str, str] | None:
        try:
            signature, _, content = self._ledger.storage.read(name).partition(b"\n")
            expected = self._key.signature(name, content).encode()
            if not hmac.compare_digest(signature, expected):
                return None
            found = loads(content)
            if found["schema"] != SCHEMA:
                return None
            digests: dict[str, str] = read(dict[str, str], found["results"])
        except (*MISMATCHES, MissingError):
            return None
        return digests
