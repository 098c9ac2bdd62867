"""kill -9 at every step: what `put` had taken arrives, however often it is killed."""

import json
import signal
import subprocess
import sys

import pytest
from support.crashing_delivery import STEPS, ends
from support.made_alerts import ident
from support.paths import SUPPORT

from netwatch.delivery import dead_letters as deadletters

COUNT = 40


def run(folder, url, step, turns, count=COUNT):
    keys = json.dumps({"type": "elastic", "url": url, "format": "jsonl"})
    script = SUPPORT / "crashing_delivery.py"
    words = [str(folder), keys, "0", str(count), step, str(turns), "before"]
    command = [sys.executable, str(script), *words]
    done = subprocess.run(command, capture_output=True, timeout=120)
    ids = {ident(int(word)) for word in done.stdout.split()}
    return done.returncode, ids, done.stderr.decode()


@pytest.mark.parametrize("turns", [1, 2])
@pytest.mark.parametrize("step", STEPS)
def test_nothing_that_was_put_is_lost(step, turns, http, tmp_path):
    poison = {ident(number) for number in (7, 23)}

    def items(key, document):
        return 400 if document["id"] in poison else http._create(key, document)

    http.items = items
    taken = set()
    for _ in range(2):
        status, ids, errors = run(tmp_path, http.url, step, turns)
        # All that is refused may come in one batch, and tidying is done now and then: there
        # may be no second turn.
        once = turns == 2 and ("dead" in step or ends(step))
        assert status in ((-signal.SIGKILL, 0) if once else (-signal.SIGKILL,)), errors
        taken.update(ids)
    status, _, errors = run(tmp_path, http.url, "none", 0, 0)
    assert status == 0, errors
    arrived = {document["id"] for document in http.documents.values()}
    path = deadletters.path_of(tmp_path / "spool", "elastic")
    dead = (
        {json.loads(line)["alert"]["id"] for line in path.read_text().splitlines()}
        if (path.exists())
        else set()
    )
    assert taken - poison <= arrived
    assert taken & poison <= dead
    assert dead <= poison
    # An alert that is sent again is the same document.
    assert len(http.documents) == len(arrived)
