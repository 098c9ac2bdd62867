"""A policy as it is on one day, whatever the time of a contact."""

from dataclasses import replace
from datetime import date

from netwatch.core.verdict import Ban, BanPeriod, Exemption
from netwatch.rules.policy import Policy


def policy_of_day(policy: Policy, day: date) -> Policy:
    """The bans that are in force on `day`, in force at all times, with the exemptions that are
    valid on that day. Days are those of a ban's time zone, so that each ban has its own."""
    bans = [each for each in (_on(ban, day) for ban in policy.bans) if each is not None]
    ids = {ban.id for ban in bans}
    exemptions = [
        replace(each, start=None, end=None)
        for each in policy.exemptions
        if each.ban in ids and _is_valid(each, day)
    ]
    return Policy(bans, exemptions)


def _on(ban: Ban, day: date) -> Ban | None:
    """The ban with the period of this day alone, without an end; None where there is none."""
    for period in ban.periods:
        if (period.start or day) <= day <= (period.end or day):
            return replace(ban, periods=(BanPeriod(None, None, period.basis, period.advice),))
    return None


def _is_valid(exemption: Exemption, day: date) -> bool:
    return (exemption.start or day) <= day <= (exemption.end or day)
