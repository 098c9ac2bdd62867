"""What waits for the writer of a store: incidents first, and of other records the newest."""

import threading

from netwatch.live.store_queue import BATCH, StoreQueue
from netwatch.store.messages import EvidenceFile, HourCoverage, Incidents, SensorStatus, records_in


def test_incidents_come_first_and_together() -> None:
    queue = StoreQueue()
    queue.put(HourCoverage(0, 1, 2, "{}"))
    for number in range(BATCH + 1):
        assert queue.put(Incidents([str(number)]))
    queue.put(EvidenceFile("a", "a.pcap"))
    queue.put(Incidents(["last"]))
    lines = [str(number) for number in range(BATCH + 1)]
    assert queue.take() == Incidents(lines[:BATCH])
    assert queue.take() == Incidents(lines[BATCH:])
    assert queue.take() == EvidenceFile("a", "a.pcap")
    assert queue.take() == Incidents(["last"])
    assert queue.take() == HourCoverage(0, 1, 2, "{}")
    assert queue.take() is None


def test_a_record_replaces_the_one_before() -> None:
    """However long the store cannot be written to, one of each waits."""
    queue = StoreQueue(limit=1)
    for at in range(5):
        assert queue.put(HourCoverage(0, 1, at, "{}"))
        assert queue.put(SensorStatus("gate", {"at": at}))
    assert queue.put(HourCoverage(1, 5, 6, "{}"))
    assert len(queue) == 3
    assert queue.take() == HourCoverage(0, 1, 4, "{}")
    assert queue.take() == SensorStatus("gate", {"at": 4})
    assert queue.take() == HourCoverage(1, 5, 6, "{}")


def test_what_does_not_fit_is_refused_until_there_is_room() -> None:
    queue = StoreQueue(limit=1)
    assert queue.put(Incidents(["1"]))
    assert not queue.put(Incidents(["2"]))
    assert not queue.wait_for_room(0.0)
    taking = threading.Thread(target=queue.take)
    taking.start()
    assert queue.wait_for_room(30.0)
    taking.join()
    assert records_in(Incidents(["1", "2"])) == 2
    assert records_in(SensorStatus("gate", {})) == 1
