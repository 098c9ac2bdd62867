"""A file output in a process whose files may not grow beyond a size; says why it stopped."""

import resource
import signal
import sys
from pathlib import Path

from support.made_alerts import output, records

from netwatch.delivery.attempt import attempt
from netwatch.delivery.outbox import QueuedAlert

folder, limit = Path(sys.argv[1]), int(sys.argv[2])
one = output(folder, type="file", path="alerts.jsonl")
sink = one.options.open()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
rows = [QueuedAlert(number, str(number), 0.0, each) for number, each in enumerate(records(200))]
print(attempt(one, sink, rows).reason, flush=True)
sink.close()
