"""The sensor's side of the bucket of published bundles: it reads what is for it, and refuses it or
installs it as a whole; and how a running capture takes what was installed.

A sensor reads the index of what is for all and of what is for it: at the start of every connection,
whenever the centre writes one, and now and then, because a message can get lost. For each kind it
takes the newest bundle, reads its parts and offers it to its `Applier`. The result is reported to
the centre, and so is what is in use at the start of a connection, which the centre may have
forgotten. A refused bundle is not read again until the local files change, which may be the reason.

A bundle is only installed if all of this holds: it is signed by the centre, for this sensor,
neither expired nor from the future, newer than every one that was in use, and valid: the sensor's
configuration loads with it, as after a SIGHUP. Otherwise the one in use stays in use, also after a
restart. So going back to an earlier set takes a newly signed bundle with a higher version.

The capture itself is not touched from here. What is installed changes files that its configuration
names, so it reloads as after any other change, without missing a packet (`PublishedSettings`).
"""

import asyncio
import hashlib
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from netwatch import __version__
from netwatch.config import Config, examine_configuration, examine_set
from netwatch.core.errors import NetwatchError, Problem
from netwatch.fleet.access import (
    PUBLISHED_BUCKET,
    bucket_subject,
    published_keys,
    read_public_key,
    subject,
)
from netwatch.fleet.bundle import Bundle, BundleError, Refusal, read_bundle, require_usable
from netwatch.fleet.connection import Connection, read_credentials
from netwatch.fleet.envelope import Envelope
from netwatch.fleet.publisher import Entry, read_index, read_value
from netwatch.updates.set_format import SHAPES, Installed, SetError
from netwatch.updates.store import State, published_store
from netwatch.updates.update import check_set, problem_lines
from netwatch.watch.snapshot import PublishedStatus

Examine = Callable[[str, Path], Sequence[Problem]]
"""Returns the objections to the content of a folder, which is of this kind: its own mistakes, and a
configuration that does not load with it."""

MAX_REASON = 2000
"""Characters of the reason that a sensor reports for a refusal."""

KINDS = tuple(SHAPES)
"""The kinds of bundles, sets first: a configuration may name content of a set."""

LOOK_SECONDS = 60.0
"""Seconds between two looks, if the centre writes nothing."""

AGAIN_SECONDS = 1.0
"""Seconds between a look caused by the centre's message and the next one: the message may arrive
before the server has stored it."""


@dataclass(frozen=True, slots=True)
class Applied:
    """The result for a bundle, as reported to the centre. `version` is 0 if the bundle was refused
    before it was known. A `rejected` one has a `reason` in words and its kind, `refusal`; for an
    `applied` one both are empty."""

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
    ids. `refused` counts refusals by the kind of the reason. Safe to call from any thread."""

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
        """What of this kind is in use; None if nothing was published to this sensor. Raises
        `NetwatchError` if the folder is damaged."""
        current = published_store(self._folder, kind).read_state().current
        if current is None:
            return None
        return Applied(kind, current.version, "applied", hash=current.hash)

    def versions(self, kind: str) -> tuple[Installed | None, int]:
        """What of this kind is in use, and the highest version that ever was; 0 for none."""
        state = published_store(self._folder, kind).read_state()
        return state.current, state.highest

    def offer(self, data: bytes, kind: str = "", version: int = 0) -> Applied | None:
        """Install the bundle in these bytes; None if it is already in use. `kind` and `version` are
        the announced ones, for a report on one that cannot be read. Never raises for faults of the
        bundle or the disk."""
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
    """Whether the bundle is in use. Raises `BundleError` if it may not follow what was."""
    version, current = bundle.manifest.version, state.current
    if current is not None and current.version == version and current.hash == bundle.hash:
        return True
    if version <= state.highest:
        raise BundleError(
            "older",
            f"{bundle.describe()} is not newer than version {state.highest}, which was in use; to"
            " go back, publish the earlier content again at the centre",
        )
    return False


Report = Callable[[Applied], Awaitable[None]]
"""Tells the centre the results for bundles, and the capture what is in use now."""


class PublishedFeed:
    """What is published to `sensor`, for its `applier`."""

    def __init__(self, sensor: str, applier: Applier, report: Report) -> None:
        self._keys = published_keys(sensor)
        self._applier = applier
        self._report = report
        self._changed = asyncio.Event()
        self._refused: dict[str, object] = {}

    def retry(self) -> None:
        """Offer again what was refused: the local files have changed. From the loop's thread."""
        self._refused.clear()
        self._changed.set()

    async def run(self, client: Any) -> None:
        """Apply what is published, over a connection, until this is cancelled or the connection
        breaks. Raises errors of the library."""
        # The report of a refusal may have been lost with the last connection.
        self._refused.clear()
        for key in self._keys:
            await client.subscribe(bucket_subject(PUBLISHED_BUCKET, key), cb=self._on_change)
        await client.flush()
        for kind in KINDS:
            current = await asyncio.to_thread(self._in_use, kind)
            if current is not None:
                await self._report(current)
        jetstream = client.jetstream(timeout=10)
        seconds = LOOK_SECONDS
        while True:
            self._changed.clear()
            await self.look(jetstream)
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait()
                seconds = AGAIN_SECONDS
            except TimeoutError:
                seconds = LOOK_SECONDS

    async def _on_change(self, message: Any) -> None:
        self._changed.set()

    def _in_use(self, kind: str) -> Applied | None:
        try:
            return self._applier.in_use(kind)
        except NetwatchError as error:
            return self._applier.refuse("unwritable", str(error), kind, 0)

    async def look(self, jetstream: Any) -> None:
        """Compare once what is published with what is in use, and apply what is newer."""
        indexes: dict[str, dict[str, Entry]] = {}
        for key in self._keys:
            data = await read_value(jetstream, key)
            if data is None:
                continue
            try:
                indexes[key] = read_index(data)
            except BundleError as error:
                for kind in KINDS:
                    await self._refuse(error, kind, 0, data)
                return
        for kind in KINDS:
            found = [(entries[kind], key) for key, entries in indexes.items() if kind in entries]
            if not found:
                await self._settled(kind)
            else:
                entry, key = max(found, key=lambda pair: pair[0].version)
                await self._consider(jetstream, kind, key, entry)

    async def _consider(self, jetstream: Any, kind: str, key: str, entry: Entry) -> None:
        if self._refused.get(kind) == entry:
            return
        try:
            current, highest = await asyncio.to_thread(self._applier.versions, kind)
            if current is not None and (current.version, current.hash) == (
                entry.version,
                entry.hash,
            ):
                await self._settled(kind)
                return
            if entry.version <= highest:
                raise BundleError(
                    "older",
                    f"the newest {kind} on the server has version {entry.version}, and version"
                    f" {highest} was in use: an old state is served, or the centre lost its own",
                )
            data = await self._read(jetstream, kind, key, entry)
        except BundleError as error:
            await self._refuse(error, kind, entry.version, entry)
            return
        except NetwatchError as error:
            await self._refuse(BundleError("unwritable", str(error)), kind, entry.version, entry)
            return
        if data is None:
            return
        result = await asyncio.to_thread(self._applier.offer, data, kind, entry.version)
        if result is None:
            return
        if result.state == "rejected":
            self._refused[kind] = entry
        await self._report(result)

    async def _settled(self, kind: str) -> None:
        """The refused bundle of a kind is gone: report again what is in use."""
        if self._refused.pop(kind, None) is None:
            return
        self._applier.problems.pop(kind, None)
        current = await asyncio.to_thread(self._in_use, kind)
        if current is not None:
            await self._report(current)

    async def _read(self, jetstream: Any, kind: str, key: str, entry: Entry) -> bytes | None:
        """The bytes of a bundle; None if it was replaced meanwhile. Raises `BundleError`."""
        pieces: list[bytes] = []
        for part in entry.parts(key):
            piece = await read_value(jetstream, part)
            if piece is None:
                if await self._is_replaced(jetstream, kind, key, entry):
                    self._changed.set()
                    return None
                raise BundleError("truncated", f"part {len(pieces) + 1} of the bundle is missing")
            pieces.append(piece)
        data = b"".join(pieces)
        if len(data) != entry.length:
            raise BundleError("truncated", f"the bundle has {len(data):,} bytes instead of"
                                           f" {entry.length:,}")  # fmt: skip
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise BundleError("altered", "the bundle is not the one that the index names")
        return data

    async def _is_replaced(self, jetstream: Any, kind: str, key: str, entry: Entry) -> bool:
        """Whether the index names another bundle by now. The centre writes an index before it
        removes parts that are no longer named, but the message that announces it may come later."""
        data = await read_value(jetstream, key)
        try:
            return data is None or read_index(data).get(kind) != entry
        except BundleError:
            return True

    async def _refuse(self, error: BundleError, kind: str, version: int, what: object) -> None:
        if self._refused.get(kind) == what:
            return
        self._refused[kind] = what
        await self._report(self._applier.refuse(error.refusal, str(error), kind, version))


class PublishedSettings:
    """The bundles for the sensor of `config`, whose file is at `path` (None if `load` finds it).
    `report` takes sentences for the log, from the thread of the link. Raises `NetwatchError` for
    credentials that cannot be used."""

    def __init__(self, config: Config, path: str | None, report: Callable[[str], None]) -> None:
        fleet = config.fleet
        assert fleet is not None
        assert fleet.credentials is not None
        self._sensor = fleet.sensor
        self._folder = fleet.published
        self._path = path
        self._report = report
        publisher = read_credentials(fleet.credentials, fleet.sensor).publisher
        keys = read_public_key(publisher) if publisher else {}
        self._applier = Applier(fleet.sensor, fleet.published, keys, self._examine)
        self._feed = PublishedFeed(fleet.sensor, self._applier, self._tell)
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = ("", 0)
        self._versions = self._read_versions()

    async def run(self, connection: Connection) -> None:
        """Apply what is published, as long as a connection lasts: a task of the link."""
        self._client, self._loop = connection.client, asyncio.get_running_loop()
        await self._feed.run(connection.client)

    def retry(self) -> None:
        """Offer again what was refused; from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._feed.retry)

    def status(self) -> PublishedStatus:
        """What is in use, and what was refused; from any thread."""
        return PublishedStatus(
            versions=self._versions,
            refused=dict(self._applier.refused),
            problems=tuple(_sentence(problem) for problem in [*self._applier.problems.values()]),
        )

    def health(self) -> Mapping[str, Any]:
        """Its part of a sign of life."""
        status = self.status()
        return {
            "set_version": status.versions.get("set"),
            "configuration_version": status.versions.get("configuration"),
            "published": {"refused": status.refused, "problems": list(status.problems)},
        }

    def _read_versions(self) -> dict[str, int]:
        """The versions in use. The capture reports damage when it reads its files."""
        found = {}
        for kind in KINDS:
            with suppress(NetwatchError):
                current = published_store(self._folder, kind).read_state().current
                if current is not None:
                    found[kind] = current.version
        return found

    def _examine(self, kind: str, folder: Path) -> list[Problem]:
        if kind == "configuration":
            return examine_configuration(self._path, folder)
        return check_set(folder) or examine_set(self._path, folder)

    async def _tell(self, applied: Applied) -> None:
        """Report to the log and to the centre, which keeps it until its database has it."""
        self._versions = self._read_versions()
        if applied.state == "rejected":
            self._report(f"the centre's publication is refused: {_sentence(applied)}")
        elif self._told != (applied.kind, applied.version):
            self._report(f"{applied.kind} {applied.version} of the centre is applied")
        self._told = (applied.kind, applied.version)
        now = time.time_ns()
        envelope = Envelope(
            sensor=self._sensor,
            kind="applied",
            sequence=0,
            sent=now,
            version=__version__,
            id=f"{applied.kind}-{applied.version}-{applied.state}-{now}",
            body=applied.body(),
        )
        jetstream = self._client.jetstream(timeout=10)
        await jetstream.publish(subject(self._sensor, "applied"), envelope.encode())


def _sentence(applied: Applied) -> str:
    """Why a bundle was refused, in one line."""
    reason = applied.reason[:300]
    if not reason.startswith(applied.kind):
        version = f" {applied.version}" if applied.version else ""
        reason = f"{applied.kind}{version}: {reason}"
    return f"{reason} ({applied.refusal})"
