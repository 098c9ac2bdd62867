"""What a sensor that was taken over sends: none of it costs the centre more than a line."""

import json
import resource
import struct
import subprocess
import sys
import threading
import time
import zlib
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from support.fleet_messages import capture_end, coverage, coverage_record, facts, message, rows
from support.paths import ROOT

from netwatch.core.system.kernel import with_limited_memory
from netwatch.fleet.border import BorderError, read_applied, read_health
from netwatch.fleet.centre_status import CentreStatus
from netwatch.fleet.envelope import EnvelopeError, decode
from netwatch.fleet.fact_batch import MAX_ROWS, unpack
from netwatch.fleet.fact_commits import FactCommits
from netwatch.fleet.roster_keeper import RosterKeeper
from netwatch.store import catalogue_tables as tables
from netwatch.store.fleet_sensors import roster
from netwatch.store.flow_rows import new_key
from netwatch.store.hour_rows import outside_flows
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions
from netwatch.store.status import status

NOW = time.time_ns()
DAY = 86_400 * 10**9
FAR = 9_170_000_000 * 10**9
"""In the year 2260 (ns)."""


@pytest.fixture
def options(tmp_path):
    return StoreOptions(str(tmp_path / "store"))


@pytest.fixture
def commits(options):
    made = FactCommits(options, new_key())
    yield made
    made.close()


def outcome(commits, *envelopes):
    """Commit messages; why each that was refused was."""
    commits.prepare([decode(each.encode(), each.sensor, each.kind) for each in envelopes])
    found = commits.finish()
    assert [each.sequence for each in found.progress] == [len(envelopes)]
    return {position + 1: reason for position, reason in found.refused}


@pytest.mark.parametrize(
    "record",
    [
        coverage_record(named=10**30),
        coverage_record(named=1 << 62),
        coverage_record(named=-1),
        coverage_record(ech=True),
        coverage_record(ech=1.5),
        coverage_record(network="\ud800"),
        coverage_record(network="x" * 5000),
        coverage_record(network="a\0b"),
        {"networks": [coverage_record()["networks"][0]] * 2},
        {**coverage_record(), "networks": [coverage_record()["networks"][0]] * 2},
        {**coverage_record(), "more": [[[]]] * 100_000},
        [],
        None,
    ],
)
def test_a_record_of_coverage_that_cannot_be_stored_is_refused_once(commits, record):
    assert list(outcome(commits, coverage(record=record), coverage(2))) == [1]


@pytest.mark.parametrize(
    "changes",
    [
        {"last": FAR},
        {"first": FAR},
        {"first": -1},
        {"first": None},
        {"lost_rows": 1 << 62},
        {"lost_rows": -1},
        {"run": {"started": FAR, "command": "live", "versions": None, "position": 0}},
        {"run": {"started": 1, "command": "live", "versions": None, "position": 1 << 40}},
        {"run": {"started": 1, "command": "\ud800", "versions": None, "position": 0}},
        {"run": {"started": 1, "command": "live", "versions": ["1"] * 5, "position": 0}},
        {"run": {"started": 1, "command": "live", "versions": None, "position": 0,
                 "contents": {"b": "\udfff"}}},
        {"run": 7},
    ],
)  # fmt: skip
def test_an_end_of_a_capture_that_cannot_be_stored_is_refused_once(commits, options, changes):
    assert list(outcome(commits, capture_end(**changes), capture_end(2, last=5))) == [1]
    with open_catalogue(options) as catalogue, catalogue.database.reading() as connection:
        assert [each.last for each in connection.execute(tables.capture.select())] == [5]


@pytest.mark.parametrize(
    ("table", "values"),
    [
        ("observation", {"time": FAR}),
        ("observation", {"time": NOW + 2 * DAY}),
        ("observation", {"time": -1}),
        ("observation", {"name": "x" * 5000}),
        ("observation", {"dns_answers": ["x" * 5000]}),
        ("observation", {"packet": -1}),
        ("flow", {"last": FAR}),
        ("flow", {"bytes_in": (1 << 63) - 1}),
        ("flow", {"bytes_out": -5}),
        ("claim", {"claim": b"x" * 100_000}),
    ],
)
def test_rows_that_cannot_be_kept_are_refused_once(commits, table, values):
    assert list(outcome(commits, facts(table, values), facts(table, {}, sequence=2))) == [1]


def clients_batch(about):
    """A batch with one row, whose list of clients another program wrote."""
    content = facts("observation", {}).payload
    (length,) = struct.unpack_from(">I", content)
    head = zlib.compress(about, 9)
    return struct.pack(">I", len(head)) + head + content[4 + length :]


def parquet_batch(rows):
    sink = pa.BufferOutputStream()
    parquet.write_table(rows, sink, compression="zstd", use_dictionary=True)
    run = {"started": 1, "command": "live", "versions": None, "position": 0}
    head = zlib.compress(json.dumps({"run": run, "clients": [["10.1.0.1", *[None] * 5]]}).encode())
    return struct.pack(">I", len(head)) + head + sink.getvalue().to_pybytes()


def peak(work):
    """The memory (bytes) that a piece of work takes at most beyond what is taken, as the system
    counts it."""
    Path("/proc/self/clear_refs").write_text("5")
    before = memory("VmRSS")
    work()
    return memory("VmHWM") - before


def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(name))


HUGE = [
    pytest.param(lambda: clients_batch(b" " * (64 << 20)), "are cut, or too many", id="spaces"),
    pytest.param(
        lambda: clients_batch(b'{"clients":[' + b"[]," * 5_000_000 + b"[]]}"),
        "at most 100,000 clients",
        id="empty clients",
    ),
    pytest.param(
        lambda: clients_batch(b'{"clients":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
        "depth limit",
        id="deep",
    ),
    pytest.param(
        lambda: parquet_batch(rows("observation", {}).take(pa.array([0] * (MAX_ROWS + 1)))),
        "the batch is too large",
        id="rows",
    ),
    pytest.param(
        lambda: parquet_batch(wide(150_000, 1)), "the batch is too large", id="lists of texts"
    ),
    pytest.param(
        lambda: parquet_batch(wide(60, 2000)), "needs more memory", id="one text again and again"
    ),
]


def wide(count, texts):
    """Rows whose answers are small in a file, since all are the same, and huge in memory."""
    found = rows("observation", {}).take(pa.array([0] * count))
    value = pa.array([["x" * 4000] * texts], pa.list_(pa.string())).take(pa.array([0] * count))
    return found.set_column(found.schema.get_field_index("dns_answers"), "dns_answers", value)


@pytest.mark.parametrize(("make", "reason"), HUGE)
def test_what_unpacks_to_gigabytes_is_refused_before_it_takes_them(make, reason):
    content = make()
    assert len(content) < 2 << 20

    def work():
        with pytest.raises(BorderError, match=reason):
            unpack("observation", content, NOW)

    assert peak(work) < 400 << 20


BEYOND = """
from netwatch.core.system.kernel import with_limited_memory

try:
    with_limited_memory(64 << 20, lambda: bytearray(256 << 20))
except MemoryError:
    print(len(bytearray(256 << 20)) == 256 << 20)
"""


def test_memory_beyond_the_limit_is_not_given():
    # What threads of other tests give back meanwhile could be taken again.
    done = subprocess.run([sys.executable, "-c", BEYOND], capture_output=True, text=True)
    assert done.stdout == "True\n"


FILLED = """
import resource
from netwatch.core.system.kernel import with_limited_memory

def fill(size):
    held = []
    while True:
        held.append([bytes(size), {len(held): None}])

before = resource.getrlimit(resource.RLIMIT_AS)
for size in (0, 40, 200, 480, 3000):
    for extra in range(8):
        try:
            with_limited_memory((2 << 20) + 977 * extra, lambda: fill(size))
        except (MemoryError, SystemError):
            print(resource.getrlimit(resource.RLIMIT_AS) == before)
        resource.setrlimit(resource.RLIMIT_AS, before)
"""


def test_a_limit_is_lifted_although_nothing_can_be_allocated():
    """Small objects leave no room, not even for what Python needs to go on. In a process of its
    own, which has little else in memory."""
    done = subprocess.run(
        [sys.executable, "-c", FILLED], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "True\n" * 40


def test_of_two_limits_at_once_none_stays():
    """The first to end would restore what the second had found, and the second what the first had
    set."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    first, second = threading.Event(), threading.Event()

    def begin():
        first.set()
        second.wait(0.2)

    def follow():
        first.wait(10)
        with_limited_memory(128 << 20, second.set)

    # The limit also meets a thread that is started while it is set, so the waiting one comes first.
    threads = [
        threading.Thread(target=follow),
        threading.Thread(target=with_limited_memory, args=(256 << 20, begin)),
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert resource.getrlimit(resource.RLIMIT_AS) == before
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_stored_numbers_near_the_limit_do_not_break_sums(options, commits):
    """Older releases took them."""
    outcome(commits, coverage(), capture_end(2))
    with open_catalogue(options) as catalogue:
        with catalogue.database.writing() as connection:
            connection.execute(
                tables.coverage_network.update().values(network="", flows=(1 << 63) - 1)
            )
            run = connection.execute(tables.coverage_network.select()).first().run
            connection.execute(
                tables.coverage_network.insert(),
                [{"run": run, "part": part, "network": "", "reason": reason, "class": "",
                  "first": 1, "last": 2, "flows": (1 << 63) - 1}
                 for part in (1, 2) for reason in ("", "ech")],
            )  # fmt: skip
            connection.execute(tables.capture.update().values(lost_rows=(1 << 63) - 1))
            connection.execute(
                tables.capture.insert(),
                [{"run": run, "position": position, "sources": "[]", "content": "",
                  "state": "partial", "lost_rows": (1 << 63) - 1} for position in (5, 6)],
            )  # fmt: skip
        with catalogue.database.reading() as connection:
            assert outside_flows(connection, 0, 10)[0] > 10**12
        assert status(catalogue).lost_rows == 3 * 10**12


APPLIED = {"kind": "set", "version": 3, "state": "applied", "reason": ""}


@pytest.mark.parametrize(
    "changes",
    [{"reason": "\ud800"}, {"version": "\udfff"}, {"version": 10**30}, {"version": True},
     {"version": None}, {"kind": ["set"]}, {"state": {}}, {"reason": 7}, {"reason": "a\0"}],
)  # fmt: skip
def test_a_report_that_cannot_be_kept_ends_nobody(options, changes):
    keeper = RosterKeeper(options, CentreStatus())
    try:
        bad = message("applied", 1, "ghent-1", {**APPLIED, **changes})
        assert keeper.applied(decode(bad.encode(), "ghent-1", "applied"))
        good = message("applied", 2, "ghent-1", APPLIED)
        assert not keeper.applied(decode(good.encode(), "ghent-1", "applied"))
        keeper._write()
        keeper.refused("ghent-1", "reason")
        keeper.refused("ghent-1", "another")
        keeper._write()
        (sensor,) = roster(keeper._catalogue)
        assert (sensor.refused, sensor.refused_reason) == (2, "another")
    finally:
        keeper.close()
    assert read_applied(APPLIED) == ("set", "3", "applied", "")


@pytest.mark.parametrize(
    "data",
    [b"[]", b"{", b'{"rate":1e999}', b'{"rate":NaN}', b'{"rate":1%s}' % (b"0" * 400),
     b'{"reasons":["\\ud800"]}', b'{"a":' * 50 + b"1" + b"}" * 50, b"[" * 60_000,
     b'{"a":"' + b"x" * 60_000 + b'"}', b" " * 70_000,
     b'{"a":[' + b"0," * 30_000 + b"0]}"],
)  # fmt: skip
def test_a_sign_of_life_that_cannot_be_shown_is_refused(data):
    with pytest.raises(BorderError):
        read_health(data)


@pytest.mark.parametrize(
    ("kind", "content"),
    [("applied", b"x" * 70_000), ("coverage", b"x" * (2 << 20)), ("facts", b"x" * (2 << 20))],
)
def test_a_message_that_is_too_large_for_its_kind_is_refused(kind, content):
    whole = message(kind, 1, "ghent-1", None)
    with pytest.raises(EnvelopeError):
        decode(replace(whole, payload=content).encode(), "ghent-1", kind, reads_content=False)
