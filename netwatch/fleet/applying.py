"""What a sensor does with a bundle: it refuses it, or installs it as a whole.

A bundle is installed only if all of this holds: it is signed by the centre, for this sensor,
neither expired nor from the future, newer than every one that was in use, and good: the
configuration of the sensor loads with it, as after a SIGHUP. The one in use stays in use otherwise,
also after a restart. So going back to an earlier set takes a newly signed bundle with a higher
version.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from netwatch.core.errors import NetwatchError, Problem
from netwatch.fleet.bundle import Bundle, BundleError, Refusal, read_bundle, require_usable
from netwatch.updates.published import SHAPES, published_store
from netwatch.updates.set_check import problem_lines
from netwatch.updates.set_format import SetError
from netwatch.updates.store import Installed, State

Examine = Callable[[str, Path], Sequence[Problem]]
"""Says what speaks against what is in a folder, which is of this kind: its own mistakes, and a
configuration that does not load with it."""

MAX_REASON = 2000
"""Characters of the reason that a sensor reports for a refusal."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a bundle, as it is reported to the centre. `version` is 0 where the bundle was
    refused before it was known. A `rejected` one has a `reason` in words and its kind, `refusal`;
    of an `applied` one both are empty."""

    kind: str
    version: int
    state: Literal["applied", "rejected"]
    reason: str = ""
    refusal: Refusal | Literal[""] = ""
    hash: str = ""

    def body(self) -> Mapping[str, str | int]:
        """The content of the message to the centre."""
        return {
            "kind": self.kind,
            "version": self.version,
            "state": self.state,
            "reason": self.reason,
            "refusal": self.refusal,
            "hash": self.hash,
        }


class Applier:
    """Installs bundles in `folder` for `sensor`. `keys` are the public keys of the centre by their
    ids. `refused` counts what was refused by the kind of the reason. Safe to call from any thread.
    """

    def __init__(
        self,
        sensor: str,
        folder: Path,
        keys: Mapping[str, Ed25519PublicKey],
        examine: Examine,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.refused: Counter[str] = Counter()
        self.problems: dict[str, Applied] = {}
        self._sensor = sensor
        self._folder = folder
        self._keys = keys
        self._examine = examine
        self._now = now
        self._mutex = threading.Lock()

    def in_use(self, kind: str) -> Applied | None:
        """What of this kind is in use; None where nothing was published to this sensor. Raises
        `NetwatchError` where the folder is damaged."""
        current = published_store(self._folder, kind).read_state().current
        if current is None:
            return None
        return Applied(kind, current.version, "applied", hash=current.hash)

    def versions(self, kind: str) -> tuple[Installed | None, int]:
        """What of this kind is in use, and the highest version that ever was; 0 for none."""
        state = published_store(self._folder, kind).read_state()
        return state.current, state.highest

    def offer(self, data: bytes, kind: str = "", version: int = 0) -> Applied | None:
        """Install the bundle in these bytes; None where it is in use already. `kind` and `version`
        are what it is said to be, for a report on one that cannot be read. Never raises for what is
        wrong with the bundle or the disk."""
        with self._mutex:
            try:
                bundle = read_bundle(data, self._keys)
                kind, version = bundle.kind, bundle.manifest.version
                return self._install(bundle)
            except BundleError as error:
                return self.refuse(error.refusal, str(error), kind, version)
            except (SetError, OSError) as error:
                return self.refuse("unwritable", str(error), kind, version)

    def refuse(self, refusal: Refusal, reason: str, kind: str, version: int) -> Applied:
        """Count a refusal, and remember it until a bundle of its kind is installed."""
        self.refused[refusal] += 1
        result = Applied(kind, version, "rejected", reason[:MAX_REASON], refusal)
        self.problems[kind] = result
        return result

    def _install(self, bundle: Bundle) -> Applied | None:
        require_usable(bundle, self._sensor, self._now())
        store = published_store(self._folder, bundle.kind)
        self._folder.mkdir(0o700, parents=True, exist_ok=True)
        with store.lock() as state:
            if _is_in_use(bundle, state):
                self.problems.pop(bundle.kind, None)
                return None
            manifest = bundle.manifest
            with store.incoming(bundle.files(), manifest.to_bytes()) as incoming:
                self._require_good(bundle, incoming)
                store.install(incoming, manifest, manifest.to_bytes(), state)
        self.problems.pop(bundle.kind, None)
        return Applied(bundle.kind, manifest.version, "applied", hash=bundle.hash)

    def _require_good(self, bundle: Bundle, folder: Path) -> None:
        try:
            problems = list(self._examine(bundle.kind, folder))
        except NetwatchError as error:
            raise BundleError("invalid", f"{bundle.describe()}: {error}") from None
        if problems:
            lines = problem_lines(problems).replace(f"{folder}/", "").splitlines()
            raise BundleError("invalid", f"{bundle.describe()}: {'; '.join(lines)}")


def _is_in_use(bundle: Bundle, state: State) -> bool:
    """Whether the bundle is in use. Raises `BundleError` where it may not follow what was."""
    version, current = bundle.manifest.version, state.current
    if current is not None and current.version == version and current.hash == bundle.hash:
        return True
    if version <= state.highest:
        raise BundleError(
            "older",
            f"{bundle.describe()} is not newer than version {state.highest}, which was in use; to"
            " go back, the centre publishes the earlier content anew",
        )
    return False


KINDS = tuple(SHAPES)
"""The kinds of bundles, sets first: a configuration may name what a set brings."""
