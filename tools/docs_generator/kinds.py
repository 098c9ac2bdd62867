"""How the kind of an incident is judged, and what lowers the severity of its alert."""

from docs_generator.markdown import code, table
from netwatch.incidents.alert_parts import LOWERED, LOWERING
from netwatch.incidents.kind_thresholds import THRESHOLDS


def thresholds_block(_: str) -> str:
    """The thresholds of the judgement, without their reasons."""
    rows = [
        (code(row.name), f"{row.value:,} {row.unit}", row.reason.partition("; ")[0])
        for row in THRESHOLDS
    ]
    return table(("threshold", "value", "what it is"), rows)


def lowering_block(_: str) -> str:
    """What lowers the severity of an alert."""
    rows = [(code(condition), why) for condition, why in LOWERING.items()]
    steps = ", ".join(f"{code(high)} becomes {code(low)}" for high, low in LOWERED.items())
    return f"{table(('where', 'because'), rows)}\n\nOne step: {steps}."
