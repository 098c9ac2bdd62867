"""What exemptions from a ban were used for: the register of the configuration beside the incidents
that it covered, and violations of a device after its exemption had ended."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from netwatch.core.period import period
from netwatch.core.verdict import Ban, Exemption
from netwatch.report.counting import Naming
from netwatch.report.reading import Incident
from netwatch.report.values import ExemptionRow, ExemptionState


def exemption_rows(
    ban: Ban,
    register: Iterable[Exemption],
    incidents: Sequence[Incident],
    name: Naming,
    *,
    names_devices: bool,
) -> tuple[ExemptionRow, ...]:
    """The exemptions from a ban, in the order of the register; those that are not in it any more
    come last. With `names_devices`, a device is called as the register knows it."""
    own = [each for each in register if each.ban == ban.id]
    rows = [_row(ban, each, incidents, name) for each in own]
    if names_devices:
        rows = [replace(row, device=each.device) for row, each in zip(rows, own, strict=True)]
    return (*rows, *_not_registered(ban, own, incidents, name))


def _row(
    ban: Ban, exemption: Exemption, incidents: Sequence[Incident], name: Naming
) -> ExemptionRow:
    days = period(exemption.start, exemption.end, ban.timezone)
    own = [each for each in incidents if _is_of(exemption, each)]
    used = sum(each.verdict == "exempt" and each.first_seen in days for each in own)
    after = sum(each.verdict == "violation" and days.is_before(each.first_seen) for each in own)
    state: ExemptionState = "used-after-expiry" if after else "used" if used else "unused"
    return ExemptionRow(
        ban=ban.id,
        device=name(own[0].device if own else exemption.device),
        apps=tuple(sorted(exemption.apps)),
        first=exemption.start.isoformat() if exemption.start else None,
        last=exemption.end.isoformat() if exemption.end else None,
        reason=exemption.reason,
        approved_by=exemption.approved_by,
        state=state,
        used=used,
        after_expiry=after,
    )


def _is_of(exemption: Exemption, incident: Incident) -> bool:
    is_app = not exemption.apps or incident.app_id in exemption.apps
    return is_app and exemption.device in incident.addresses


def _not_registered(
    ban: Ban, register: Sequence[Exemption], incidents: Iterable[Incident], name: Naming
) -> list[ExemptionRow]:
    """Exemptions that covered incidents, of devices that the register does not have."""
    known = {each.device for each in register}
    used: Counter[str] = Counter()
    seen: dict[str, Incident] = {}
    for each in incidents:
        if each.verdict == "exempt" and not known & set(each.addresses):
            used[each.device] += 1
            seen.setdefault(each.device, each)
    return [
        ExemptionRow(
            ban=ban.id,
            device=name(device),
            apps=(),
            first=None,
            last=(seen[device].exemption or {}).get("until"),
            reason=str((seen[device].exemption or {}).get("reason") or ""),
            approved_by=str((seen[device].exemption or {}).get("approved_by") or ""),
            state="not-registered",
            used=count,
            after_expiry=0,
        )
        for device, count in sorted(used.items())
    ]
