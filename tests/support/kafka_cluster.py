"""librdkafka's mock cluster of one broker, controlled by lines on standard input.

It prints the broker's port, then ``done`` after each command: ``down`` and ``up``, ``rtt MS``
(how long each response takes), ``errors CODE…`` (the error codes of the next responses; without
codes, no more errors). The Python client can create such a cluster but not control it, so this
program calls the library itself. It ends at the end of its input.
"""

import ctypes
import ctypes.util
import sys
from pathlib import Path

import confluent_kafka

BROKER, PRODUCE = 1, 0
FOLDER = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
# Packages of distributions use the library of the system.
FOUND = next(map(str, FOLDER.glob("librdkafka*.so*")), "") or ctypes.util.find_library("rdkafka")
library = ctypes.CDLL(FOUND or "librdkafka.so.1")
pointer, integer = ctypes.c_void_p, ctypes.c_int
for name, result, arguments in (
    ("new", pointer, [integer, pointer, ctypes.c_char_p, ctypes.c_size_t]),
    ("mock_cluster_new", pointer, [pointer, integer]),
    ("mock_cluster_bootstraps", ctypes.c_char_p, [pointer]),
    ("mock_broker_set_down", integer, [pointer, ctypes.c_int32]),
    ("mock_broker_set_up", integer, [pointer, ctypes.c_int32]),
    ("mock_broker_set_rtt", integer, [pointer, ctypes.c_int32, integer]),
    ("mock_clear_request_errors", None, [pointer, ctypes.c_int16]),
    ("mock_topic_create", integer, [pointer, ctypes.c_char_p, integer, integer]),
    (
        "mock_push_request_errors_array",
        None,
        [pointer, ctypes.c_int16, ctypes.c_size_t, ctypes.POINTER(integer)],
    ),
):
    function = getattr(library, f"rd_kafka_{name}")
    function.restype, function.argtypes = result, arguments

client = library.rd_kafka_new(0, None, ctypes.create_string_buffer(512), 512)
cluster = library.rd_kafka_mock_cluster_new(client, 1)
library.rd_kafka_mock_topic_create(cluster, b"alerts", 4, 1)
print(library.rd_kafka_mock_cluster_bootstraps(cluster).decode().rpartition(":")[2], flush=True)
for line in sys.stdin:
    command, *words = line.split()
    numbers = [int(word) for word in words]
    if command == "down":
        library.rd_kafka_mock_broker_set_down(cluster, BROKER)
    elif command == "up":
        library.rd_kafka_mock_broker_set_up(cluster, BROKER)
    elif command == "rtt":
        library.rd_kafka_mock_broker_set_rtt(cluster, BROKER, numbers[0])
    elif numbers:
        array = (integer * len(numbers))(*numbers)
        library.rd_kafka_mock_push_request_errors_array(cluster, PRODUCE, len(numbers), array)
    else:
        library.rd_kafka_mock_clear_request_errors(cluster, PRODUCE)
    print("done", flush=True)
