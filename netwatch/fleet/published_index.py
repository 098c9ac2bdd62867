"""What the server says there is: the value under a key of the bucket of published bundles.

::

    {"schema": "netwatch.published/1", "set": {"version": 7, "hash": …, "sha256": …, "length": …}}

A bundle is larger than a message may be, so its bytes are in parts below the key. The index says
how many they are, and nothing that a sensor believes: a bundle has its own signature.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from netwatch.fleet.bundle import MAX_BUNDLE_BYTES, BundleError
from netwatch.fleet.subjects import published_parts
from netwatch.updates.published import SHAPES
from netwatch.updates.set_format import MAX_VERSION

SCHEMA = "netwatch.published/1"
"""The version of an index. A higher number after the slash is another format; keys that are not
known are ignored."""

PART_BYTES = 512 << 10
"""Bytes of a part of a bundle, half of what a message may have."""

MAX_INDEX_BYTES = 64 << 10
"""Bytes of an index."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """A bundle on the server: its version and the short hash of its content, the length and hash of
    its bytes."""

    version: int
    hash: str
    sha256: str
    length: int

    def parts(self, key: str) -> list[str]:
        """The keys of its parts, where `key` has the index."""
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
