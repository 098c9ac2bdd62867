"""The store: what was seen, kept over time, so that it can be queried, explained and judged again.

Facts (observations, flows, address claims) are Parquet files; the clients, the list of files, and
the decisions are in the catalogue, an SQL database. This package needs the extra ``store``
(pyarrow, duckdb, SQLAlchemy), which its modules import only when they are used.

Arrow's own choice of an allocator takes huge pages, which the system clears on each use: jemalloc
writes a store with an eighth less CPU time and a sixth less memory.
"""

import os
import sys

if sys.platform == "linux":
    # It is read when pyarrow is loaded; `pyarrow.set_memory_pool` does not reach all of Arrow.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
