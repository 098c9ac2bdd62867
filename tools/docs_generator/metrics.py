"""Metrics and health, from the tables of the code."""

from docs_generator.markdown import code, duration, listed, table
from netwatch.fleet.centre_status import CENTRE_METRICS
from netwatch.watch.health import TROUBLES, Thresholds
from netwatch.watch.metrics import METRICS


def block(centre: str) -> str:
    """All metrics of a live capture, or those of the ``centre`` of a fleet."""
    return listed(
        (code(each.name), f"by {code(*each.labels)}" if each.labels else "", each.help)
        for each in (CENTRE_METRICS if centre else METRICS)
    )


def troubles_block(_: str) -> str:
    """What makes a live capture unhealthy, with the default thresholds."""
    defaults = Thresholds()
    rows = []
    for trouble in TROUBLES:
        key = trouble.threshold
        default = duration(getattr(defaults, key)) if key else ""
        rows.append(
            [
                code(trouble.kind),
                trouble.description,
                default,
                code(f"metrics.{key}") if key else "",
            ]
        )
    return table(("trouble", "when", "default", "key"), rows)
