"""SQL over the views of a store, and over nothing else, in a process with limits.

A user's query is one ``SELECT`` (or ``DESCRIBE``, ``SHOW``, ``SUMMARIZE``, ``EXPLAIN``). DuckDB
may open exactly the files of the views and no other one, has no extensions, and so no network, and
its settings are locked. It checks its own limit of memory only between operators, and an
interruption too. So it runs in a process of its own: the system bounds its memory and CPU time and
refuses it any write to a file, and this process kills it when its time is up.
"""

import json
import math
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection

import pyarrow as pa

from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.system import processes
from netwatch.store import sandbox_process
from netwatch.store.options import StoreOptions
from netwatch.store.sandbox_process import MAX_MESSAGE, MEMORY_LIMIT, Request

TIMEOUT = 60
"""How long a query may take, in s, unless the user says otherwise."""


@contextmanager
def run(
    options: StoreOptions, query: str, *, timeout: float = TIMEOUT
) -> Iterator[tuple[Sequence[tuple[pa.Field, str]], Iterable[pa.RecordBatch]]]:
    """Run a query; its columns, each with its type in SQL, and its rows. Raises `ConfigError` for a
    query that is wrong or not allowed, and `NetwatchError` where it takes longer than `timeout` s,
    needs too much memory, or the store cannot be read."""
    # A fork would not have the threads of what reads from URLs, and wait for them for ever.
    is_remote = "://" in options.path
    context = multiprocessing.get_context("spawn") if is_remote else processes.context()
    ours, theirs = context.Pipe(duplex=False)
    request = Request(options, query, timeout)
    process = context.Process(
        target=sandbox_process.serve, args=(theirs, ours, request, os.getpid()), daemon=True
    )
    process.start()
    theirs.close()
    try:
        answers = _Answers(ours, timeout)
        columns = json.loads(answers.next())
        schema = pa.ipc.read_schema(pa.py_buffer(answers.next()))
        yield [*zip(schema, columns, strict=True)], answers.batches()
    finally:
        process.kill()
        process.join()
        ours.close()


class _Answers:
    """What the process sends, which has `timeout` seconds from its first message on. Methods raise
    what it says went wrong."""

    def __init__(self, connection: Connection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._deadline = math.inf
        self.next()
        self._deadline = time.monotonic() + timeout

    def next(self) -> bytes:
        """The next message."""
        left = self._deadline - time.monotonic()
        if left <= 0 or not self._connection.poll(None if left == math.inf else left):
            raise NetwatchError(
                f"the query took longer than {self._timeout:g} s and was ended; narrow it down, or"
                " give it more time with --timeout"
            )
        try:
            message = self._connection.recv_bytes(MAX_MESSAGE + 1)
        except (EOFError, OSError):
            # The system ended it, or DuckDB did so itself for want of memory.
            raise NetwatchError(TOO_MUCH) from None
        if message[:1] == sandbox_process.FAILED:
            raise _error(json.loads(message[1:]))
        return message[1:]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows."""
        while message := self.next():
            yield from pa.ipc.open_stream(pa.py_buffer(message))


TOO_MUCH = f"the query needs more than {MEMORY_LIMIT >> 30} GB of memory: group or limit its rows"


def _error(said: dict[str, str]) -> Exception:
    kind, text = said["kind"], said["text"]
    if kind == "memory":
        return NetwatchError(TOO_MUCH)
    if kind == "query":
        return ConfigError([Problem("netwatch store sql", 0, 0, text)])
    return NetwatchError(text)
