"""A bundle: a set or a configuration on its way from the centre to a sensor.

::

    {"schema": "netwatch.bundle/1", "statement": BASE64, "signatures": [{"key": …, …}]}
    the archive, as `updates.set_format.pack` makes it

The statement is signed (Ed25519): the kind, the audience of the bundle, and the manifest with its
version, its validity, and the length and hash of the archive and of each file. The carrier of a
bundle, a server or a USB stick, can only withhold it. A sensor checks one in this order, and each
step refuses what it can judge: size, schema, signature, audience, time, release, version, archive.
`Refusal` has the words under which refusals are counted.
"""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from netwatch import __version__
from netwatch.core.errors import NetwatchError
from netwatch.fleet.access import audience_text, is_audience, published_keys
from netwatch.updates.set_format import (
    MAX_ARCHIVE_BYTES,
    MAX_MANIFEST_BYTES,
    SHAPES,
    Content,
    Manifest,
    SetError,
    is_readable_by,
    read_manifest,
    set_hash,
    time_text,
    unpack,
)

SCHEMA = "netwatch.bundle/1"
"""The value of ``schema`` in a bundle. A higher number after the slash is another format; unknown
keys are ignored."""

MAX_SIGNATURES = 8
"""Signatures of a bundle to check."""

MAX_HEADER_BYTES = 2 * MAX_MANIFEST_BYTES
"""Bytes of the first line of a bundle."""

MAX_BUNDLE_BYTES = MAX_HEADER_BYTES + MAX_ARCHIVE_BYTES
"""Bytes of a bundle."""

MAX_CLOCK_DIFFERENCE = 86_400
"""How far in the future a bundle may have been made, in s by the sensor's clock."""

_CONTEXT = b"netwatch fleet bundle\n"
"""The prefix of a statement in the signed bytes, so that the key cannot be made to sign anything
else."""

Refusal = Literal[
    "oversized", "truncated", "schema", "forged", "misdirected", "expired", "future", "release",
    "older", "altered", "invalid", "unwritable",
]  # fmt: skip
"""Why a bundle is refused: too large; incomplete; in a format that this release does not know; not
signed by the centre; for another sensor; expired; made in the future; for a newer release; not
newer than what was in use; not what was signed; with mistakes; the disk."""


class BundleError(NetwatchError):
    """A bundle is refused; `refusal` is the kind of the reason, the text is for people."""

    def __init__(self, refusal: Refusal, text: str) -> None:
        super().__init__(text)
        self.refusal = refusal


class Signer(Protocol):
    """A private key: its id, and its signature of bytes, 64 bytes."""

    key_id: str

    def sign(self, data: bytes) -> bytes: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle whose signature was verified. `kind` is one of `updates.published.SHAPES`,
    `audience` one of the keys of `subjects.published_keys`. `archive` has not been checked yet."""

    kind: str
    audience: str
    manifest: Manifest
    archive: bytes

    @property
    def hash(self) -> str:
        """The short hash of its content, for people."""
        return set_hash(self.manifest.to_bytes())

    def describe(self) -> str:
        """The bundle in words."""
        return (
            f"{self.kind} {self.manifest.version} ({self.hash}) for {audience_text(self.audience)}"
        )

    def files(self) -> dict[str, bytes]:
        """The files in it. Raises `BundleError` if they are not those that were signed."""
        try:
            return unpack(self.archive, self.manifest)
        except SetError as error:
            raise BundleError("altered", f"{self.describe()}: {error}") from None


def write_bundle(bundle: Bundle, signer: Signer) -> bytes:
    """The bytes of a bundle, signed."""
    content = {
        "schema": SCHEMA,
        "kind": bundle.kind,
        "audience": bundle.audience,
        "manifest": bundle.manifest.to_bytes().decode(),
    }
    statement = json.dumps(content, separators=(",", ":")).encode()
    signature = signer.sign(_CONTEXT + statement)
    header = {
        "schema": SCHEMA,
        "statement": base64.b64encode(statement).decode(),
        "signatures": [{"key": signer.key_id, "signature": base64.b64encode(signature).decode()}],
    }
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + bundle.archive


def read_bundle(data: bytes, keys: Mapping[str, Ed25519PublicKey]) -> Bundle:
    """The bundle in these bytes, if one of `keys` (by their ids) has signed it. Raises
    `BundleError`."""
    if len(data) > MAX_BUNDLE_BYTES:
        raise BundleError("oversized", f"a bundle has at most {MAX_BUNDLE_BYTES:,} bytes")
    line, newline, archive = data.partition(b"\n")
    if not newline or len(line) > MAX_HEADER_BYTES:
        raise BundleError("truncated", "the bundle is not whole: its first line does not end")
    header = _mapping(line, "the first line of the bundle")
    _require_schema(header)
    statement = _verified(header, keys)
    content = _mapping(statement, "the statement of the bundle")
    _require_schema(content)
    kind, audience = content.get("kind"), content.get("audience")
    if not isinstance(kind, str) or kind not in SHAPES:
        raise BundleError("schema", f"the bundle has an unknown kind: {str(kind)[:40]}")
    if not isinstance(audience, str) or not is_audience(audience):
        raise BundleError("schema", f"the bundle has no valid audience: {str(audience)[:40]}")
    try:
        manifest = read_manifest(str(content.get("manifest", "")).encode(), SHAPES[kind])
    except SetError as error:
        raise BundleError("schema", f"the bundle of kind {kind}: {error}") from None
    if len(archive) < manifest.archive.length:
        expected = f"expected {manifest.archive.length:,} bytes, found {len(archive):,}"
        raise BundleError("truncated", f"the bundle is not whole: {expected}")
    if Content.of(archive) != manifest.archive:
        raise BundleError("altered", "the archive of the bundle is not the one that was signed")
    return Bundle(kind, audience, manifest, archive)


def require_usable(bundle: Bundle, sensor: str, now: datetime) -> None:
    """Raise `BundleError` unless this bundle is for `sensor`, may be used at `now`, and can be read
    by this release."""
    manifest, what = bundle.manifest, bundle.describe()
    if bundle.audience not in published_keys(sensor):
        raise BundleError("misdirected", f"{what} is not for sensor {sensor}")
    if now >= manifest.expires:
        raise BundleError("expired", f"{what} expired at {time_text(manifest.expires)}")
    if manifest.created > now + timedelta(seconds=MAX_CLOCK_DIFFERENCE):
        raise BundleError(
            "future",
            f"{what} was made at {time_text(manifest.created)}, after now, {time_text(now)};"
            " expected the clock of this machine to be right",
        )
    if not is_readable_by(manifest.netwatch, __version__):
        raise BundleError(
            "release",
            f"{what} needs netwatch {manifest.netwatch} or newer, this is {__version__}",
        )


def _mapping(data: bytes, what: str) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        raise BundleError("truncated", f"{what} is not valid JSON") from None
    if not isinstance(content, dict):
        raise BundleError("schema", f"{what}: expected a JSON object")
    return content


def _require_schema(content: Mapping[str, Any]) -> None:
    found = content.get("schema")
    if found != SCHEMA:
        raise BundleError(
            "schema",
            f"expected a bundle of schema {SCHEMA}, found {str(found)[:40]}; a newer netwatch may"
            " know it",
        )


def _verified(header: Mapping[str, Any], keys: Mapping[str, Ed25519PublicKey]) -> bytes:
    """The statement of a bundle, if one of `keys` has signed it."""
    try:
        statement = base64.b64decode(header["statement"], validate=True)
        signatures: Sequence[Any] = header["signatures"][:MAX_SIGNATURES]
        for signature in signatures:
            key = keys.get(signature["key"])
            if key is not None and _is_by(key, signature["signature"], statement):
                return statement
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise BundleError("forged", "the bundle has no signature that can be read") from None
    raise BundleError("forged", "the bundle is not signed by the key of the centre")


def _is_by(key: Ed25519PublicKey, signature: str, statement: bytes) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), _CONTEXT + statement)
    except InvalidSignature:
        return False
    return True
