"""How many flows had a readable name, by network and reason, from the sums in the catalogue."""

from typing import NamedTuple

from sqlalchemy import func, select

from netwatch.store import catalogue_tables as tables
from netwatch.store.catalogue import Catalogue


class CoverageSum(NamedTuple):
    """The flows of a network; `reason` is `coverage_rows.NAMED` for those with a name, and
    `network` is `coverage_rows.OUTSIDE` for those of no configured network."""

    network: str
    device_class: str
    reason: str
    flows: int


def coverage_sums(
    catalogue: Catalogue,
    since: int | None = None,
    until: int | None = None,
    *,
    timeout: float | None = None,
) -> list[CoverageSum]:
    """The sums of the records of coverage whose time reaches into the period from `since` up to,
    but without, `until` (ns). Records are of a run, or of an hour of a live one, and count whole.
    Raises `NetwatchError`, and `QueryTimeoutError` after `timeout` s."""
    column = tables.coverage_network.c
    keys = (column.network, column["class"], column.reason)
    statement = select(*keys, func.sum(column.flows)).group_by(*keys).order_by(*keys)
    if since is not None:
        statement = statement.where(column.last >= since)
    if until is not None:
        statement = statement.where(column.first < until)
    with catalogue.database.reading(timeout) as connection:
        return [
            CoverageSum(network, kind, reason, int(flows))
            for network, kind, reason, flows in connection.execute(statement)
        ]
