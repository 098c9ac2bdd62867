"""The centre's side of the bucket of published bundles, and the index that says what is in it: the
server has what is on disk here.

``netwatch fleet publish`` writes bundles to the folder of the centre; the running centre notices
and puts them on the server. So a server that lost its bucket, or a new one, gets everything again,
and publishing needs no connection. The parts of a bundle are put before the index that names them:
a reader in between finds the old state or the new one.

The index is the value under a key of the bucket.

::

    {"schema": "netwatch.published/1", "set": {"version": 7, "hash": …, "sha256": …, "length": …}}

A bundle is larger than a message may be, so its bytes are in parts below the key. The index tells
how many there are, and nothing that a sensor relies on: a bundle has its own signature.
"""

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.fleet.access import (
    PUBLISHED_BUCKET,
    audience_text,
    bucket_subject,
    published_parts,
)
from netwatch.fleet.bundle import MAX_BUNDLE_BYTES, BundleError
from netwatch.fleet.publications import Publications, Published
from netwatch.updates.set_format import MAX_VERSION, SHAPES

SCHEMA = "netwatch.published/1"
"""The version of an index. A higher number after the slash is another format; unknown keys are
ignored."""

PART_BYTES = 512 << 10
"""Bytes of a part of a bundle, half of what a message may have."""

MAX_INDEX_BYTES = 64 << 10
"""Bytes of an index."""

_SHA256 = re.compile(r"[0-9a-f]{64}")

POLL_SECONDS = 1.0
"""Seconds between two looks at the folder."""

CHECK_SECONDS = 15.0
"""Seconds between two comparisons with the server, which may have lost its bucket."""

MAX_BUCKET_BYTES = 192 << 20
"""Bytes of everything that is published on the server."""

_STREAM = f"KV_{PUBLISHED_BUCKET}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A bundle on the server: its version and the short hash of its content, the length and hash of
    its bytes."""

    version: int
    hash: str
    sha256: str
    length: int

    def parts(self, key: str) -> list[str]:
        """The keys of its parts, if `key` has the index."""
        return published_parts(key, self.sha256, -(-self.length // PART_BYTES))


def write_index(entries: Mapping[str, Entry]) -> bytes:
    """The index of these bundles by their kinds."""
    kinds = {
        kind: {
            "version": each.version,
            "hash": each.hash,
            "sha256": each.sha256,
            "length": each.length,
        }
        for kind, each in entries.items()
    }
    return json.dumps({"schema": SCHEMA, **kinds}, separators=(",", ":")).encode()


def read_index(data: bytes) -> dict[str, Entry]:
    """The bundles of an index by their kinds. Raises `BundleError` for anything else."""
    if len(data) > MAX_INDEX_BYTES:
        raise BundleError("oversized", f"an index has at most {MAX_INDEX_BYTES:,} bytes")
    try:
        content = json.loads(data)
        schema = content["schema"]
        if schema != SCHEMA:
            found = f"{str(schema)[:40]}; a newer netwatch may know it"
            raise BundleError("schema", f"expected an index of schema {SCHEMA}, found {found}")
        return {kind: _entry(content[kind]) for kind in SHAPES if kind in content}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BundleError(
            "schema", f"the index of what is published is not valid: {error}"
        ) from None


def _entry(content: Mapping[str, object]) -> Entry:
    version, length, sha256 = content["version"], content["length"], content["sha256"]
    if not isinstance(version, int) or not 0 < version <= MAX_VERSION:
        raise ValueError("'version' is no version")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ValueError("'sha256' is no hash")
    if not isinstance(length, int) or length <= 0:
        raise ValueError("'length' is no length")
    if length > MAX_BUNDLE_BYTES:
        raise BundleError("oversized", f"a bundle of {length:,} bytes is announced; at most"
                                       f" {MAX_BUNDLE_BYTES:,} are read")  # fmt: skip
    return Entry(version, str(content.get("hash", ""))[:12], sha256, length)


class Publisher:
    """Puts what `publications` has on the server. `report` takes sentences for the log; `published`
    counts the bundles that were put there."""

    def __init__(self, publications: Publications, report: Callable[[str], None]) -> None:
        self._publications = publications
        self._report = report
        self._seen: object = None
        self._problem = ""
        self.published = 0

    async def run(self, client: Any) -> None:
        """Keep the server's bucket in step with the folder, over a connection, until this is
        cancelled or the connection breaks."""
        loop, due = asyncio.get_running_loop(), 0.0
        while True:
            fingerprint = self._publications.fingerprint()
            if fingerprint != self._seen or loop.time() >= due:
                await self._try(client)
                self._seen, due = fingerprint, loop.time() + CHECK_SECONDS
            await asyncio.sleep(POLL_SECONDS)

    async def _try(self, client: Any) -> None:
        import nats.js.errors

        try:
            await self.put(client)
            self._problem = ""
        except (NetwatchError, nats.js.errors.APIError) as error:
            if str(error) != self._problem:
                self._problem = str(error)
                self._report(f"cannot put the publication on the server: {error}")

    async def put(self, client: Any) -> None:
        """Compare once, and put what differs. Raises `NetwatchError` and errors of the library."""
        jetstream = client.jetstream(timeout=10)
        listing = await asyncio.to_thread(self._publications.listing)
        if not listing:
            return
        await _require_bucket(jetstream)
        for audience in sorted({item.bundle.audience for item in listing}):
            mine = [item for item in listing if item.bundle.audience == audience]
            await self._put_audience(jetstream, audience, mine)

    async def _put_audience(self, jetstream: Any, key: str, published: list[Published]) -> None:
        entries = {item.bundle.kind: entry_of(item) for item in published}
        index = write_index(entries)
        if await read_value(jetstream, key) == index:
            return
        for item in published:
            entry = entries[item.bundle.kind]
            for number, part in enumerate(entry.parts(key)):
                data = item.data[number * PART_BYTES : (number + 1) * PART_BYTES]
                await jetstream.publish(bucket_subject(PUBLISHED_BUCKET, part), data)
        await jetstream.publish(bucket_subject(PUBLISHED_BUCKET, key), index)
        self.published += len(published)
        named = ", ".join(
            f"{item.bundle.kind} {item.bundle.manifest.version} ({item.bundle.hash})"
            for item in published
        )
        self._report(f"on the server for {audience_text(key)}: {named}")
        await self._remove_old(jetstream, key, entries)

    async def _remove_old(self, jetstream: Any, key: str, entries: dict[str, Entry]) -> None:
        """Remove parts that the index no longer names."""
        used = {part for entry in entries.values() for part in entry.parts(key)}
        subject = bucket_subject(PUBLISHED_BUCKET, f"{key}.>")
        info = await jetstream.stream_info(_STREAM, subjects_filter=subject)
        prefix = bucket_subject(PUBLISHED_BUCKET, "")
        for found in info.state.subjects or {}:
            # What is for sensors whose name begins with this key is below another one.
            if found.removeprefix(prefix) not in used:
                await jetstream.purge_stream(_STREAM, subject=found)


def entry_of(published: Published) -> Entry:
    """A bundle as the index names it."""
    bundle, data = published.bundle, published.data
    return Entry(bundle.manifest.version, bundle.hash, hashlib.sha256(data).hexdigest(), len(data))


async def read_value(jetstream: Any, key: str) -> bytes | None:
    """The value under a key of the bucket; None if there is none, or no bucket."""
    import nats.errors
    import nats.js.errors

    try:
        message = await jetstream.get_msg(
            _STREAM, subject=bucket_subject(PUBLISHED_BUCKET, key), direct=True
        )
    except (nats.js.errors.NotFoundError, nats.errors.NoRespondersError):
        return None
    return message.data or None


async def _require_bucket(jetstream: Any) -> None:
    import nats.js.api
    import nats.js.errors

    try:
        await jetstream.stream_info(_STREAM)
    except nats.js.errors.NotFoundError:
        await jetstream.create_key_value(
            bucket=PUBLISHED_BUCKET,
            description="sets and configurations for sensors",
            storage=nats.js.api.StorageType.FILE,
            max_bytes=MAX_BUCKET_BYTES,
            direct=True,
        )
