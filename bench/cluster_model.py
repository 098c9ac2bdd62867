"""How long an archive takes on a cluster and what limits it, from costs that were measured.

``python bench/cluster_model.py`` prints a table for 50 TB on 1, 10 and 100 nodes. It is arithmetic
and no simulation of a network: each stage of a run takes as long as its scarcest resource does, and
stages follow one another. Costs are those of ``bench/cluster.py`` and bench/results.md; each can
be set by an option, and the table says which resource decides.
"""

import argparse
import sys
from dataclasses import dataclass, fields

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Costs:
    """Sizes are in bytes, times in seconds of a core, rates in bytes a second."""

    archive: float = 50e12
    unit: float = 1e9
    cores: int = 16
    core_rate: float = 200e6
    node_network: float = 1.25e9
    storage: float = 50e9
    task: float = 0.013
    scheduler: float = 0.001
    incidents: float = 1e6
    copies: float = 3.0
    fold: float = 0.0005
    select: float = 0.0005
    record: float = 0.0005
    request: float = 0.0000004
    write_request: float = 0.000005
    node_hour: float = 0.80
    requests: float = 4.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a run: its hours by resource."""

    name: str
    hours: dict[str, float]

    @property
    def limit(self) -> str:
        """The resource that decides."""
        return max(self.hours, key=self.hours.__getitem__)

    @property
    def duration(self) -> float:
        """Hours of the stage."""
        return max(self.hours.values())


def stages(costs: Costs, nodes: int) -> list[Stage]:
    """The stages of a run on so many nodes."""
    units = costs.archive / costs.unit
    cores = nodes * costs.cores
    # Units are not cut: the last ones keep few cores busy, half a unit long on average.
    tail = costs.unit / costs.core_rate
    judge = {
        "cores": (costs.archive / costs.core_rate + units * costs.task) / cores + tail / 2,
        "network of nodes": costs.archive / (nodes * costs.node_network),
        "object store": costs.archive / costs.storage,
        "scheduler": units * costs.scheduler,
    }
    folded = costs.incidents * costs.copies
    fold = {"cores": folded * costs.fold / cores, "scheduler": units / 32 * costs.scheduler}
    # At most 64 tasks select.
    select = {"cores": costs.incidents * costs.select / min(cores, 64)}
    write = {"one core": costs.incidents * costs.record}
    found = {"judge": judge, "fold": fold, "select": select, "write records": write}
    return [
        Stage(name, {resource: seconds / HOUR for resource, seconds in each.items()})
        for name, each in found.items()
    ]


def price(costs: Costs, nodes: int, hours: float) -> float:
    """What nodes and requests cost, in the currency of `node_hour`."""
    units = costs.archive / costs.unit
    reads = costs.archive / (8 << 20) + units * costs.requests
    requests = reads * costs.request + units * costs.write_request
    return nodes * hours * costs.node_hour + requests


def table(costs: Costs, sizes: tuple[int, ...]) -> str:
    """The table in Markdown."""
    lines = [
        "| nodes | judge | decided by | fold, select and write | total | cost |",
        "| ---: | ---: | --- | ---: | ---: | ---: |",
    ]
    for nodes in sizes:
        judge, *rest = stages(costs, nodes)
        later = sum(stage.duration for stage in rest)
        total = judge.duration + later
        lines.append(
            f"| {nodes} | {judge.duration:.2f} h | {judge.limit} | {later:.2f} h | {total:.2f} h"
            f" | {price(costs, nodes, total):,.0f} |"
        )
    return "\n".join(lines)


def main() -> int:
    """Print the table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 10, 100], metavar="N")
    for each in fields(Costs):
        parser.add_argument(
            f"--{each.name.replace('_', '-')}", type=type(each.default), default=each.default
        )
    args = parser.parse_args()
    costs = Costs(**{each.name: getattr(args, each.name) for each in fields(Costs)})
    print(table(costs, tuple(args.nodes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
