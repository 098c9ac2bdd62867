"""One worker of a live capture."""

from types import SimpleNamespace
from typing import Any

from support.paths import PCAPS

from netwatch import config
from netwatch.live.messages import StatusReport, WorkerOptions
from netwatch.live.worker import SECOND, SETTLE_INTERVAL, Worker, next_settle


def test_settling_takes_a_small_part_of_the_time() -> None:
    assert next_settle(0, SECOND // 1000) == SETTLE_INTERVAL
    # A table full of flows on a busy machine: packets are read most of the time all the same.
    assert next_settle(100 * SECOND, 102 * SECOND) == 142 * SECOND


def test_open_flows_are_counted_for_the_store_alone() -> None:
    sent: list[StatusReport] = []
    channel: Any = SimpleNamespace(send=lambda message, **_: sent.append(message), queued=0)
    opener: Any = None
    loaded = config.load(str(PCAPS / "netwatch.yaml"))
    worker = Worker(opener, loaded, channel, WorkerOptions(live=True), shares_claims=False)
    worker._send_report(with_coverage=True)
    recorder: Any = object()
    worker._recorder = recorder
    worker._send_report(with_coverage=True)
    worker._send_report(with_coverage=False)
    counted = [report.open_flows is not None for report in sent]
    assert counted == [False, True, False]
    assert [report.coverage is not None for report in sent] == [True, True, False]
