"""What a sensor says that it has lost, checked before it is stored."""

from typing import Any

from netwatch.coverage.hours import QUARTERS
from netwatch.fleet.border import BorderError
from netwatch.store.losses import KINDS, Losses

MAX_LOSSES = 20_000
"""Quarters of an hour of a record of what is lost, some 200 days."""

MAX_LOST = 1 << 40
"""What may be lost in a quarter of an hour, and less."""

MAX_QUARTER = 84_007 * 24 * QUARTERS
"""Quarters since the epoch before which something may be lost: in 2199."""


def read_losses(found: Any) -> Losses:
    """What is lost, by kind and quarter. Raises `BorderError` where it cannot be stored."""
    try:
        if not isinstance(found, dict) or not {*found} <= {*KINDS}:
            raise TypeError(found)
        losses = {
            kind: {int(quarter): count for quarter, count in quarters.items()}
            for kind, quarters in found.items()
        }
        cells = [cell for quarters in losses.values() for cell in quarters.items()]
        if len(cells) > MAX_LOSSES:
            raise ValueError(len(cells))
        for quarter, count in cells:
            if (
                not 0 <= quarter < MAX_QUARTER
                or type(count) is not int
                or not 0 <= count < MAX_LOST
            ):
                raise ValueError(quarter)
    except (TypeError, ValueError, AttributeError):
        raise BorderError("the content has no valid 'losses'") from None
    return losses
