"""A ban that tests vary with `dataclasses.replace`."""

from dataclasses import replace
from datetime import date

from netwatch.core.verdict import Ban, BanPeriod

BAN = Ban(
    id="be-fed-tiktok-2023",
    authority="BE-FED",
    apps=frozenset({"tiktok"}),
    forbids=frozenset({"service"}),
    advises=frozenset({"personal"}),
    periods=(BanPeriod(date(2023, 3, 10), None, "Circular 7"),),
    review=None,
    timezone="Europe/Brussels",
    legal_basis="Decision 2023/12 art. 3",
    min_confidence="probable",
    severity="high",
)


def until(day: date | None) -> tuple[BanPeriod, ...]:
    """A single period that begins when `BAN` does."""
    return (replace(BAN.periods[0], end=day),)
