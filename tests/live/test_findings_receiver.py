"""The messages of workers become open incidents, in the order of packet time. Findings of several
workers are released in the order of packet time.
"""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.contacts import GAP, NOON, SECOND, SENSOR, contact

from netwatch.core.alert import Alert, Sensor
from netwatch.core.message import Message
from netwatch.core.statistics import RunStatistics
from netwatch.incidents.contacts import ContactProgress
from netwatch.live.events import Event, Note
from netwatch.live.findings_receiver import DUPLICATE_NOTE_WINDOW, FindingsReceiver, ReorderBuffer
from netwatch.live.messages import AddressClaims, Findings, FollowUp, StatusReport, WorkerEnded
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.packet_clock import PacketClock

OTHER_SENSOR = Sensor("probe-1", "0.1.0", "5e1b", "c0fe")


class Pool:
    """As much of a worker pool as the receiver uses."""

    is_stopping = False

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self.forwarded: list[tuple[int, Any]] = []

    def __len__(self) -> int:
        return self._workers

    def forward(self, sender: int, message: Any) -> None:
        self.forwarded.append((sender, message))


class Received:
    """A receiver with the alerts and events that it causes."""

    def __init__(self, workers: int = 2) -> None:
        self.pool = Pool(workers)
        self.alerts: list[Alert] = []
        self.events: list[Event] = []
        self.incidents = OpenIncidents(GAP, None, self.alerts.append)
        self.receiver = FindingsReceiver(
            self.pool, self.incidents, self.events.append, SENSOR, live=True
        )


def findings(*items: Any, serial: int = 0) -> Findings:
    contacts = [item.contact if isinstance(item, FollowUp) else item for item in items]
    return Findings(serial, max(made.observation.time for made in contacts), items)


def report(serial: int = 0, notes: tuple[str, ...] = ()) -> StatusReport:
    return StatusReport(serial, None, RunStatistics(), notes=notes)


def test_findings_of_several_workers_are_added_in_the_order_of_packet_time() -> None:
    received = Received()
    received.receiver.receive(0, findings(contact(1, who=1)), 0)
    received.receiver.receive(1, findings(contact(0, who=2)), SECOND // 100)
    received.receiver.release(0.05)
    assert received.alerts == []
    assert received.receiver.has_delayed
    received.receiver.release(1.0)
    assert not received.receiver.has_delayed
    assert [alert.first_seen for alert in received.alerts] == sorted(
        alert.first_seen for alert in received.alerts
    )
    assert len(received.alerts) == 2


def test_one_worker_needs_no_delay() -> None:
    received = Received(workers=1)
    made = contact(0)
    received.receiver.receive(
        0, findings(made, FollowUp(made, ContactProgress(made.observation.time, 10, 20, NOON))), 0
    )
    received.receiver.release(0.0)
    assert len(received.alerts) == 1
    received.incidents.close_all()
    assert (received.alerts[-1].counts.bytes_out, received.alerts[-1].counts.bytes_in) == (10, 20)


def test_findings_name_the_configuration_that_judged_them() -> None:
    received = Received()
    received.receiver.add_config(1, OTHER_SENSOR)
    received.receiver.receive(0, findings(contact(0, who=1), serial=1), 0)
    received.receiver.receive(1, findings(contact(0, who=2)), 0)
    received.receiver.release(float("inf"))
    assert {alert.sensor.policy for alert in received.alerts} == {"c0fe", "c0ff"}


def test_the_same_note_of_several_workers_is_emitted_once() -> None:
    received = Received()
    for worker in (0, 1):
        received.receiver.receive(worker, report(notes=("eth1: was set down",)), SECOND)
    assert received.events == [Note("eth1: was set down")]
    later = SECOND + int(DUPLICATE_NOTE_WINDOW * SECOND)
    received.receiver.receive(1, report(notes=("eth1: was set down",)), later)
    assert len(received.events) == 2


def test_a_step_of_the_clock_is_noted() -> None:
    received = Received(workers=1)
    first = contact(0).observation.time
    wall = [first]
    received.receiver.clock = PacketClock(True, lambda: wall[0])
    received.receiver.receive(0, findings(contact(0)), 0)
    wall[0] += 3600 * SECOND
    received.receiver.receive(0, findings(contact(3600)), SECOND)
    assert received.receiver.clock.steps == 1
    assert received.events == [Note("the clock of the packets was set; open incidents stay open")]


def test_address_claims_are_forwarded_and_errors_noted() -> None:
    received = Received()
    claims = AddressClaims(None, Message(names=(), size=0))  # type: ignore[arg-type]
    received.receiver.receive(1, claims, 0)
    assert received.pool.forwarded == [(1, claims)]
    received.receiver.receive(0, WorkerEnded(), 0)
    assert received.receiver.worker_error is None
    received.receiver.receive(0, WorkerEnded("eth1: has gone"), 0)
    assert received.receiver.worker_error == "eth1: has gone"


def test_the_traceback_of_a_worker_is_logged() -> None:
    received = Received()
    received.receiver.receive(0, WorkerEnded("a worker failed: KeyError: 1", ("line 1", "x")), 0)
    assert received.receiver.worker_error == "a worker failed: KeyError: 1"
    assert received.events == [Note("line 1"), Note("x")]


def test_a_worker_that_dies_while_the_capture_ends_is_mentioned() -> None:
    """Before, it is the reason why the capture ends, which is said by another."""
    received = Received()
    received.receiver.receive(0, WorkerEnded("worker 0 died"), 0)
    assert received.events == []
    received.pool.is_stopping = True
    received.receiver.receive(1, WorkerEnded("worker 1 died"), 0)
    assert received.events == [Note("worker 1 died")]
    assert received.receiver.worker_error == "worker 1 died"


def test_without_a_delay_items_are_released_immediately() -> None:
    buffer: ReorderBuffer[str] = ReorderBuffer(0)
    buffer.add(20, "later", 1.0)
    buffer.add(10, "earlier", 1.0)
    assert list(buffer.release(1.0)) == ["earlier", "later"]
    assert len(buffer) == 0


def test_an_item_that_arrives_later_with_an_earlier_time_is_released_first() -> None:
    buffer: ReorderBuffer[str] = ReorderBuffer(0.1)
    buffer.add(20, "b", 1.0)
    buffer.add(10, "a", 1.05)
    buffer.add(30, "c", 1.05)
    assert list(buffer.release(1.09)) == []
    assert list(buffer.release(1.11)) == ["a", "b"]
    assert list(buffer.release(1.11)) == []
    assert list(buffer.release(1.16)) == ["c"]


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1)), max_size=40))
def test_every_item_is_released_once(
    items: list[tuple[int, float]],
) -> None:
    buffer: ReorderBuffer[int] = ReorderBuffer(0.1)
    out: list[int] = []
    now = 0.0
    for number, (time, passed) in enumerate(items):
        now += passed
        buffer.add(time, number, now)
        out += buffer.release(now)
    out += buffer.release(float("inf"))
    assert sorted(out) == list(range(len(items)))
