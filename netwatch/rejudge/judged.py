"""Runs judged again: the alerts that `scan` would give of what was stored."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from netwatch.config import Config
from netwatch.core.alert import Alert
from netwatch.engine.judge import Judge
from netwatch.engine.replay import Replay
from netwatch.incidents.scan import ScanIncidents
from netwatch.rejudge.facts import StoredFacts
from netwatch.rejudge.stored_runs import StoredRun

INCIDENTS = 8000
"""Incidents in memory at a time, fewer than `scan` has: one of a year has as much evidence as an
incident can, some 100 kB, and the facts need memory too."""


def judged_runs(
    runs: Sequence[StoredRun], facts: StoredFacts, config: Config
) -> Iterator[tuple[StoredRun, Iterator[Alert]]]:
    """Each run with its alerts by `config`, in the order of `scan`; to be read before the next run
    is asked for. Incidents run across the captures of a run, and end with it. They are of the
    sensor that saw them."""
    judge = Judge(config)
    captures = facts.captures(lambda name: judge.match(name) is not None, learns=bool(config.learn))
    following = next(captures, None)
    for number, run in enumerate(runs):
        with ScanIncidents(
            config.quiet_gap, limit=INCIDENTS, client_limit=config.client_limit
        ) as incidents:
            while following is not None and following.run == number:
                replay = Replay(config, incidents, Counter())
                replay.add(following.events)
                replay.finish()
                following = next(captures, None)
            sensor = replace(config.sensor, name=run.sensor, is_named=run.is_named)
            result = incidents.result(config.geo, sensor)
            yield run, iter(result.alerts)
