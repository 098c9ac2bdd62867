"""The objects of a ledger, by name.

- ``results/DIGEST/ID`` is the result of a unit (`netwatch.cluster.result_file`); DIGEST stands for
  everything that judged it, ID for the unit (`netwatch.cluster.units`).
- ``plans/DIGEST-HASH.json`` are the units of a run, so that others can say what is missing.
- ``failures/DIGEST/ID.json`` says why a unit failed; it goes when the unit succeeds.
- ``signatures/DIGEST/RUN-N.json`` are signatures of results (`netwatch.cluster.signatures`).
- ``runs/RUN/…`` is what a run needs while it runs. A run that was killed leaves it behind.

Whatever else is there is left alone, and counted by `status`.
"""

import hashlib
import time
from collections.abc import Sequence

from netwatch.cluster.storage import Storage, write
from netwatch.cluster.units import Unit, code_version
from netwatch.core.typed_json import dumps

PLAN_SCHEMA = "netwatch.plan/1"


class Ledger:
    """The part of a ledger that has the results of one configuration, by its `digest`."""

    def __init__(self, storage: Storage, digest: str) -> None:
        self.storage = storage
        self.digest = digest
        self._failures: set[str] | None = None

    def result(self, unit: Unit) -> str:
        """The name of the result of a unit."""
        return f"results/{self.digest}/{unit.id}"

    def results(self) -> set[str]:
        """The ids of the units that have a result, which may turn out to be damaged."""
        folder = f"results/{self.digest}/"
        return {each.name.rpartition("/")[2] for each in self.storage.objects(folder)}

    def write_plan(self, units: Sequence[Unit]) -> None:
        """Keep the units of a run."""
        rows = [[unit.id, unit.name, unit.size] for unit in units]
        content = {
            "schema": PLAN_SCHEMA,
            "version": code_version(),
            "configuration": self.digest,
            "began": int(time.time()),
            "units": rows,
        }
        identity = hashlib.sha256(dumps([row[0] for row in rows])).hexdigest()[:16]
        write(self.storage, f"plans/{self.digest}-{identity}.json", dumps(content))

    def write_failure(self, unit: Unit, reason: str) -> None:
        """Keep why a unit failed."""
        content = {"unit": unit.name, "reason": reason, "time": int(time.time())}
        write(self.storage, self._failure(unit), dumps(content))
        self._known_failures().add(unit.id)

    def clear_failure(self, unit: Unit) -> None:
        """A unit has a result now."""
        if unit.id in self._known_failures():
            self.storage.remove(self._failure(unit))

    def _known_failures(self) -> set[str]:
        if self._failures is None:
            found = self.storage.objects(f"failures/{self.digest}/")
            names = {each.name.rpartition("/")[2] for each in found}
            self._failures = {name.removesuffix(".json") for name in names}
        return self._failures

    def _failure(self, unit: Unit) -> str:
        return f"failures/{self.digest}/{unit.id}.json"
