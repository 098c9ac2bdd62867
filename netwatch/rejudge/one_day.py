"""A policy as it is on one day, whatever the time of a contact."""

from dataclasses import replace
from datetime import date

from netwatch.core.alert import Alert
from netwatch.core.verdict import Ban, BanPeriod, Exemption
from netwatch.rules.policy import Policy


class OneDay:
    """The bans that are in force on `day`, in force at all times, with the exemptions that are
    valid on that day, as a `policy`. Days are those of a ban's time zone, so that each ban has its
    own."""

    def __init__(self, policy: Policy, day: date) -> None:
        self._bans: dict[str, Ban] = {ban.id: ban for ban in policy.bans}
        bans = [each for each in (_on(ban, day) for ban in policy.bans) if each is not None]
        ids = {ban.id for ban in bans}
        self._exemptions: dict[Exemption, Exemption] = {}
        for each in policy.exemptions:
            if each.ban in ids and _is_valid(each, day):
                self._exemptions.setdefault(replace(each, start=None, end=None), each)
        self.policy = Policy(bans, self._exemptions)

    def as_written(self, alert: Alert) -> Alert:
        """An alert by this policy with its ban and its exemption as they are written."""
        exemption = alert.exemption and self._exemptions[alert.exemption]
        return replace(alert, ban=self._bans[alert.ban.id], exemption=exemption)


def _on(ban: Ban, day: date) -> Ban | None:
    """The ban with the period of this day alone, without an end; None where there is none."""
    for period in ban.periods:
        if (period.start or day) <= day <= (period.end or day):
            return replace(ban, periods=(BanPeriod(None, None, period.basis, period.advice),))
    return None


def _is_valid(exemption: Exemption, day: date) -> bool:
    return (exemption.start or day) <= day <= (exemption.end or day)
