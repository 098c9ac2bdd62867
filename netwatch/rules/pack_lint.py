"""The lint rules for shipped bans: what a pack must say so that it can be checked by others.

The form of a file is checked where it is read (`netwatch.rules.bans`). The ban that applies without
a configuration comes from no authority, so none of the rules applies to it. A new rule is one
function and one row of `PACK_RULES`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netwatch.core.errors import Problem
from netwatch.rules.bans import DEFAULT_BAN, Pack, load_pack, pack_ids
from netwatch.rules.catalog import Catalog


@dataclass(frozen=True, slots=True)
class PackRule:
    """A rule for packs. `id` follows each message in brackets; `check` yields what is wrong."""

    id: str
    description: str
    check: Callable[[Pack], Iterator[str]]


def lint_packs(catalog: Catalog) -> list[Problem]:
    """The findings of all rules for all shipped packs; `catalog` has to have all shipped apps."""
    packs = [load_pack(ban_id, catalog) for ban_id in pack_ids() if ban_id != DEFAULT_BAN]
    return [problem for pack in packs for problem in lint_pack(pack)]


def lint_pack(pack: Pack) -> list[Problem]:
    """The findings of all rules for one pack."""
    return [
        Problem(pack.file, 1, 0, f"ban '{pack.ban.id}' {message} [{rule.id}]")
        for rule in PACK_RULES
        for message in rule.check(pack)
    ]


def _readable_source(pack: Pack) -> Iterator[str]:
    if not any(source.startswith("https://") for source in pack.sources):
        yield "has no source with https; expected an address at which its dates can be read"


def _announced_first(pack: Pack) -> Iterator[str]:
    first, announced = pack.ban.start, pack.announced
    if first is None:
        yield "has no first day; expected 'from'"
    elif announced and announced > first and str(announced) not in pack.notes:
        yield (
            f"was announced on {announced}, after its first day {first}; expected an earlier day,"
            " or 'notes' with this day and the reason"
        )
    elif announced is None and "announced" not in pack.unconfirmed:
        yield "has no 'announced'; expected the day, or 'announced' under 'unconfirmed'"


def _legal_basis(pack: Pack) -> Iterator[str]:
    if not pack.ban.legal_basis and "legal basis" not in pack.status:
        yield "has no 'legal_basis'; expected it, or a 'status' that states that none was published"


def _status(pack: Pack) -> Iterator[str]:
    if pack.unconfirmed and not pack.status:
        yield "has 'unconfirmed'; expected a 'status' that explains it in words"
    if "not confirmed" in pack.status and not pack.unconfirmed:
        yield "has a 'status' that something is not confirmed; expected it under 'unconfirmed'"


def _bases(pack: Pack) -> Iterator[str]:
    if len(pack.ban.periods) > 1:
        for period in pack.ban.periods:
            if not period.basis:
                yield f"has a period from {period.start} without 'basis'; expected the decision"


def _background(pack: Pack) -> Iterator[str]:
    for key, text in (("jurisdiction", pack.jurisdiction), ("scope", pack.scope)):
        if not text:
            yield f"has no '{key}'; expected it"
    if pack.ban.timezone == "UTC":
        yield "has no 'timezone'; expected the authority's"


PACK_RULES: tuple[PackRule, ...] = (
    PackRule(
        "pack-source", "a pack without a source that can be read with https", _readable_source
    ),
    PackRule(
        "pack-announced",
        "a pack that was announced after its first day, or without a day of announcement, and does"
        " not state so",
        _announced_first,
    ),
    PackRule(
        "pack-legal-basis",
        "a pack without `legal_basis` whose `status` does not state that none was published",
        _legal_basis,
    ),
    PackRule("pack-status", "a pack whose `status` and `unconfirmed` do not agree", _status),
    PackRule("pack-basis", "one of several periods without `basis`", _bases),
    PackRule("pack-background", "a pack without jurisdiction, scope or time zone", _background),
)
"""All rules for packs."""
