"""What a file says of itself: the ban, its days, versions, hashes, and what it does not do.

The lines are the same in every format that has comments. They depend on nothing but the ban, the
rules, the release and the moment that is given, so that the same input gives the same file.
"""

import textwrap
from collections.abc import Iterable, Sequence

from netwatch.core.period import days_text
from netwatch.core.text import escaped, quantity
from netwatch.exports.export_format import Export, ExportFormat, Fit, time_text
from netwatch.rules.signature import Rule

WIDTH = 110
"""Letters of a line of comment."""

MAX_RULES_NAMED = 200
"""Rules that a line of the head of an export names."""

_MISFITS: tuple[tuple[Fit, str], ...] = (
    ("none", "left out, as the format cannot say"),
    ("narrower", "only the names that are known, not all that is below"),
    ("wider", "also names that the rule does not have, of"),
)


def heading(export: Export, form: ExportFormat) -> list[str]:
    """The lines, without the mark of a comment. Nothing in them can begin another line."""
    ban, selection = export.ban, export.selection
    lines = [f"netwatch: names for {form.program}"]
    if ban is not None:
        lines.append(f"ban: {ban.id}, {ban.authority}, {days_text(ban.days, ban.timezone)}")
    apps = ", ".join(app.id for app in selection.apps)
    lines.append(f"apps: {apps}; roles: {', '.join(selection.roles)}")
    count = quantity(len(selection.rules), "rule")
    lines.append(f"signatures: {export.signatures}; {count}, sha256 {selection.digest}")
    lines.append(f"made by netwatch {export.netwatch} for {time_text(export.time)}")
    lines += losses(export, form)
    lines.append(f"note: {form.lost}")
    return [escaped(line) for line in lines]


def losses(export: Export, form: ExportFormat) -> list[str]:
    """What the file does not say as the rules do, in lines; none where there is nothing."""
    selection, lines = export.selection, []
    if form.needs_addresses:
        count = quantity(len(export.addresses), "address or network", "addresses and networks")
        lines.append(f"{count}, of the day they were seen: they change")
        if export.shared:
            shared = quantity(export.shared, "address", "addresses")
            lines.append(f"left out: {shared} that other names have too")
        return lines
    for fit, words in _MISFITS:
        rules = form.rules(selection, fit)
        if rules:
            lines.append(f"{words} {quantity(len(rules), 'rule')}: {named(rules)}")
    if "narrower" in form.fits.values():
        return lines
    spared = form.spared(export)
    passing = {(rule.kind, rule.name) for rule in spared}
    stopped = tuple(each for each in selection.others if (each.kind, each.name) not in passing)
    for rules, words in ((stopped, "also stopped, names of"), (spared, "let pass, names of")):
        if rules:
            lines.append(f"{words} {quantity(len(rules), 'rule')} below these: {_by_role(rules)}")
    return lines


def _by_role(rules: Sequence[Rule]) -> str:
    """How many rules there are of each app and role, with one of them."""
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        found.setdefault(f"{rule.app.id} ({rule.role})", []).append(rule)
    return "; ".join(f"{word} {len(each)}, as {each[0].text}" for word, each in found.items())


def named(rules: Sequence[Rule]) -> str:
    """Rules in words, of very many the first."""
    texts = (rule.text for rule in rules[:MAX_RULES_NAMED])
    more = len(rules) - MAX_RULES_NAMED
    return ", ".join(texts) + (f" and {more:,} more" if more > 0 else "")


def comments(export: Export, form: ExportFormat, *more: str) -> list[str]:
    """The lines of the heading and `more` as comments of the format, wrapped: dnsmasq reads no line
    of more than 1,025 bytes."""
    return [
        f"{form.comment} {piece}"
        for line in [*heading(export, form), *more]
        for piece in textwrap.wrap(line, WIDTH, subsequent_indent="  ", break_on_hyphens=False)
    ]


def joined(lines: Iterable[str]) -> str:
    """Lines as a text."""
    return "".join(f"{line}\n" for line in lines)
