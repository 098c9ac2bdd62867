"""A delivery in a process whose files may not grow beyond a size for a while.

Argument: a folder. It prints the problem of the outbox, and the id of each alert that it delivers.
"""

import json
import resource
import signal
import sys
from pathlib import Path

from support.made_alerts import QUICK, output, records
from support.receivers import Http
from support.waiting import wait_until

from netwatch.delivery.delivery import Delivery
from netwatch.delivery.output import OutboxOptions

folder = Path(sys.argv[1])
server = Http()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
delivery = Delivery(
    [output(folder, type="http", url=server.url)], OutboxOptions(folder / "spool"), timing=QUICK
)
resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, resource.RLIM_INFINITY))
delivery.start()
for record in records(300):
    delivery.put(record)
wait_until(lambda: delivery.problem, "the outbox cannot be written")
print(delivery.problem)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert not delivery.drain(30)
delivery.stop()
for body in server.events:
    print(json.loads(body)["id"])
server.end()
