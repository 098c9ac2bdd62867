"""Bans, as shipped packs and as written out in a configuration.

Both are the same mapping; a pack tells besides where the ban comes from. An entry of a
configuration either names a pack, and may then change how loud it is and where it holds,
or writes a ban out.
"""

import datetime
import difflib
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from typing import Any, get_args

from netwatch.core.errors import ConfigError
from netwatch.core.flow import BYPASS_CATEGORIES
from netwatch.core.user_yaml import Fields, Problems, decode_yaml
from netwatch.core.verdict import Ban, Confidence, Severity
from netwatch.rules.catalog import Catalog
from netwatch.rules.load import shipped

BANNED_CLASSES = ("service", "personal", "guest")
"""Classes of devices that a ban can speak of: a resolver only asks for others."""


@dataclass(frozen=True, slots=True)
class Pack:
    """A shipped ban with its background: whose law, whom it covers in words, whether it
    still holds, and where that is told."""

    ban: Ban
    jurisdiction: str
    scope: str
    status: str
    notes: str
    sources: tuple[str, ...]


def read_ban(fields: Fields, catalog: Catalog) -> Ban | None:
    """The ban that one entry of ``bans`` in a configuration stands for.

    Mistakes are noted where they stand; None where there is no sound ban. The names of
    networks are the caller's to check.
    """
    if fields.has("pack"):
        return _by_pack(fields, catalog)
    ban = _written_out(fields, catalog)
    fields.reject_unknown()
    return ban


def load_pack(ban_id: str, catalog: Catalog) -> Pack:
    """The shipped pack of that id.

    Raises `ConfigError` where there is none, naming near ones, or where it cannot be
    read with this catalogue because its apps are not in it.
    """
    problems = Problems()
    file = _shipped_packs().get(ban_id)
    if file is None:
        problems.add(f"{ban_id}.yaml", 0, no_pack(ban_id))
        problems.raise_if_any()
    assert file is not None
    pack = read_pack(file, catalog, problems)
    problems.raise_if_any()
    assert pack is not None
    return pack


def pack_ids() -> list[str]:
    """The ids of the shipped packs, in order."""
    return sorted(_shipped_packs())


def no_pack(ban_id: str) -> str:
    """What to tell of an id that no pack has."""
    ids = pack_ids()
    near = difflib.get_close_matches(ban_id, ids, 3, cutoff=0.5)
    return f"no pack is '{ban_id}'; " + (
        f"near it are {', '.join(near)}" if near else f"there are {', '.join(ids)}"
    )


def read_pack(file: Traversable, catalog: Catalog, problems: Problems) -> Pack | None:
    """The pack in a YAML file, which is named after the ban's id."""
    mapping = decode_yaml(file.read_bytes(), str(file), problems)
    if mapping is None:
        return None
    fields = Fields(mapping, str(file), problems, "a pack")
    ban = _written_out(fields, catalog)
    jurisdiction, scope, status, notes = (
        fields.text(key) for key in ("jurisdiction", "scope", "status", "notes")
    )
    sources = tuple(source for _, source in fields.texts("sources"))
    fields.reject_unknown()
    if ban is None:
        return None
    if f"{ban.id}.yaml" != file.name:
        fields.add_problem("id", f"ban '{ban.id}' must stand in a file of its name, {ban.id}.yaml")
    return Pack(ban, jurisdiction, scope, status, notes, sources)


def _shipped_packs() -> dict[str, Traversable]:
    files = (shipped() / "bans").iterdir()
    return {file.name[:-5]: file for file in files if file.name.endswith(".yaml")}


def _by_pack(fields: Fields, catalog: Catalog) -> Ban | None:
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
        fields.add_problem("pack", no_pack(ban_id))
        return None
    try:
        pack = load_pack(ban_id, catalog)
    except ConfigError as error:
        fields.problems.found.extend(error.problems)
        return None
    return replace(pack.ban, **{key: value for key, value in changes.items() if value is not None})


def _written_out(fields: Fields, catalog: Catalog) -> Ban | None:
    before = len(fields.problems.found)
    words = fields.texts("apps", required="the apps it bans: ids, vendor:… or category:…")
    if fields.mapping.get("apps") == []:
        fields.add_problem("apps", "'apps' is empty, at least one app is expected")
    forbids = _classes(fields, "forbids", frozenset({"service"}))
    advises = _classes(fields, "advises", frozenset())
    ban = Ban(
        id=fields.text("id", required="a short name that is told in alerts"),
        authority=fields.text("authority", required="who bans"),
        apps=catalog.select(words, fields.file, fields.problems),
        forbids=forbids,
        advises=advises,
        start=fields.date("from"),
        end=fields.date("until"),
        review=fields.date("review"),
        timezone=fields.text("timezone", "UTC"),
        legal_basis=fields.text("legal_basis"),
        min_confidence=fields.choice("min_confidence", get_args(Confidence), "probable"),
        severity=fields.choice("severity", get_args(Severity), "high"),
        networks=frozenset(name for _, name in fields.texts("networks")),
        bypass=_bypass(fields, catalog) or frozenset(),
    )
    if not (forbids or advises or len(fields.problems.found) > before):
        fields.add_problem("forbids", "the ban neither forbids nor advises anything")
    for both in sorted(forbids & advises):
        fields.add_problem("advises", f"'{both}' stands under forbids and under advises; keep one")
    if _later(ban.start, ban.end):
        fields.add_problem("until", f"'until' is {ban.end}, before 'from', {ban.start}")
    fault = _zone_fault(ban.timezone)
    if fault:
        fields.add_problem("timezone", fault)
    return ban if len(fields.problems.found) == before else None


def _bypass(fields: Fields, catalog: Catalog) -> frozenset[str] | None:
    """The apps that a ban with ``bypass: alert`` covers beside those that it names, none
    with ``count``; None where nothing is written."""
    word = fields.choice("bypass", ("count", "alert"), None)
    if word != "alert":
        return frozenset() if word else None
    apps = [app.id for app in catalog.apps().values() if app.category in BYPASS_CATEGORIES]
    if not apps and catalog.signatures:
        told = (
            f"no app is of category {', '.join(BYPASS_CATEGORIES[:-1])} or {BYPASS_CATEGORIES[-1]}"
        )
        fields.add_problem(
            "bypass", f"'bypass' has nothing to alert of: {told}; use builtin signatures"
        )
    return frozenset(apps)


def _classes(fields: Fields, key: str, default: frozenset[str]) -> frozenset[str]:
    found = set()
    for line, name in fields.texts(key):
        if name in BANNED_CLASSES:
            found.add(name)
        else:
            expected = ", ".join(BANNED_CLASSES)
            message = f"'{key}' holds '{name}', expected classes of {expected}"
            fields.problems.add(fields.file, line, message)
    return frozenset(found) if fields.has(key) else default


def _later(start: datetime.date | None, end: datetime.date | None) -> bool:
    return start is not None and end is not None and start > end


def _zone_fault(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        near = _near_zones(name, zoneinfo.available_timezones())
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"no time zone is '{name}'{hint} (a name as Europe/Brussels is expected)"
    return ""


def _near_zones(name: str, zones: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name, sorted(zones), 1, cutoff=0.6)
