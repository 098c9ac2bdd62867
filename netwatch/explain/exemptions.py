"""Which exemptions were looked at for an incident, and why those that do not apply do not."""

from netwatch.core.alert import AlertRecord
from netwatch.core.verdict import Exemption as Registered
from netwatch.explain.steps import Exemption
from netwatch.formats.values import epoch_ns
from netwatch.rules.policy import Policy


def exemptions_asked(record: AlertRecord, policy: Policy) -> tuple[Exemption, ...]:
    """The exemptions from the ban of an alert, in the order of the configuration. The first one
    that applies is the one that decided."""
    if record["ban"]["id"] not in {ban.id for ban in policy.bans}:
        return ()
    return tuple(
        Exemption(
            each.device,
            tuple(sorted(each.apps)),
            each.start.isoformat() if each.start else None,
            each.end.isoformat() if each.end else None,
            each.reason,
            each.approved_by,
            _why_not(each, record, policy),
        )
        for each in policy.exemptions
        if each.ban == record["ban"]["id"]
    )


def _why_not(exemption: Registered, record: AlertRecord, policy: Policy) -> str:
    device = record["device"]
    if exemption.device not in (device["id"], device["ip"], device["mac"]):
        return "device"
    if exemption.apps and record["app"]["id"] not in exemption.apps:
        return "app"
    state = policy.state(exemption, epoch_ns(record["first_seen"]))
    return {"not yet": "early", "over": "late"}.get(state, "")
