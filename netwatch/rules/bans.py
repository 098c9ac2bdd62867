"""Bans, as shipped packs and as entries of a configuration.

An entry of ``bans`` in a configuration either names a pack, of which it may change severity,
minimum confidence, networks and bypass, or writes a ban out. The file of a pack has the keys of a
ban that is written out, and in addition where the ban comes from (`netwatch.rules.ban_keys`).
"""

import datetime
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from netwatch.core.errors import ConfigError
from netwatch.core.flow import BYPASS_CATEGORIES
from netwatch.core.period import read_timezone
from netwatch.core.user_yaml import Fields, Problems, YamlSequence, describe, did_you_mean
from netwatch.core.verdict import Ban, BanPeriod, Confidence, Exemption, Severity
from netwatch.rules.ban_texts import read_texts
from netwatch.rules.catalog import Catalog
from netwatch.rules.documents import read_document
from netwatch.rules.load import shipped

BANNED_CLASSES = ("service", "personal", "guest")
"""Classes of devices that a ban can name. The class ``infrastructure`` is not among them, because
a resolver only asks for others."""


DEFAULT_BAN = "default"
"""The shipped ban that applies where a configuration has no ``bans``."""

UNCONFIRMED = ("announced", "from", "until", "in_force", "legal_basis", "scope")
"""What a pack can say that no source confirms."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A shipped ban with its background.

    `jurisdiction` is an ISO 3166 code, ``EU`` or ``NATO``; `announced` the day of the announcement
    and `clean_by` the last day for devices to be without the apps, where they are known; `scope`
    whom it covers in words. `status` says whether it is still in force and what is not confirmed,
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
    ban = _read_ban(fields, catalog)
    fields.reject_unknown()
    return ban


def load_pack(ban_id: str, catalog: Catalog) -> Pack:
    """The shipped pack with this id.

    Raises `ConfigError` where there is none, and where the catalogue lacks apps that it names.
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
    ban = _read_ban(fields, catalog)
    jurisdiction, scope, status, notes = (
        fields.text(key) for key in ("jurisdiction", "scope", "status", "notes")
    )
    announced, clean_by = fields.date("announced"), fields.date("clean_by")
    sources = tuple(source for _, source in fields.texts("sources"))
    unconfirmed = _unconfirmed(fields)
    fields.reject_unknown()
    if ban is None:
        return None
    if f"{ban.id}.yaml" != file.name:
        fields.add_problem(
            "id", f"ban '{ban.id}': expected the file name {ban.id}.yaml, found {file.name}"
        )
    return Pack(
        ban=ban,
        jurisdiction=jurisdiction,
        announced=announced,
        clean_by=clean_by,
        scope=scope,
        status=status,
        unconfirmed=unconfirmed,
        notes=notes,
        sources=sources,
        file=str(file),
    )


def _unconfirmed(fields: Fields) -> tuple[str, ...]:
    found = []
    for line, word in fields.texts("unconfirmed"):
        if word in UNCONFIRMED:
            found.append(word)
        else:
            expected = f"expected words of {', '.join(UNCONFIRMED)}, found {describe(word)}"
            message = f"'unconfirmed': {expected}{did_you_mean(word, UNCONFIRMED)}"
            fields.problems.add(fields.file, line, message)
    return tuple(found)


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
    ban_id = fields.text("pack", required="the id of a shipped ban")
    changes: dict[str, Any] = {
        "severity": fields.choice("severity", get_args(Severity), None),
        "min_confidence": fields.choice("min_confidence", get_args(Confidence), None),
        "networks": frozenset(name for _, name in fields.texts("networks")) or None,
        "bypass": _bypass(fields, catalog),
    }
    fields.reject_unknown()
    if not ban_id:
        return None
    if ban_id not in _shipped_packs():
        fields.add_problem("pack", _unknown_pack(ban_id))
        return None
    try:
        pack = load_pack(ban_id, catalog)
    except ConfigError as error:
        fields.problems.found.extend(error.problems)
        return None
    return replace(pack.ban, **{key: value for key, value in changes.items() if value is not None})


def _read_ban(fields: Fields, catalog: Catalog) -> Ban | None:
    before = len(fields.problems.found)
    words = fields.texts("apps", required="the banned apps: ids, vendor:… or category:…")
    if fields.mapping.get("apps") == []:
        fields.add_problem("apps", "'apps': expected at least one app, found an empty list")
    forbids = _classes(fields, "forbids", frozenset({"service"}))
    advises = _classes(fields, "advises", frozenset())
    periods = read_periods(fields)
    ban = Ban(
        id=fields.text("id", required="a unique name, which alerts show"),
        authority=fields.text("authority", required="who issued the ban"),
        apps=catalog.resolve_apps(words, fields.file, fields.problems),
        forbids=forbids,
        advises=advises,
        periods=periods,
        review=fields.date("review"),
        timezone=read_timezone(fields),
        legal_basis=fields.text("legal_basis"),
        min_confidence=fields.choice("min_confidence", get_args(Confidence), "probable"),
        severity=fields.choice("severity", get_args(Severity), "high"),
        networks=frozenset(name for _, name in fields.texts("networks")),
        bypass=_bypass(fields, catalog) or frozenset(),
        texts=read_texts(fields, len(periods)),
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


def read_periods(fields: Fields) -> tuple[BanPeriod, ...]:
    """The periods of a ban, at least one; without any key it is open at both ends. Mistakes are
    noted."""
    start, end = fields.date("from"), fields.date("until")
    check_days(fields, start, end)
    listed = fields.value("periods")
    if not fields.has("periods"):
        return (BanPeriod(start, end),)
    before = len(fields.problems.found)
    if fields.has("from") or fields.has("until"):
        fields.add_problem(
            "periods", "a ban: expected either 'periods' or 'from' and 'until', found both"
        )
    if listed in (None, []):
        fields.add_problem("periods", "'periods': expected at least one period, found none")
    periods = fields.build_each("periods", _read_period, "a period")
    if len(fields.problems.found) == before:
        assert isinstance(listed, YamlSequence)
        _check_order(fields, listed.lines, periods)
    return tuple(periods) or (BanPeriod(None, None),)


def check_days(fields: Fields, start: datetime.date | None, end: datetime.date | None) -> None:
    """Note where the keys ``from`` and ``until`` are in the wrong order."""
    if start and end and end < start:
        fields.add_problem(
            "until", f"'until': expected a day not before 'from' ({start}), found {end}"
        )


def _read_period(fields: Fields) -> BanPeriod:
    start, end = fields.date("from"), fields.date("until")
    advice = fields.choice("kind", ("ban", "advice"), "ban") == "advice"
    period = BanPeriod(start, end, fields.text("basis"), advice)
    check_days(fields, period.start, period.end)
    fields.reject_unknown()
    return period


def _check_order(fields: Fields, lines: Sequence[int], periods: list[BanPeriod]) -> None:
    """Note where periods, each with its line, are not in order, or overlap."""
    for line, (earlier, later) in zip(lines[1:], pairwise(periods), strict=True):
        if earlier.end is None:
            message = "expected only the last period without 'until', found another one behind it"
        elif later.start is None:
            message = "expected 'from' in every period but the first, found none"
        elif later.start <= earlier.end:
            message = (
                f"expected a period from a day after {earlier.end}, on which the one before it"
                f" ends, found {later.start}"
            )
        else:
            continue
        fields.problems.add(fields.file, line, f"'periods': {message}")


def bans_version(bans: Iterable[Ban], exemptions: Iterable[Exemption] = ()) -> str:
    """A hash of what bans and exemptions say, 12 hex digits. It depends neither on their order, nor
    on the order of the keys in their files, nor on where the files are, nor on translations."""
    rules: list[Ban | Exemption] = [*bans, *exemptions]
    encode = json.JSONEncoder(sort_keys=True, default=_plain).encode
    content = sorted(encode(rule) for rule in rules)
    text = "\n".join(content)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _plain(value: Any) -> Any:
    """A value of a ban that JSON does not have, as one that it has."""
    if isinstance(value, (Ban, BanPeriod, Exemption)):
        names = [field.name for field in fields_of(value) if field.name != "texts"]
        return {name: getattr(value, name) for name in names}
    return sorted(value) if isinstance(value, frozenset) else str(value)


def _bypass(fields: Fields, catalog: Catalog) -> frozenset[str] | None:
    """The apps that a ban with ``bypass: alert`` covers in addition: those that hide names. Empty
    with ``count``, None where the key is absent."""
    word = fields.choice("bypass", ("count", "alert"), None)
    if word != "alert":
        return frozenset() if word else None
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


def _classes(fields: Fields, key: str, default: frozenset[str]) -> frozenset[str]:
    found = set()
    for line, name in fields.texts(key):
        if name in BANNED_CLASSES:
            found.add(name)
        else:
            expected = ", ".join(BANNED_CLASSES)
            hint = did_you_mean(name, BANNED_CLASSES)
            message = f"'{key}': expected classes of {expected}, found {describe(name)}{hint}"
            fields.problems.add(fields.file, line, message)
    return frozenset(found) if fields.has(key) else default
