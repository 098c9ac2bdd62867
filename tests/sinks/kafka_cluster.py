"""librdkafka's mock cluster until it is ended; writes the port of a broker into a file."""

import signal
import sys
from pathlib import Path

from confluent_kafka.admin import AdminClient

client = AdminClient({"test.mock.num.brokers": 3, "bootstrap.servers": "mock", "log_level": 0})
broker = next(iter(client.list_topics(timeout=10).brokers.values()))
Path(sys.argv[1]).write_text(f"{broker.port}\n")
signal.sigwait([signal.SIGTERM])
