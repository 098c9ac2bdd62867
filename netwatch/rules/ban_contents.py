"""What a ban says together with the signatures of its apps, as a hash.

Whoever asks whether the past was judged by a ban compares this hash, and not that of all bans and
all signatures: a rule of another app, or another ban, changes nothing that this one decides.
"""

import hashlib
import json
from collections.abc import Iterable

from netwatch.core.verdict import Ban
from netwatch.rules.catalog import Catalog

DIGITS = 16
"""Hex digits of a hash."""


def ban_contents(bans: Iterable[Ban], catalog: Catalog) -> dict[str, str]:
    """The hash of each ban by its id. Review date, authority, basis and severity decide nothing and
    do not count; nor does where a rule is written."""
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
    """What decides in the signature of an app; empty for an app without one."""
    signature = catalog.signatures.get(app)
    if signature is None:
        return []
    return [
        sorted((rule.text, rule.role, rule.grade.value) for rule in signature.rules),
        sorted(asn.number for asn in signature.asns),
        sorted(address.hex() for address in signature.addresses),
        sorted(alias.tail for alias in signature.aliases),
    ]
