"""How far logs were read is saved with the incidents that came of it, and never without them."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.contacts import GAP, SENSOR, contact
from support.examples import examples

from netwatch.incidents.aggregate import Incidents
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.state_file import StateFile
from netwatch.live.state_saver import StateSaver

LOG = "file:/var/log/dns.log"


class Run:
    """The incidents of a log whose records are contacts of `devices`, of which so many as `limit`
    have room in memory, and their state file."""

    def __init__(self, path: Path, devices: list[int], limit: int) -> None:
        self.state_file = StateFile(path, pytest.fail)
        self.incidents = OpenIncidents(GAP, None, lambda alert: None)
        self.incidents._incidents = Incidents(GAP, limit=limit)
        self.saver = StateSaver(self.state_file, self.incidents, of_logs=True)
        self.saver.restore(GAP)
        self.devices = devices
        self.read = int(self.saver.positions().get(LOG, 0))

    def take(self, count: int) -> None:
        """Read the next records."""
        for record in range(self.read, min(self.read + count, len(self.devices))):
            made = contact(record, who=self.devices[record], packet=record + 1)
            self.incidents.add(made, SENSOR, 0)
            self.read = record + 1
        self.saver.note({LOG: str(self.read)})

    def counts(self) -> Counter[str]:
        """The contacts by device that the state file has."""
        counts = Counter[str]()
        for entry in self.state_file.load(GAP):
            alert = entry.incident.alert(entry.key[2], None, entry.sensor)
            counts[alert.device.id] += sum(item.count for item in alert.evidence)
        return counts

    def crash(self) -> None:
        """End without another word."""
        self.incidents._evicted.close()
        self.state_file.close()


@examples(15)
@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=60),
    st.lists(st.sampled_from(["take", "take", "save", "crash"]), max_size=20),
    st.sampled_from([3, 100]),
)
def test_no_contact_is_lost_or_counted_twice(
    devices: list[int], steps: list[str], limit: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder, "state"), devices, limit)
        try:
            for step in steps:
                if step == "take":
                    run.take(7)
                elif step == "save":
                    run.saver.save()
                    assert run.counts().total() == run.read
                else:
                    run.crash()
                    run = Run(Path(folder, "state"), devices, limit)
            run.take(len(devices))
            run.saver.save()
            assert run.counts() == Counter(f"laptop-{who}" for who in devices)
        finally:
            run.crash()
