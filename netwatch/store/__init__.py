"""The store: what was seen, kept over time, so that it can be asked, explained and judged again.

Facts (observations, flows, address claims) are Parquet files; who the clients are, which files
there are, and what was decided is in the catalogue, an SQL database. This package needs the extra
``store`` (pyarrow, duckdb, SQLAlchemy), which its modules import only when they are used.
"""
