"""The rows that a recorder sends to the writer of a store, kept in this process."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from netwatch.core.statistics import RunStatistics
from netwatch.engine.record_facts import Recorder
from netwatch.store.messages import Chunk


class Kept:
    """A recording that keeps the rows of its capture."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def recorder(self, position: int, files: Sequence[Any], statistics: RunStatistics) -> Recorder:
        return Recorder(self, position, files, statistics)

    def send(self, message: object) -> bool:
        if isinstance(message, Chunk):
            for row in pa.ipc.open_stream(message.stream).read_all().to_pylist():
                client = message.clients[row["client"]]
                self.rows.append(row | {"table": message.table, "client": client})
        return True

    def close(self) -> None:
        pass
