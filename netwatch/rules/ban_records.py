"""The records of bans, as `netwatch bans list`, `policy check` and the API of the console give
them."""

from datetime import date
from typing import Any

from netwatch.core.verdict import Ban
from netwatch.rules.bans import Pack


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
