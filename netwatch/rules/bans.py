"""Bans, as shipped packs and as entries of a configuration.

An entry of ``bans`` in a configuration either names a pack, whose severity, minimum confidence,
networks and bypass it may change, or defines a ban. The file of a pack has the keys of a ban
definition, and in addition the ban's origin (`netwatch.rules.keys`).

`ban_contents` is a hash of a ban together with the signatures of its apps. To find out whether the
past was judged by a ban, compare this hash, and not the hash of all bans and all signatures: a rule
of another app, or another ban, does not change the decisions of this one.

`ban_record` has all facts of a ban, as `netwatch bans list` and the API of the console give them.
"""

import datetime
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from datetime import date
from pathlib import Path
from typing import Any

from netwatch.core.errors import ConfigError
from netwatch.core.file_keys import read_section
from netwatch.core.flow import BYPASS_CATEGORIES
from netwatch.core.user_yaml import Fields, Problems, describe
from netwatch.core.verdict import Ban, BanPeriod, BanTexts, Exemption
from netwatch.rules.catalog import Catalog
from netwatch.rules.documents import read_document
from netwatch.rules.keys import BanKeys, PackEntryKeys, PackKeys, periods_of
from netwatch.rules.load import shipped

DEFAULT_BAN = "default"
"""The shipped ban that applies if a configuration has no ``bans``."""

DIGITS = 16
"""Hex digits of a hash."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A shipped ban with its background.

    `jurisdiction` is an ISO 3166 code, ``EU`` or ``NATO``; `announced` is the day of the
    announcement and `clean_by` the last day for devices to be without the apps, if known; `scope`
    describes whom it covers. `status` says whether it is still in force and what is not confirmed,
    which `unconfirmed` lists in words of `UNCONFIRMED`. `sources` are addresses where it was
    published or described. `file` is the file of the pack.
    """

    ban: Ban
    jurisdiction: str
    announced: datetime.date | None
    clean_by: datetime.date | None
    scope: str
    status: str
    unconfirmed: tuple[str, ...]
    notes: str
    sources: tuple[str, ...]
    file: str


def read_ban(fields: Fields, catalog: Catalog) -> Ban | None:
    """The ban of one entry of ``bans`` in a configuration.

    Mistakes are noted; a ban with mistakes is None. The caller checks the names of networks.
    """
    if fields.has("pack"):
        return _read_pack_entry(fields, catalog)
    before = len(fields.problems.found)
    return _ban(read_section(BanKeys, fields, Path()), fields, catalog, before)


def load_pack(ban_id: str, catalog: Catalog) -> Pack:
    """The shipped pack with this id.

    Raises `ConfigError` if there is none, or if the catalogue lacks apps that it names.
    """
    problems = Problems()
    file = _shipped_packs().get(ban_id)
    if file is None:
        problems.add(f"{ban_id}.yaml", 0, _unknown_pack(ban_id))
        problems.raise_if_any()
    assert file is not None
    pack = read_pack(file, catalog, problems)
    problems.raise_if_any()
    assert pack is not None
    return pack


def pack_ids() -> list[str]:
    """The ids of the shipped packs, sorted."""
    return sorted(_shipped_packs())


def read_pack(file: Path, catalog: Catalog, problems: Problems) -> Pack | None:
    """The pack in a YAML file, which must be named after the id of the ban; None with the
    mistakes noted."""
    is_shipped = file.resolve().is_relative_to(shipped().resolve())
    mapping = read_document(file, problems, shipped=is_shipped)
    if mapping is None:
        return None
    fields = Fields(mapping, str(file), problems, "a pack")
    before = len(problems.found)
    found = read_section(PackKeys, fields, file.parent)
    ban = _ban(found, fields, catalog, before)
    if ban is None:
        return None
    if f"{ban.id}.yaml" != file.name:
        fields.add_problem(
            "id", f"ban '{ban.id}': expected the file name {ban.id}.yaml, found {file.name}"
        )
    return Pack(
        ban=ban,
        jurisdiction=found.jurisdiction,
        announced=found.announced,
        clean_by=found.clean_by,
        scope=found.scope,
        status=found.status,
        unconfirmed=found.unconfirmed,
        notes=found.notes,
        sources=found.sources,
        file=str(file),
    )


def _shipped_packs() -> dict[str, Path]:
    files = (shipped() / "bans").iterdir()
    return {file.name[:-5]: file for file in files if file.name.endswith(".yaml")}


def _unknown_pack(ban_id: str) -> str:
    ids = pack_ids()
    import difflib

    near = difflib.get_close_matches(ban_id, ids, 3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else f" (known: {', '.join(ids)})"
    return f"expected the id of a shipped ban, found {describe(ban_id)}{hint}"


def _read_pack_entry(fields: Fields, catalog: Catalog) -> Ban | None:
    found = read_section(PackEntryKeys, fields, Path())
    changes: dict[str, Any] = {
        "severity": found.severity,
        "min_confidence": found.min_confidence,
        "networks": frozenset(found.networks) or None,
        "bypass": None if found.bypass is None else _bypass(found.bypass, fields, catalog),
    }
    if not found.pack:
        return None
    if found.pack not in _shipped_packs():
        fields.add_problem("pack", _unknown_pack(found.pack))
        return None
    try:
        pack = load_pack(found.pack, catalog)
    except ConfigError as error:
        fields.problems.found.extend(error.problems)
        return None
    return replace(pack.ban, **{key: value for key, value in changes.items() if value is not None})


def _ban(found: BanKeys, fields: Fields, catalog: Catalog, before: int) -> Ban | None:
    """The ban with these keys; None if its file has more mistakes than the `before` ones noted
    before these keys were read."""
    if fields.mapping.get("apps") == []:
        fields.add_problem("apps", "'apps': expected at least one app, found an empty list")
    forbids, advises = frozenset(found.forbids), frozenset(found.advises)
    ban = Ban(
        id=found.id,
        authority=found.authority,
        apps=catalog.resolve_apps([*found.apps], fields.file, fields.problems),
        forbids=forbids,
        advises=advises,
        periods=periods_of(found, fields),
        review=found.review,
        timezone=found.timezone,
        legal_basis=found.legal_basis,
        min_confidence=found.min_confidence,
        severity=found.severity,
        networks=frozenset(found.networks),
        bypass=_bypass(found.bypass, fields, catalog),
        texts=found.texts,
    )
    if not (forbids or advises or len(fields.problems.found) > before):
        fields.add_problem(
            "forbids", "a ban: expected a class in 'forbids' or 'advises', found none"
        )
    for both in sorted(forbids & advises):
        fields.add_problem(
            "advises", f"'{both}': expected in 'forbids' or 'advises', found in both"
        )
    return ban if len(fields.problems.found) == before else None


def bans_version(bans: Iterable[Ban], exemptions: Iterable[Exemption] = ()) -> str:
    """A hash of what bans and exemptions say, 12 hex digits. It depends neither on their order, nor
    on the order of the keys in their files, nor on the location of the files, nor on
    translations."""
    rules: list[Ban | Exemption] = [*bans, *exemptions]
    encode = json.JSONEncoder(sort_keys=True, default=_plain).encode
    content = sorted(encode(rule) for rule in rules)
    text = "\n".join(content)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _plain(value: Any) -> Any:
    """A value of a ban that JSON lacks, as a JSON value."""
    if isinstance(value, (Ban, BanPeriod, Exemption)):
        names = [field.name for field in fields_of(value) if field.name != "texts"]
        return {name: getattr(value, name) for name in names}
    return sorted(value) if isinstance(value, frozenset) else str(value)


def _bypass(word: str, fields: Fields, catalog: Catalog) -> frozenset[str]:
    """The apps that a ban with ``bypass: alert`` covers in addition: those that hide names. Empty
    with ``count``."""
    if word != "alert":
        return frozenset()
    apps = [app.id for app in catalog.apps().values() if app.category in BYPASS_CATEGORIES]
    if not apps and catalog.complete:
        expected = (
            f"an app of category {', '.join(BYPASS_CATEGORIES[:-1])} or {BYPASS_CATEGORIES[-1]}"
        )
        fields.add_problem(
            "bypass",
            f"'bypass': expected {expected} in the signatures, found none; add builtin to"
            " 'signatures'",
        )
    return frozenset(apps)


def ban_contents(bans: Iterable[Ban], catalog: Catalog) -> dict[str, str]:
    """The hash of each ban by its id. Review date, authority, basis and severity do not affect
    decisions and are left out, as is the place where a rule is written."""
    signatures: dict[str, list[object]] = {}
    found = {}
    for ban in bans:
        apps = sorted(ban.apps | ban.bypass)
        for app in apps:
            if app not in signatures:
                signatures[app] = _signature(app, catalog)
        content = [
            ban.id,
            apps,
            sorted(ban.bypass),
            sorted(ban.forbids),
            sorted(ban.advises),
            sorted(ban.networks),
            [[str(period.start), str(period.end), period.advice] for period in ban.periods],
            ban.timezone,
            ban.min_confidence,
            [signatures[app] for app in apps],
        ]
        text = json.dumps(content, ensure_ascii=True)
        found[ban.id] = hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
    return found


def _signature(app: str, catalog: Catalog) -> list[object]:
    """The parts of an app's signature that affect decisions; empty for an app without one."""
    signature = catalog.signatures.get(app)
    if signature is None:
        return []
    return [
        sorted((rule.text, rule.role, rule.grade.value) for rule in signature.rules),
        sorted(asn.number for asn in signature.asns),
        sorted(address.hex() for address in signature.addresses),
        sorted(alias.tail for alias in signature.aliases),
    ]


def words_in(ban: Ban, language: str) -> BanTexts:
    """A ban's words in a language; those without a translation are as written."""
    found = next((text for text in ban.texts if text.language == language), BanTexts(language))
    return BanTexts(
        language,
        found.authority or ban.authority,
        found.legal_basis or ban.legal_basis,
        found.bases or tuple(period.basis for period in ban.periods),
    )


def period_records(ban: Ban) -> list[dict[str, Any]]:
    """The periods of a ban."""
    return [
        {
            "from": day_text(period.start),
            "until": day_text(period.end),
            "basis": period.basis,
            "kind": "advice" if period.advice else "ban",
        }
        for period in ban.periods
    ]


def ban_record(ban: Ban, pack: Pack | None, configured: bool | None) -> dict[str, Any]:
    """All facts of a ban. The keys of its pack are None for a ban that is written out in a
    configuration, and `configured` is None if no configuration was read."""
    return {
        "id": ban.id,
        "authority": ban.authority,
        "jurisdiction": pack and pack.jurisdiction,
        "apps": sorted(ban.apps),
        "forbids": sorted(ban.forbids),
        "advises": sorted(ban.advises),
        "announced": day_text(pack.announced if pack else None),
        "periods": period_records(ban),
        "gaps": [{"from": str(first), "until": str(last)} for first, last in ban.gaps],
        "clean_by": day_text(pack.clean_by if pack else None),
        "review": day_text(ban.review),
        "timezone": ban.timezone,
        "legal_basis": ban.legal_basis,
        "severity": ban.severity,
        "min_confidence": ban.min_confidence,
        "networks": sorted(ban.networks),
        "scope": pack and pack.scope,
        "status": pack and pack.status,
        "unconfirmed": pack and list(pack.unconfirmed),
        "notes": pack and pack.notes,
        "sources": pack and list(pack.sources),
        "file": pack and pack.file,
        "configured": configured,
    }


def day_text(day: date | None) -> str | None:
    """A day as ``YYYY-MM-DD``."""
    return None if day is None else day.isoformat()
