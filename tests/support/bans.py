"""A ban that tests vary with `dataclasses.replace`."""

from datetime import date

from netwatch.core.verdict import Ban

BAN = Ban(
    id="be-fed-tiktok-2023",
    authority="BE-FED",
    apps=frozenset({"tiktok"}),
    forbids=frozenset({"service"}),
    advises=frozenset({"personal"}),
    start=date(2023, 3, 10),
    end=None,
    review=None,
    timezone="Europe/Brussels",
    legal_basis="Decision 2023/12 art. 3",
    min_confidence="probable",
    severity="high",
)
