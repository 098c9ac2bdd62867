"""YAML files of a few kilobytes that are read again and again: the configuration, and the packs of
bans; and the cache of them and of compiled catalogues, in a folder of the user.

Parsing one takes longer than scanning a small capture, because the YAML library must be imported. A
file that was read before without a mistake is taken from the cache, as JSON. The file itself is
always read; one that only its owner may read is not copied into the cache.

A cache entry is named after the hash of its input: the content of the files, the place of every
signature file, and the code that read them. So no entry is ever out of date, and the folder may be
deleted at any time. An entry is only used if it belongs to this user, nobody else may write to it
or its folder, and its checksum is right; otherwise it is ignored. It contains data only, and no
code. ``NETWATCH_CACHE=off`` in the environment turns the cache off.
"""

import contextlib
import datetime
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from netwatch import __version__
from netwatch.core import user_yaml
from netwatch.core.errors import NetwatchError
from netwatch.core.system.files import (
    O_NOFOLLOW,
    O_NONBLOCK,
    OpenFolder,
    is_owned,
    others_may_write,
    owns_system_folder,
)
from netwatch.core.user_yaml import (
    Problems,
    YamlMapping,
    YamlSequence,
    read_trusted_file,
    read_user_file,
)

SWITCH = "NETWATCH_CACHE"
"""The environment variable that turns the cache off."""

SYSTEM_FOLDER = Path("/var/cache/netwatch")
"""The cache folder of its owner: root, or the service's user."""

MAX_ENTRY_BYTES = 256 << 20
"""Bytes of an entry, at most; a larger catalogue is not cached."""

MAX_ENTRIES = 8
"""Catalogues to keep, the most recently used ones."""

MAX_DOCUMENTS = 64
"""Parsed YAML files to keep, the most recently used ones."""

MAX_AGE = 90 * 86_400.0
"""Time without use after which an entry is removed when another is written, in s."""

Part = bytes | bytearray | memoryview
"""A piece of the content of an entry."""

_MAGIC = b"netwatch cache\n"
_HEAD = len(_MAGIC) + 3 * 32  # the key, the checksum of what follows, and of all of this
_NAME = re.compile(r"[0-9a-f]{64}\.(?:catalogue|document)\Z")
_UNFINISHED = re.compile(r"\.[0-9a-f]{64}\.[0-9a-f]{16}\.tmp\Z")
_UNFINISHED_AGE = 3600.0
_TOUCH_AFTER = 3600.0

MAX_CACHED_BYTES = 1 << 20
"""Bytes of a file that is cached, at most. Larger ones are signatures, which have a cache of their
own."""


class Kind(NamedTuple):
    """A kind of entries: the suffix of their names, and how many to keep at most."""

    suffix: str
    most: int


CATALOGUES = Kind("catalogue", MAX_ENTRIES)
DOCUMENTS = Kind("document", MAX_DOCUMENTS)


def read_entry(key: bytes, kind: Kind = CATALOGUES) -> bytes | None:
    """What was written under a key of 32 bytes; None if there is nothing trustworthy."""
    with contextlib.suppress(OSError), _folder(create=False) as folder:
        if folder is None:
            return None
        name = _name(key, kind)
        descriptor = folder.open(name, os.O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0) as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or not _is_private(status):
                return None
            if status.st_size > MAX_ENTRY_BYTES:
                return None
            head, content = stream.read(_HEAD), stream.read(status.st_size)
            if time.time() - status.st_mtime > _TOUCH_AFTER:
                folder.touch(name)
        return content if head == _entry_head(key, [content]) else None
    return None


def write_entry(key: bytes, content: Sequence[Part], kind: Kind = CATALOGUES) -> None:
    """Write an entry, whose content comes in parts, and remove old ones. If that is not possible
    there is none, without an error: a read-only or full disk only costs time."""
    if _HEAD + sum(map(len, content)) > MAX_ENTRY_BYTES:
        return
    with contextlib.suppress(OSError), _folder(create=True) as folder:
        if folder is not None:
            _write(folder, _name(key, kind), [_entry_head(key, content), *content])
            _remove_old(folder, kind)


def is_on() -> bool:
    """Whether the environment allows the cache."""
    return os.environ.get(SWITCH, "").lower() != "off"


def folder_path() -> Path | None:
    """The folder of the cache: ``$XDG_CACHE_HOME/netwatch``, otherwise `SYSTEM_FOLDER` if it exists
    and belongs to this user, otherwise ``~/.cache/netwatch``. None if the user has no home."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if Path(given).is_absolute():  # other values must be ignored (XDG Base Directory Specification)
        return Path(given) / "netwatch"
    if owns_system_folder(SYSTEM_FOLDER):
        return SYSTEM_FOLDER
    home = os.path.expanduser("~")  # noqa: PTH111 - does not fail if there is none
    return Path(home) / ".cache" / "netwatch" if Path(home).is_absolute() else None


@contextlib.contextmanager
def _folder(*, create: bool) -> Iterator[OpenFolder | None]:
    """The folder, None if it does not belong to this user alone."""
    path = folder_path()
    if path is None or not is_on():
        yield None
        return
    if create:
        _create(path)
    with OpenFolder(path) as folder:
        yield folder if _is_private(folder.status()) else None


def _create(path: Path) -> None:
    """Create the folder and its parent, unless that is in somebody else's home: root, called with
    sudo, must leave nothing there."""
    place = path.parent
    if not place.exists():
        if not is_owned(place.parent.stat()):
            return
        place.mkdir(mode=0o700, exist_ok=True)  # another process may have created it
    if is_owned(place.stat()):
        path.mkdir(mode=0o700, exist_ok=True)


def _is_private(status: os.stat_result) -> bool:
    """Whether a file belongs to this user, and nobody else may write to it."""
    return is_owned(status) and not others_may_write(status)


def _name(key: bytes, kind: Kind) -> str:
    return f"{key.hex()}.{kind.suffix}"


def _entry_head(key: bytes, content: Sequence[Part]) -> bytes:
    digest = hashlib.sha256()
    for part in content:
        digest.update(part)
    head = _MAGIC + key + digest.digest()
    return head + hashlib.sha256(head).digest()


def _write(folder: OpenFolder, name: str, parts: Sequence[Part]) -> None:
    """Write a file under a temporary name and give it its own when it is complete."""
    unfinished = f".{name.partition('.')[0]}.{os.urandom(8).hex()}.tmp"
    descriptor = folder.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | O_NOFOLLOW)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            for part in parts:
                stream.write(part)
        folder.replace(unfinished, name)
    except OSError:
        with contextlib.suppress(OSError):
            folder.remove(unfinished)
        raise


def _remove_old(folder: OpenFolder, kind: Kind) -> None:
    """Remove entries of one kind that were not used for long or are too many, and unfinished files
    of killed processes. Other files are not touched."""
    now = time.time()
    ages: list[tuple[float, str]] = []
    for name in folder.names():
        is_entry = _NAME.match(name) is not None
        if not is_entry and not _UNFINISHED.match(name):
            continue
        with contextlib.suppress(OSError):
            age = now - folder.status(name).st_mtime
            if is_entry and name.endswith(f".{kind.suffix}"):
                ages.append((age, name))
            elif not is_entry and age > _UNFINISHED_AGE:
                folder.remove(name)
    ages.sort()
    for at, (age, name) in enumerate(ages):
        if at >= kind.most or age > MAX_AGE:
            with contextlib.suppress(OSError):
                folder.remove(name)


def read_document(
    path: Path, problems: Problems, *, found: bool = False, shipped: bool = False
) -> YamlMapping | None:
    """The mapping at the top level of the YAML file `path`.

    If it cannot be read, the reason is added to `problems` and the result is None. The same happens
    if others may write to it, and if it was `found` (see `read_trusted_file`), except for files
    that are `shipped` with netwatch.
    """
    try:
        raw = read_user_file(path) if shipped else read_trusted_file(path, found=found)
    except NetwatchError as error:
        problems.add(str(path), 0, str(error))
        return None
    key = _key(raw) if is_on() and len(raw) <= MAX_CACHED_BYTES and _is_shown(path) else None
    cached = None if key is None else _cached(key)
    if cached is not None:
        return cached
    from netwatch.core.yaml_reader import decode_yaml

    before = len(problems.found)
    mapping = decode_yaml(raw, str(path), problems)
    if key is not None and mapping is not None and len(problems.found) == before:
        write_entry(key, [json.dumps(_packed(mapping)).encode()], DOCUMENTS)
    return mapping


def _is_shown(path: Path) -> bool:
    """Whether users other than its owner may read a file."""
    with contextlib.suppress(OSError, ValueError):
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    return False


def _key(raw: bytes) -> bytes:
    return hashlib.sha256(_code() + hashlib.sha256(raw).digest()).digest()


@cache
def _code() -> bytes:
    """A hash of the modules that read YAML files, so that changing them makes new entries."""
    digest = hashlib.sha256(__version__.encode())
    core = Path(user_yaml.__file__)
    places = [core.with_name(f"yaml_{name}.py") for name in ("reader", "rows", "scalars")]
    for place in (Path(__file__), core, *places):
        with contextlib.suppress(OSError):
            digest.update(place.read_bytes())
    return digest.digest()


def _cached(key: bytes) -> YamlMapping | None:
    packed = read_entry(key, DOCUMENTS)
    if packed is None:
        return None
    try:
        value = _unpacked(json.loads(packed))
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        return None
    return value if isinstance(value, YamlMapping) else None


def _packed(value: Any) -> Any:
    """A value of a document as JSON: lists are tagged, everything else is unchanged."""
    if isinstance(value, YamlMapping):
        items = [[key, _packed(inner)] for key, inner in value.items()]
        return ["map", value.line, items, value.lines, value.written]
    if isinstance(value, YamlSequence):
        return ["list", value.line, [*map(_packed, value)], [*value.lines]]
    if isinstance(value, datetime.datetime):
        return ["time", value.isoformat()]
    if isinstance(value, datetime.date):
        return ["date", value.isoformat()]
    return value


def _unpacked(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    if value[0] == "map":
        _, line, items, lines, written = value
        mapping = YamlMapping(line)
        mapping.update((key, _unpacked(inner)) for key, inner in items)
        mapping.lines, mapping.written = lines, written
        return mapping
    if value[0] == "list":
        _, line, values, places = value
        sequence = YamlSequence(line)
        sequence.extend(map(_unpacked, values))
        sequence.lines.extend(places)
        return sequence
    kind = datetime.datetime if value[0] == "time" else datetime.date
    return kind.fromisoformat(value[1])
