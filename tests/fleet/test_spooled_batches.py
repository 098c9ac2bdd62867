"""What a sensor writes into its spool, as a centre takes it."""

import time

import pyarrow as pa
import pytest
from support.fleet_messages import rows

from netwatch.fleet import fact_writer
from netwatch.fleet.fact_batch import unpack
from netwatch.fleet.fact_writer import FactWriter
from netwatch.fleet.spool import Spool
from netwatch.store import messages
from netwatch.store.run_rows import ClientAddress
from netwatch.store.writer import RunDescription


def chunk(count, clients):
    """A chunk of flows, of each client in turn."""
    found = rows("flow", *({"client": each % clients, "sequence": each} for each in range(count)))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, found.schema) as writer:
        writer.write_table(found)
    names = [(f"10.0.0.{each}", None) for each in range(clients)]
    return messages.Chunk(0, "flow", count, sink.getvalue(), names)


@pytest.mark.parametrize("count", [9, 25])
def test_what_waited_is_cut_into_batches_that_a_centre_takes(tmp_path, monkeypatch, count):
    monkeypatch.setattr(fact_writer, "MOST_ROWS", 10)
    run = RunDescription("live", "ghent-1", None, {})
    writer = FactWriter(tmp_path, run, 1, lambda key: ClientAddress(key[0], None, "hq", "service"))
    writer.take(chunk(count, 12))
    writer.take(messages.CaptureEnded(0, True, None, None))
    writer.end()
    spool = Spool(tmp_path, 1 << 30)
    seen = []
    for file in spool.files()[:-1]:  # the last one says how the capture has ended
        batch = unpack("flow", spool.read(file), time.time_ns())
        assert file.rows == batch.rows.num_rows <= 10
        assert len(batch.clients) <= 10 or count < 10
        seen += [(row["sequence"], batch.clients[row["client"]].ip)
                 for row in batch.rows.to_pylist()]  # fmt: skip
    assert sorted(seen) == [(each, f"10.0.0.{each % 12}") for each in range(count)]
