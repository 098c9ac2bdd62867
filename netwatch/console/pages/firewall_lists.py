"""The lists of names that firewalls fetch, one for each ban and product, at a stable address."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime

from netwatch import __version__
from netwatch.console.view import Answer, Download, Page, View, not_found
from netwatch.core.verdict import Ban
from netwatch.exports import selection
from netwatch.exports.export_format import Export, feeds


@dataclass(frozen=True, slots=True)
class Offered:
    """A list: the product that reads it, its address, its names, and the rules it has no form
    for."""

    product: str
    address: str
    entries: int
    left_out: tuple[str, ...]


def show_lists(view: View) -> Answer:
    """All lists, with their addresses."""
    offered = {
        ban.id: [
            Offered(
                form.product,
                f"/lists/{ban.id}/{name}.txt",
                form.text(export).count("\n"),
                tuple(rule.text for rule in form.rules(export.selection, "none")),
            )
            for export in [_export(view, ban)]
            for name, form in feeds().items()
        ]
        for ban in view.console.config.policy.bans
    }
    version = view.console.config.catalog.version
    return Page("lists", {"offered": offered, "version": version, "url": view.console.options.url})


def list_text(view: View) -> Answer:
    """One list. It has an entity tag (RFC 9110 section 8.8.3), so that a firewall that asks every
    few minutes takes it only when it has changed."""
    name = view.path["file"].removesuffix(".txt")
    ban = next((ban for ban in view.console.config.policy.bans if ban.id == view.path["ban"]), None)
    if ban is None or name not in feeds() or view.path["file"] != f"{name}.txt":
        raise not_found(view.say("There is no such list."))
    content = feeds()[name].text(_export(view, ban)).encode()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Download(
        view.path["file"],
        "text/plain; charset=utf-8",
        iter([content]),
        headers={"ETag": tag, "Content-Disposition": "inline"},
    )


def _export(view: View, ban: Ban) -> Export:
    catalog = view.console.config.catalog
    # The lists have no comments, so they do not say when they were made.
    rules = selection.select(catalog, ban.apps)
    return Export(rules, ban, datetime.now(UTC), __version__, catalog.version)
