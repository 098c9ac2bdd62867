"""The lists of names that firewalls fetch: one for each ban and product, at a stable address."""

import hashlib

from netwatch.console.answers import Answer, Download, Page, not_found
from netwatch.console.view import View
from netwatch.core.dataclass import dataclass
from netwatch.core.verdict import Ban
from netwatch.exports.firewall import FORMATS, domain_list
from netwatch.exports.names import NameList, blocked_rules


@dataclass(frozen=True, slots=True)
class Offered:
    """A list: the product that reads it, its address, its names, and the rules it has no form
    for."""

    product: str
    address: str
    entries: int
    left_out: tuple[str, ...]


def show(view: View) -> Answer:
    """All lists, with their addresses."""
    offered = {
        ban.id: [
            Offered(
                FORMATS[form].product,
                f"/lists/{ban.id}/{form}.txt",
                found.text.count("\n"),
                tuple(rule.text for rule in found.left_out),
            )
            for form in FORMATS
            for found in [_list(view, ban, form)]
        ]
        for ban in view.console.config.policy.bans
    }
    version = view.console.config.catalog.version
    return Page("lists", {"offered": offered, "version": version, "url": view.console.options.url})


def text(view: View) -> Answer:
    """One list. It has an entity tag (RFC 9110 section 8.8.3), so that a firewall that asks every
    few minutes takes it only when it has changed."""
    form = view.path["file"].removesuffix(".txt")
    ban = next((ban for ban in view.console.config.policy.bans if ban.id == view.path["ban"]), None)
    if ban is None or form not in FORMATS or view.path["file"] != f"{form}.txt":
        raise not_found(view.say("There is no such list."))
    content = _list(view, ban, form).text.encode()
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Download(
        view.path["file"],
        "text/plain; charset=utf-8",
        iter([content]),
        headers={"ETag": tag, "Content-Disposition": "inline"},
    )


def _list(view: View, ban: Ban, form: str) -> NameList:
    return domain_list(blocked_rules(view.console.config.catalog, ban), form)
