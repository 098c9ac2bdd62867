"""Signature files are found, read and merged into one catalogue.

A source is the word ``builtin`` for the shipped files, a YAML file, or a folder of YAML files
(directly or in its subfolder ``apps``). Later sources add to the apps of earlier ones, and replace
the rules that both have: a site can add a name or change a role without copying a file.
"""

import hashlib
import importlib.resources
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from netwatch.core.addresses import ip_text
from netwatch.core.errors import NetwatchError
from netwatch.core.user_files import read_user_file
from netwatch.core.user_yaml import Problems
from netwatch.core.yaml_reader import decode_yaml
from netwatch.rules.catalog import Catalog
from netwatch.rules.signature import KINDS, Alias, Kind, Rule, Signature, read_signature

BUILTIN = "builtin"
"""The word that stands for the shipped signatures."""


def shipped() -> Traversable:
    """The folder of the shipped files, with the subfolders ``apps`` and ``bans``."""
    return importlib.resources.files("netwatch.signatures")


def load_signatures(sources: Sequence[str | Path], base: Path) -> Catalog:
    """The catalogue of `sources`, in their order; paths are relative to `base`.

    Raises `ConfigError` with all mistakes in all files.
    """
    problems = Problems()
    catalog = read_signatures(sources, base, problems)
    problems.raise_if_any()
    return catalog


def read_signatures(sources: Sequence[str | Path], base: Path, problems: Problems) -> Catalog:
    """Like `load_signatures`, but notes mistakes in `problems` and leaves out what has some."""
    before = len(problems.found)
    digest = hashlib.sha256()
    merged: dict[str, Signature] = {}
    for source in sources:
        layer: dict[str, Signature] = {}
        for file in _files(source, base, problems):
            mapping = _read_file(file, digest, problems)
            signature = mapping and read_signature(
                mapping, str(file), problems, shipped=source == BUILTIN
            )
            if signature:
                _add(layer, signature, problems)
        _check_duplicates(layer, problems)
        _merge_layer(merged, layer, problems)
    complete = len(problems.found) == before
    return Catalog(list(merged.values()), digest.hexdigest()[:12], complete)


def with_signature(catalog: Catalog, signature: Signature, problems: Problems) -> Catalog:
    """The catalogue with one more signature as its last layer; mistakes between the two are noted
    in `problems`. It has the version of `catalog`."""
    merged = dict(catalog.signatures)
    layer = {signature.app.id: signature}
    _check_duplicates(layer, problems)
    _merge_layer(merged, layer, problems)
    return Catalog(list(merged.values()), catalog.version, catalog.complete)


def _read_file(file: Traversable, digest: "hashlib._Hash", problems: Problems) -> Any:
    """The mapping of a file, or None; `digest` is updated with name and content."""
    try:
        raw = read_user_file(file) if isinstance(file, Path) else file.read_bytes()
    except NetwatchError as error:
        problems.add(str(file), 0, str(error))
        return None
    digest.update(hashlib.sha256(file.name.encode("utf-8", "surrogateescape")).digest())
    digest.update(hashlib.sha256(raw).digest())
    return decode_yaml(raw, str(file), problems, rows_of="domains")


def _files(source: str | Path, base: Path, problems: Problems) -> list[Traversable]:
    if source == BUILTIN:
        place: Traversable = shipped() / "apps"
    else:
        path = base / source
        if not path.exists():
            problems.add(str(path), 0, "expected a file or folder of signatures, found nothing")
            return []
        if not path.is_dir():
            return [path]
        place = path / "apps" if (path / "apps").is_dir() else path
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
    # The layer may be far larger than what is below it.
    known = {(rule.kind, rule.name) for each in merged.values() for rule in each.rules}
    new = (rule for each in layer.values() for rule in each.rules)
    replaced = {key for rule in new if (key := (rule.kind, rule.name)) in known}
    addresses = {address for each in layer.values() for address in each.addresses}
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
            rules=earlier.rules + above.rules,
            asns=tuple(dict.fromkeys(earlier.asns + above.asns)),
            examples=earlier.examples + above.examples,
            addresses=earlier.addresses + above.addresses,
            aliases=_merge_aliases(earlier.aliases, above.aliases),
        )


def _merge_aliases(below: tuple[Alias, ...], above: tuple[Alias, ...]) -> tuple[Alias, ...]:
    return tuple({alias.tail: alias for alias in (*above, *below)}.values())
