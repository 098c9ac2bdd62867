"""The manifest and the archive of a set, and of anything else that is signed and installed in the
same way.

A set is two TUF targets. `MANIFEST` describes the set: its version, until when its publisher
vouches for it, which netwatch can read it, and the length and hash of the archive and of each file
in it. `ARCHIVE` has the files. So files of two versions cannot be combined, not even by somebody
who can sign targets: the hash of the manifest identifies everything. A `Shape` says which files
there may be: `SET` for a set, `CONFIGURATION` for what a centre publishes to its sensors.

An archive is not trusted: it is unpacked in memory up to a limit, members other than regular files
are refused, and names, lengths and hashes must be those in the manifest.
"""

import gzip
import hashlib
import io
import json
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from netwatch.core.alert import InstalledSet
from netwatch.core.errors import NetwatchError

MANIFEST = "set.json"
"""The name of the manifest, as a target and in the folder of an installed set."""

ARCHIVE = "set.tar.gz"
"""The name of the archive as a target."""

FORMAT = "netwatch.set/1"
"""The value of ``format`` in a manifest."""

MAX_MANIFEST_BYTES = 1 << 20
"""Bytes of a manifest. One of 5,000 files takes some 700 kB."""

MAX_ARCHIVE_BYTES = 32 << 20
"""Bytes of an archive, compressed."""

MAX_SET_BYTES = 128 << 20
"""Bytes of an archive, unpacked. A million rules take some 90 MB."""

MAX_SET_FILES = 5_000
"""Files of a set."""

MAX_VERSION = 999_999_999
"""The highest version of a set."""

FILE_NAME = re.compile(
    r"(?:(?:apps|bans)/[a-z0-9][a-z0-9_-]{0,99}\.yaml"
    r"|(?:(?:evidence|sources)/)?[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.(?:yaml|md|txt))"
)
"""The files that a set may have: apps, bans, and notes on evidence and sources."""


WARNING_BEFORE_EXPIRY = timedelta(days=14)
"""How long before its expiry a set is warned about; at most a quarter of its life."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Something that is installed like a set: `format` is the format of its manifest, `names`
    matches the files that it may have, and it has at least one of each in `required`: a file, or a
    folder with a slash at the end. Files and folders are created with these modes."""

    format: str
    names: re.Pattern[str]
    required: tuple[str, ...]
    file_mode: int = 0o640
    folder_mode: int = 0o750


SET = Shape(FORMAT, FILE_NAME, ("apps/", "bans/"))
"""The shape of a set of signatures and bans."""

CONFIGURATION_FILE = "netwatch.yaml"
"""The file of a published configuration that names the others."""

_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}"

CONFIGURATION = Shape(
    format="netwatch.configuration/1",
    names=re.compile(rf"{_NAME}(?:/{_NAME}){{0,7}}"),
    required=(CONFIGURATION_FILE,),
    file_mode=0o600,
    folder_mode=0o700,
)
"""The shape of a published configuration."""

SHAPES: Mapping[str, Shape] = {"set": SET, "configuration": CONFIGURATION}
"""The kinds of what is published, with their shapes."""

_RELEASE = re.compile(r"(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?")
_HASH = re.compile(r"[0-9a-f]{64}")


class SetError(NetwatchError):
    """A set is not valid; the text says why."""


@dataclass(frozen=True, slots=True)
class Content:
    """The length in bytes and the SHA-256 of a file."""

    length: int
    sha256: str

    @classmethod
    def of(cls, data: bytes) -> "Content":
        """The length and hash of these bytes."""
        return cls(len(data), hashlib.sha256(data).hexdigest())


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of a set.

    `version` increases with each set of a publisher. `created` and `expires` have no fraction of a
    second. `netwatch` is the minimum version that can read the set. `files` are by name. `format`
    is the format of its `Shape`.
    """

    version: int
    created: datetime
    expires: datetime
    netwatch: str
    archive: Content
    files: Mapping[str, Content]
    format: str = FORMAT

    def to_bytes(self) -> bytes:
        """The manifest as JSON; equal manifests give the same bytes."""
        content = {
            "format": self.format,
            "version": self.version,
            "created": time_text(self.created),
            "expires": time_text(self.expires),
            "netwatch": self.netwatch,
            "archive": _content(self.archive),
            "files": {name: _content(self.files[name]) for name in sorted(self.files)},
        }
        return (json.dumps(content, indent=1) + "\n").encode()


def set_hash(manifest: bytes) -> str:
    """The short hash that identifies a set for people and in alerts; of the bytes of its
    manifest."""
    return hashlib.sha256(manifest).hexdigest()[:12]


def time_text(time: datetime) -> str:
    """A time as in manifests and alerts: RFC 3339, UTC, in seconds."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: object) -> datetime:
    """The time written by `time_text`; raises `ValueError`."""
    if not isinstance(text, str):
        raise ValueError("expected a text")
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


def read_manifest(data: bytes, shape: Shape = SET) -> Manifest:
    """The manifest in these bytes; raises `SetError`."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise SetError(f"{MANIFEST}: expected at most {MAX_MANIFEST_BYTES:,} bytes, found more")
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SetError(f"{MANIFEST} is not valid JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != shape.format:
        found = content.get("format") if isinstance(content, dict) else content
        raise SetError(f"{MANIFEST}: expected format {shape.format}, found {str(found)[:40]}")
    try:
        return _manifest(content, shape)
    except (KeyError, TypeError, ValueError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise SetError(f"{MANIFEST}: {reason}") from None


def _manifest(content: dict[str, Any], shape: Shape) -> Manifest:
    files = content["files"]
    if not isinstance(files, dict) or not 0 < len(files) <= MAX_SET_FILES:
        raise ValueError(f"expected 1 to {MAX_SET_FILES:,} files")
    for name in files:
        if not shape.names.fullmatch(name):
            raise ValueError(f"a set has no file of the name '{name[:80]}'")
    contents = {name: _read_content(value, MAX_SET_BYTES) for name, value in files.items()}
    if sum(content.length for content in contents.values()) > MAX_SET_BYTES:
        raise ValueError(f"expected files of at most {MAX_SET_BYTES:,} bytes together")
    for wanted in shape.required:
        if not any(
            name == wanted or (wanted[-1] == "/" and name.startswith(wanted)) for name in files
        ):
            what = f"files of {wanted[:-1]}" if wanted[-1] == "/" else wanted
            raise ValueError(f"expected {what}, found none")
    release = content["netwatch"]
    if not isinstance(release, str) or not _RELEASE.fullmatch(release):
        raise ValueError("'netwatch': expected a release like 1.2.0")
    return Manifest(
        version=_read_number(content["version"], 1, MAX_VERSION),
        created=parse_time(content["created"]),
        expires=parse_time(content["expires"]),
        netwatch=release,
        archive=_read_content(content["archive"], MAX_ARCHIVE_BYTES),
        files=contents,
        format=shape.format,
    )


def _read_number(value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"expected a number from {least} to {most:,}, found {str(value)[:40]}")
    return value


def _read_content(value: Any, limit: int) -> Content:
    sha256 = value["sha256"]
    if not isinstance(sha256, str) or not _HASH.fullmatch(sha256):
        raise ValueError("'sha256': expected 64 hex digits")
    return Content(_read_number(value["length"], 0, limit), sha256)


def _content(content: Content) -> dict[str, Any]:
    return {"length": content.length, "sha256": content.sha256}


def is_readable_by(required: str, release: str) -> bool:
    """Whether a netwatch of this version can read a set that requires another."""
    return _numbers(release) >= _numbers(required)


def _numbers(release: str) -> tuple[int, ...]:
    found = _RELEASE.match(release)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files of `folder` that belong to a set, by name: its apps and bans, and notes.

    Raises `SetError` if a name of an app or a ban is not allowed in a set, or if there are too many
    or too large files.
    """
    found: dict[str, bytes] = {}
    size = 0
    for place in (folder, *(folder / name for name in ("apps", "bans", "evidence", "sources"))):
        for path in sorted(place.iterdir()) if place.is_dir() else ():
            name = path.relative_to(folder).as_posix()
            if not path.is_file() or path.suffix not in (".yaml", ".yml", ".md", ".txt"):
                continue
            if not FILE_NAME.fullmatch(name):
                raise SetError(f"{path}: a set has no file of the name '{name}'")
            size += path.stat().st_size
            if size > MAX_SET_BYTES or len(found) == MAX_SET_FILES:
                raise SetError(
                    f"{folder}: expected at most {MAX_SET_FILES:,} files of {MAX_SET_BYTES:,}"
                    " bytes together, found more"
                )
            found[name] = path.read_bytes()
    return found


def pack(files: Mapping[str, bytes]) -> bytes:
    """The archive of these files; equal files give the same bytes."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(files[name]), 0o644
            archive.addfile(member, io.BytesIO(files[name]))
    return gzip.compress(tar.getvalue(), 9, mtime=0)


def unpack(archive: bytes, manifest: Manifest) -> dict[str, bytes]:
    """The files of an archive, which must be exactly those of the manifest. Raises `SetError`."""
    if Content.of(archive) != manifest.archive:
        raise SetError(f"{ARCHIVE} is not the one that {MANIFEST} names")
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(_inflate(archive)), mode="r:") as tar:
            while (member := tar.next()) is not None:
                expected = manifest.files.get(member.name)
                if expected is None or not member.isreg() or member.name in found:
                    raise SetError(f"{ARCHIVE} has a member that {MANIFEST} does not name")
                reader = tar.extractfile(member)
                assert reader is not None
                data = reader.read(expected.length + 1)
                if Content.of(data) != expected:
                    raise SetError(f"{ARCHIVE}: {member.name} differs from {MANIFEST}")
                found[member.name] = data
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise SetError(f"{ARCHIVE} is damaged: {error}") from None
    if len(found) < len(manifest.files):
        raise SetError(f"{ARCHIVE} lacks files that {MANIFEST} names")
    return found


def _inflate(archive: bytes) -> bytes:
    """The content of a gzip file (RFC 1952) with one member, within the limit."""
    # Room for the members' headers and the blocks that they are padded to.
    limit = MAX_SET_BYTES + 1024 * (MAX_SET_FILES + 20)
    decompressor = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        data = decompressor.decompress(archive, limit + 1)
    except zlib.error as error:
        raise SetError(f"{ARCHIVE} is damaged: {error}") from None
    if len(data) > limit:
        raise SetError(f"{ARCHIVE}: expected at most {limit:,} bytes, found more")
    if not decompressor.eof or decompressor.unused_data:
        raise SetError(f"{ARCHIVE} is damaged: its end is missing, or more follows it")
    return data


@dataclass(frozen=True, slots=True)
class Installed:
    """A set in the folder: its version, short hash, and validity. `name` is the name of its
    folder."""

    version: int
    hash: str
    created: datetime
    expires: datetime

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.version}-{self.hash}"

    @property
    def identity(self) -> InstalledSet:
        """The set as named in alerts."""
        return InstalledSet(self.version, self.hash, time_text(self.expires))

    def is_expired(self, now: datetime) -> bool:
        """Whether its publisher no longer vouches for it."""
        return now >= self.expires

    def expires_soon(self, now: datetime) -> bool:
        """Whether it expires soon, or has expired."""
        notice = min(WARNING_BEFORE_EXPIRY, (self.expires - self.created) / 4)
        return now >= self.expires - notice

    def describe(self) -> str:
        """The set in words."""
        return f"set {self.version} ({self.hash}), valid until {time_text(self.expires)}"
