"""kill -9 at every step: alerts that `put` has stored are delivered, however often it is killed."""

import json
import signal
import subprocess
import sys

import pytest
from support.crashing_delivery import STEPS, may_not_be_reached
from support.made_alerts import alert_id
from support.paths import SUPPORT
from support.waiting import TIMEOUT

from netwatch.delivery import dead_letters

COUNT = 40


def run(folder, url, step, calls, count=COUNT):
    keys = json.dumps({"type": "elastic", "url": url, "format": "jsonl"})
    script = SUPPORT / "crashing_delivery.py"
    words = [str(folder), keys, "0", str(count), step, str(calls), "before"]
    command = [sys.executable, str(script), *words]
    process = subprocess.run(command, capture_output=True, timeout=4 * TIMEOUT)
    ids = {alert_id(int(word)) for word in process.stdout.split()}
    return process.returncode, ids, process.stderr.decode()


SECOND = ("after put", "after send", "after cursor")
"""Steps at which a process is killed when it reaches them again, which all runs do."""

KILLS = [
    pytest.param(step, calls, marks=[] if calls == 1 + (step in SECOND) else [pytest.mark.long])
    for step in STEPS
    for calls in (1, 2)
]
"""Every step, the first or the second time; both in `make test-long`."""


@pytest.mark.parametrize(("step", "calls"), KILLS)
def test_nothing_that_was_put_is_lost(step, calls, http, tmp_path):
    poison = {alert_id(number) for number in (7, 23)}

    def items(key, document):
        return 400 if document["id"] in poison else http._create(key, document)

    http.items = items
    stored = set()
    for _ in range(2):
        status, ids, errors = run(tmp_path, http.url, step, calls)
        # All refused alerts may be in one batch, and the clean-up runs only now and then, so a
        # step may not be reached a second time.
        once = calls == 2 and ("dead" in step or may_not_be_reached(step))
        assert status in ((-signal.SIGKILL, 0) if once else (-signal.SIGKILL,)), errors
        stored.update(ids)
    status, _, errors = run(tmp_path, http.url, "none", 0, 0)
    assert status == 0, errors
    arrived = {document["id"] for document in http.documents.values()}
    path = dead_letters.path_of(tmp_path / "spool", "elastic")
    dead = (
        {json.loads(line)["alert"]["id"] for line in path.read_text().splitlines()}
        if (path.exists())
        else set()
    )
    assert stored - poison <= arrived
    assert stored & poison <= dead
    assert dead <= poison
    # A duplicate is the same document.
    assert len(http.documents) == len(arrived)
