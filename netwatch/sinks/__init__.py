"""Alerts to where they are read: files, SIEMs, buses, people.

    Delivery.put → spool (SQLite) → one courier thread an output → its sink → the receiver

A new type of output is one module and a row in `netwatch.sinks.table.SINKS`. What must
not be lost is in `spool.py`, who tries again is `courier.py`; a sink knows its
receiver's protocol alone.
"""
