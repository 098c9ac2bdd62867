"""Finds and reads signature files, and merges them into one catalogue.

A source is the word ``builtin`` for the shipped files, a YAML file, or a folder of YAML files
(directly or in its subfolder ``apps``). Later sources add to the apps of earlier ones, and replace
the rules that both have: a site can add a name or change a role without copying a file.

A name in a common zone (`netwatch.rules.shared_zones`) without a decision is a mistake in a site's
own files. In an installed set it is only a warning: `netwatch.updates` no longer accepts such a
set, but an earlier release did.
"""

import contextlib
import hashlib
import itertools
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from netwatch import __version__
from netwatch.core.addresses import ip_text
from netwatch.core.errors import NetwatchError, Problem
from netwatch.core.user_yaml import Problems, read_trusted_file, read_user_file, refuse_writable
from netwatch.rules.catalog import Catalog
from netwatch.rules.compiled import LAYOUT, UnpackError, pack, unpack
from netwatch.rules.documents import is_on, read_entry, write_entry
from netwatch.rules.signature import KINDS, MAX_RULES, Alias, Kind, Rule, Signature, read_signature

BUILTIN = "builtin"
"""The word for the shipped signatures."""

MAX_UNDECIDED = 100
"""Rules of an installed set named in warnings because they lack a decision, at most."""


_BUILTIN: ContextVar[Path | None] = ContextVar("builtin", default=None)


_EXAMINED: ContextVar[bool] = ContextVar("examined", default=False)


def use_builtin(folder: Path | None, *, examined: bool = False) -> None:
    """From now on, in this thread, ``builtin`` and the shipped packs mean the files in `folder`, an
    installed set; those shipped with netwatch if it is None. A set that is only being examined is
    not cached."""
    _BUILTIN.set(folder)
    _EXAMINED.set(examined)


def shipped() -> Path:
    """The folder of ``builtin``, with the subfolders ``apps`` and ``bans``: the shipped files,
    unless `use_builtin` named another."""
    return _BUILTIN.get() or _shipped()


@cache
def _shipped() -> Path:
    """A folder of the installed package; in a checkout, which an interpreter started there may find
    first, it is next to the package."""
    package = Path(__file__).parents[1]
    installed = package / "signatures"
    return installed if installed.is_dir() else package.parent / "signatures"


def load_signatures(sources: Sequence[str | Path], base: Path) -> Catalog:
    """The catalogue of `sources`, in their order; paths are relative to `base`.

    Raises `ConfigError` with all mistakes in all files.
    """
    problems = Problems()
    catalog = read_signatures(sources, base, problems)
    problems.raise_if_any()
    return catalog


def read_signatures(sources: Sequence[str | Path], base: Path, problems: Problems) -> Catalog:
    """Like `load_signatures`, but notes mistakes in `problems` and leaves out what has mistakes.

    The files are always read, and hashed. If files with the same content at the same places were
    read before without mistakes, the catalogue made from them then is used.
    """
    before = len(problems.found)
    layers = [
        _Layer(_is_shipped(source, base), _contents(source, base, problems)) for source in sources
    ]
    key = _key(layers) if len(problems.found) == before and _is_cached() else None
    if key is not None:
        catalog = _cached(key)
        if catalog is not None:
            return catalog
    catalog = _parse(layers, problems, before)
    if key is not None and catalog.complete:
        write_entry(key, pack(catalog))
    return catalog


def _is_shipped(source: str | Path, base: Path) -> bool:
    """Whether files came with netwatch, also if a path names only some of them: a file is judged
    the same on its own as among all."""
    if source == BUILTIN:
        return True
    place = (base / source).resolve()
    return place.is_relative_to(shipped().resolve())


@dataclass(frozen=True, slots=True)
class _Layer:
    """The files of one source with their contents; `shipped` is whether they came with netwatch."""

    shipped: bool
    files: list[tuple[Path, bytes]]


def _contents(source: str | Path, base: Path, problems: Problems) -> list[tuple[Path, bytes]]:
    """The files of a source. Files that did not come with netwatch must be writable by their owner
    only."""
    contents = []
    read = read_user_file if _is_shipped(source, base) else read_trusted_file
    for file in _files(source, base, problems):
        try:
            raw = read(file)
        except NetwatchError as error:
            problems.add(str(file), 0, str(error))
        else:
            contents.append((file, raw))
    return contents


def _key(layers: Sequence[_Layer]) -> bytes:
    """The hash of everything that a catalogue is made from: the files, in their order, and the
    code."""
    digest = hashlib.sha256(f"{__version__} {LAYOUT}".encode() + _code())
    for layer in layers:
        digest.update(f"layer {layer.shipped} {len(layer.files)}".encode())
        for file, raw in layer.files:
            digest.update(hashlib.sha256(str(file).encode("utf-8", "surrogateescape")).digest())
            digest.update(hashlib.sha256(raw).digest())
    return digest.digest()


def _is_cached() -> bool:
    return is_on() and not _EXAMINED.get()


@cache
def _code() -> bytes:
    """A hash of the modules that read signatures, so that changing them makes new entries, also
    within one version of netwatch. Their bytecode does not count."""
    digest = hashlib.sha256()
    modules = (
        "load",
        "signature",
        "rule_names",
        "grade",
        "catalog",
        "compiled",
        "common_zones",
        "shared_zones",
    )
    for name in (*(f"{module}.py" for module in modules), "common_zones.yaml"):
        with contextlib.suppress(OSError):
            digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.digest()


def _cached(key: bytes) -> Catalog | None:
    packed = read_entry(key)
    if packed is None:
        return None
    try:
        return unpack(packed)
    except UnpackError:
        return None


def _parse(layers: Sequence[_Layer], problems: Problems, before: int) -> Catalog:
    """The catalogue of these files. `before` is the number of problems before the files were read.
    Contents are dropped once they are parsed."""
    # Imported here, because the catalogue mostly comes from the cache.
    from netwatch.core.yaml_reader import decode_yaml
    from netwatch.rules.shared_zones import undecided_rules

    digest = hashlib.sha256()
    merged: dict[str, Signature] = {}
    undecided: list[Problem] = []
    for layer in layers:
        found: dict[str, Signature] = {}
        count = 0
        layer.files.reverse()
        while layer.files:
            file, raw = layer.files.pop()
            digest.update(hashlib.sha256(file.name.encode("utf-8", "surrogateescape")).digest())
            digest.update(hashlib.sha256(raw).digest())
            mapping = decode_yaml(raw, str(file), problems, rows_of="domains")
            del raw  # large for a large file, in addition to its rules
            if mapping is None:
                continue
            signature = read_signature(mapping, str(file), problems, shipped=layer.shipped)
            if signature is None:
                continue
            count += len(signature.rules)
            if count > MAX_RULES:
                expected = f"expected at most {MAX_RULES:,} rules in the files of a source"
                problems.add(str(file), 0, f"{expected}, found more")
                break
            _add(found, signature, problems)
            lacking = undecided_rules(signature.rules)
            if layer.shipped:
                undecided += itertools.islice(lacking, MAX_UNDECIDED - len(undecided))
            else:
                problems.found.extend(lacking)
        _check_duplicates(found, problems)
        _merge_layer(merged, found, problems)
    complete = len(problems.found) == before
    version = digest.hexdigest()[:12]
    return Catalog(list(merged.values()), version, complete, undecided=undecided)


def with_signature(catalog: Catalog, signature: Signature, problems: Problems) -> Catalog:
    """The catalogue with one more signature as its last layer; mistakes between the two are noted
    in `problems`. It has the version of `catalog`."""
    merged = dict(catalog.signatures)
    layer = {signature.app.id: signature}
    _check_duplicates(layer, problems)
    _merge_layer(merged, layer, problems)
    return Catalog(list(merged.values()), catalog.version, catalog.complete)


def _files(source: str | Path, base: Path, problems: Problems) -> list[Path]:
    if source == BUILTIN:
        place = shipped() / "apps"
    else:
        path = base / source
        if not path.exists():
            problems.add(str(path), 0, "expected a file or folder of signatures, found nothing")
            return []
        if not path.is_dir():
            return [path]
        place = path / "apps" if (path / "apps").is_dir() else path
        try:
            for folder in {path, place}:
                if not _is_shipped(source, base):
                    refuse_writable(folder)
        except NetwatchError as error:
            problems.add(str(folder), 0, str(error))
            return []
    try:
        found = [file for file in place.iterdir() if file.name.endswith((".yaml", ".yml"))]
    except OSError as error:
        problems.add(str(place), 0, f"cannot be read: {error.strerror}")
        return []
    if not found:
        problems.add(str(place), 0, "expected signature files (.yaml) in this folder, found none")
    return sorted(found, key=lambda file: file.name)


def _add(layer: dict[str, Signature], signature: Signature, problems: Problems) -> None:
    first = layer.setdefault(signature.app.id, signature)
    if first is not signature:
        problems.add(
            signature.file,
            signature.line,
            f"duplicate app '{signature.app.id}' (first in {first.file}:{first.line})",
        )


def _check_duplicates(layer: dict[str, Signature], problems: Problems) -> None:
    """Note rules that one source has twice, in one app or in two, and addresses that it gives to
    two apps."""
    rules: dict[Kind, dict[str, Rule]] = {kind: {} for kind in KINDS}
    owners: dict[bytes, Signature] = {}
    for signature in layer.values():
        for address in signature.addresses:
            owner = owners.setdefault(address, signature)
            if owner is not signature:
                problems.add(
                    signature.file,
                    signature.line,
                    f"duplicate address {ip_text(address)}, also of app '{owner.app.id}'"
                    f" ({owner.file}); expected each address in one app only",
                )
        for rule in signature.rules:
            first = rules[rule.kind].setdefault(rule.name, rule)
            if first is not rule:
                problems.add(
                    rule.file,
                    rule.line,
                    f"duplicate rule {rule.text} (first in {first.file}:{first.line},"
                    f" app '{first.app.id}')",
                )


def _merge_layer(
    merged: dict[str, Signature], layer: dict[str, Signature], problems: Problems
) -> None:
    """Merge a later source into the earlier ones; its rules and addresses replace theirs."""
    # The layer may be far larger than those below it.
    known = {(rule.kind, rule.name) for signature in merged.values() for rule in signature.rules}
    new = (rule for signature in layer.values() for rule in signature.rules)
    replaced = {key for rule in new if (key := (rule.kind, rule.name)) in known}
    addresses = {address for signature in layer.values() for address in signature.addresses}
    for app_id, below in merged.items():
        merged[app_id] = replace(
            below,
            rules=tuple(rule for rule in below.rules if (rule.kind, rule.name) not in replaced),
            addresses=tuple(address for address in below.addresses if address not in addresses),
        )
    for app_id, above in layer.items():
        earlier = merged.get(app_id)
        if earlier is None:
            merged[app_id] = above
            continue
        if above.app != earlier.app:
            problems.add(
                above.file,
                above.line,
                f"app '{app_id}': expected the same name, vendor and category as in"
                f" {earlier.file}:{earlier.line}, found others",
            )
        merged[app_id] = replace(
            earlier,
            rules=(*earlier.rules, *above.rules),
            asns=tuple(dict.fromkeys(earlier.asns + above.asns)),
            examples=earlier.examples + above.examples,
            addresses=earlier.addresses + above.addresses,
            aliases=_merge_aliases(earlier.aliases, above.aliases),
        )


def _merge_aliases(below: tuple[Alias, ...], above: tuple[Alias, ...]) -> tuple[Alias, ...]:
    return tuple({alias.tail: alias for alias in (*above, *below)}.values())
