"""The store: what was seen, kept over time, so that it can be queried, explained and judged again.

Facts (observations, flows, address claims) are Parquet files; the clients, the list of files, and
the decisions are in the catalogue, an SQL database. This package needs the extra ``store``
(pyarrow, duckdb, SQLAlchemy), which its modules import only when they are used.
"""
