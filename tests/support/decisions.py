"""What a policy says of a contact: each test that asks compares its two ways of being asked."""

from netwatch.core.message import Evidence
from netwatch.core.verdict import Device, Match, Network, Verdict
from netwatch.rules.policy import Policy, confidence


def decided(
    policy: Policy,
    evidence: Evidence,
    time: int,
    match: Match,
    device: Device,
    network: Network | None,
) -> list[Verdict]:
    """The verdicts of all bans that have one, else one without `kind` that says why. The decision
    is that of all bans asked one by one, and holds at `time`."""
    decision = policy.decide(evidence, time, match, device, network)
    assert decision.since <= time < decision.until
    asked = policy.explain(evidence, time, match, device, network)
    applied = [verdict for verdict in asked if verdict.kind]
    rulings = [(each.ban, each.kind, each.exemption) for each in decision.rulings]
    assert rulings == [(each.ban, each.kind, each.exemption) for each in applied]
    assert bool(decision.clause) != bool(applied)
    return applied or [Verdict(None, confidence(evidence, match), decision.clause)]
