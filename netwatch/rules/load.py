"""Signature files found, read and laid over one another.

A source is the word ``builtin`` for the shipped files, a YAML file, or a folder of them
(in itself or in its folder ``apps``). Later sources add to the apps of earlier ones, and
where both write the same rule the later one holds: so a site can add a name or change a
role without copying a file.
"""

import hashlib
import importlib.resources
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources.abc import Traversable
from pathlib import Path

from netwatch.core.addresses import ip_text
from netwatch.core.user_yaml import Problems, decode_yaml
from netwatch.rules.catalog import Catalog
from netwatch.rules.signature import Rule, Signature, read_signature

BUILTIN = "builtin"
"""The word for the shipped signatures."""


def shipped() -> Traversable:
    """The folder of the shipped files, with ``apps`` and ``bans`` in it."""
    return importlib.resources.files("netwatch.signatures")


def load(sources: Sequence[str | Path], base: Path) -> Catalog:
    """The catalogue of `sources`, in their order; paths are taken from `base`.

    Raises `ConfigError` with all mistakes in all files.
    """
    problems = Problems()
    catalog = gather(sources, base, problems)
    problems.raise_if_any()
    return catalog


def gather(sources: Sequence[str | Path], base: Path, problems: Problems) -> Catalog:
    """Like `load`, but notes mistakes in `problems` and goes on with what is sound."""
    digest = hashlib.sha256()
    merged: dict[str, Signature] = {}
    for source in sources:
        layer: dict[str, Signature] = {}
        for file in _files(source, base, problems):
            try:
                raw = file.read_bytes()
            except OSError as error:
                problems.add(str(file), 0, f"cannot be read: {error.strerror}")
                continue
            digest.update(hashlib.sha256(file.name.encode()).digest())
            digest.update(hashlib.sha256(raw).digest())
            mapping = decode_yaml(raw, str(file), problems)
            signature = mapping and read_signature(mapping, str(file), problems)
            if signature:
                _add(layer, signature, problems)
        _single(layer, problems)
        _lay_over(merged, layer, problems)
    return Catalog(list(merged.values()), digest.hexdigest()[:12])


def _files(source: str | Path, base: Path, problems: Problems) -> list[Traversable]:
    if source == BUILTIN:
        place: Traversable = shipped() / "apps"
    else:
        path = base / source
        if not path.exists():
            problems.add(str(path), 0, "no such file or folder of signatures")
            return []
        if path.is_file():
            return [path]
        place = path / "apps" if (path / "apps").is_dir() else path
    try:
        found = [file for file in place.iterdir() if file.name.endswith((".yaml", ".yml"))]
    except OSError as error:
        problems.add(str(place), 0, f"cannot be read: {error.strerror}")
        return []
    if not found:
        problems.add(str(place), 0, "holds no signature file (.yaml)")
    return sorted(found, key=lambda file: file.name)


def _add(layer: dict[str, Signature], signature: Signature, problems: Problems) -> None:
    first = layer.setdefault(signature.app.id, signature)
    if first is not signature:
        problems.add(
            signature.file,
            signature.line,
            f"app '{signature.app.id}' stands twice (first in {first.file}:{first.line})",
        )


def _single(layer: dict[str, Signature], problems: Problems) -> None:
    """Note the rules that one source writes twice, in one app or in two, and addresses
    that it gives to two apps."""
    seen: dict[tuple[str, str], Rule] = {}
    owners: dict[bytes, Signature] = {}
    for signature in layer.values():
        for address in signature.addresses:
            owner = owners.setdefault(address, signature)
            if owner is not signature:
                problems.add(
                    signature.file,
                    signature.line,
                    f"address {ip_text(address)} is one of app '{owner.app.id}' too"
                    f" ({owner.file}); one app only can have it",
                )
        for rule in signature.rules:
            first = seen.setdefault((rule.kind, rule.name), rule)
            if first is not rule:
                problems.add(
                    rule.file,
                    rule.line,
                    f"{rule.match.rule} stands twice (first in {first.file}:{first.line}"
                    f", app {first.app.id})",
                )


def _lay_over(
    merged: dict[str, Signature], layer: dict[str, Signature], problems: Problems
) -> None:
    taken = {(rule.kind, rule.name) for each in layer.values() for rule in each.rules}
    addresses = {address for each in layer.values() for address in each.addresses}
    for id, below in merged.items():
        kept = tuple(rule for rule in below.rules if (rule.kind, rule.name) not in taken)
        left = tuple(address for address in below.addresses if address not in addresses)
        merged[id] = replace(below, rules=kept, addresses=left)
    for id, above in layer.items():
        earlier = merged.get(id)
        if earlier is None:
            merged[id] = above
            continue
        if above.app != earlier.app:
            problems.add(
                above.file,
                above.line,
                f"app '{id}' has another name, vendor or category than in"
                f" {earlier.file}:{earlier.line}; write the same",
            )
        merged[id] = replace(
            earlier,
            rules=earlier.rules + above.rules,
            asns=tuple(dict.fromkeys(earlier.asns + above.asns)),
            examples=earlier.examples + above.examples,
            addresses=earlier.addresses + above.addresses,
        )
