"""Shipped bans and apps, from their files."""

from docs_generator.markdown import code, table
from docs_generator.pages import ROOT
from netwatch.core.verdict import BanPeriod
from netwatch.rules.bans import load_pack, pack_ids
from netwatch.rules.grade import SOURCES, Source
from netwatch.rules.lint import LINT_RULES
from netwatch.rules.lint_shipped import PACK_RULES
from netwatch.rules.load import BUILTIN, load_signatures


def packs_block(_: str) -> str:
    """The shipped ban packs."""
    catalog = load_signatures([BUILTIN], ROOT)
    rows = []
    for ban_id in pack_ids():
        pack = load_pack(ban_id, catalog)
        ban = pack.ban
        classes = [*sorted(ban.forbids), *(f"{each} (advice)" for each in sorted(ban.advises))]
        lists = [", ".join(part) for part in (sorted(ban.apps), classes)]
        days = [_period(each) for each in ban.periods]
        rows.append(
            [code(ban_id), pack.jurisdiction or "", ban.authority, *lists, "<br>".join(days)]
        )
    titles = ("pack", "where", "authority", "apps", "classes", "in force")
    return table(titles, rows)


def _period(period: BanPeriod) -> str:
    start, end = period.start or "", period.end or ""
    days = f"{start} to {end}" if start and end else f"from {start}" if start else "always"
    if end and not start:
        days = f"until {end}"
    return f"{days} (advice)" if period.advice else days


def pack_lint_block(_: str) -> str:
    """The rules for packs of ``netwatch signatures lint``."""
    return table(("rule", "it finds"), ([code(rule.id), rule.description] for rule in PACK_RULES))


def apps_block(_: str) -> str:
    """The shipped apps, by category."""
    signatures = load_signatures([BUILTIN], ROOT).signatures.values()
    groups: dict[str, list[str]] = {}
    for app in sorted((each.app for each in signatures), key=lambda app: (app.category, app.id)):
        named = f"{app.name} ({code(app.id, app.vendor)})"
        groups.setdefault(app.category, []).append(named)
    rows = ([code(category), "; ".join(apps)] for category, apps in groups.items())
    return table(("category", "name (app, vendor)"), rows)


def sources_block(_: str) -> str:
    """The sources of the shipped signatures."""
    return table(
        ("tag", "family", "what it is", "as of"),
        (
            [code(source.tag), _family(source), source.description, source.state]
            for source in sorted(SOURCES.values(), key=lambda each: each.tag)
        ),
    )


def _family(source: Source) -> str:
    copied = "".join(
        f", {code(family)} for {code(app)}" for app, family in sorted(source.copied.items())
    )
    return code(source.family) + copied


def lint_block(_: str) -> str:
    """The rules of ``netwatch signatures lint``."""
    return table(
        ("rule", "severity", "it finds"),
        ([code(rule.id), rule.severity, rule.description] for rule in LINT_RULES),
    )
