"""YAML files of a few kilobytes, read again and again: the configuration, and the packs of bans.

To parse one takes longer than to scan a small capture, because the YAML library has to be imported.
A file that was read before without a mistake is taken from the cache of `catalog_cache`, where it
is by the hash of its content. The cached form is JSON, so it is data and no code. The file itself
is always read; one that only its owner may read is not copied into the cache.
"""

import contextlib
import datetime
import hashlib
import json
import stat
from functools import cache
from pathlib import Path
from typing import Any

from netwatch import __version__
from netwatch.core import user_yaml
from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import (
    Problems,
    YamlMapping,
    YamlSequence,
    read_trusted_file,
    read_user_file,
)
from netwatch.rules.catalog_cache import DOCUMENTS, is_on, read_entry, write_entry

MAX_CACHED_BYTES = 1 << 20
"""Bytes of a file that is cached. Larger ones are signatures, which have a cache of their own."""


def read_document(
    path: Path, problems: Problems, *, found: bool = False, shipped: bool = False
) -> YamlMapping | None:
    """The mapping at the top level of the YAML file `path`.

    If it cannot be read, the reason is added to `problems` and the result is None. So it is if
    others may write to it, and if it was `found` (see `read_trusted_file`); not of files that are
    `shipped` with netwatch.
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
    """Whether others than its owner may read a file."""
    with contextlib.suppress(OSError, ValueError):
        return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))
    return False


def _key(raw: bytes) -> bytes:
    return hashlib.sha256(_code() + hashlib.sha256(raw).digest()).digest()


@cache
def _code() -> bytes:
    """A hash of the modules that read YAML files, so that a change of them makes new entries."""
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
    """A value of a document as one of JSON: lists are tagged, the rest is as it is."""
    if isinstance(value, YamlMapping):
        items = [[key, _packed(each)] for key, each in value.items()]
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
        mapping.update((key, _unpacked(each)) for key, each in items)
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
