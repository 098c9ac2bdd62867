"""Messages of sensors, as they are and as one that was taken over makes them."""

import time
from typing import Any

import pyarrow as pa

from netwatch import __version__
from netwatch.fleet.envelope import Envelope
from netwatch.fleet.fact_batch import FactBatch, RunKey, pack
from netwatch.store.fact_tables import chunk_schema
from netwatch.store.run_rows import ClientAddress

RUN = RunKey(started=7, command="live", versions=("1", "s", "b", "c"), position=0)
CLIENT = ClientAddress("10.1.0.1", None, "hq", "service")

_SHARE = {"flows": 0, "named": 0, "unnamed": {}}


def coverage_record(network: str = "hq", named: Any = 4, **unnamed: Any) -> dict[str, Any]:
    """The record of the coverage of one network."""
    share = {"flows": 0, "named": named, "unnamed": unnamed}
    return {
        "schema": "netwatch.coverage/1",
        **share,
        "packets": {"seen": 9, "cut": 0, "dropped": 0, "unreadable": {}},
        "networks": [{"name": network, "class": "service", **share, "devices": [], "rest": _SHARE}],
        "outside": {**_SHARE, "missed": {}},
        "without_verdict": {},
    }


def coverage(sequence: int = 1, sensor: str = "ghent-1", **changes: Any) -> Envelope:
    """A record of coverage in its message, as it is read from the wire."""
    content = {"run": RUN.record(), "part": 0, "first": 1, "last": 2, "record": coverage_record()}
    return message("coverage", sequence, sensor, {**content, **changes}, table="coverage")


def capture_end(sequence: int = 1, sensor: str = "ghent-1", **changes: Any) -> Envelope:
    """The end of a capture, in the same way."""
    content = {"run": RUN.record(), "first": 1, "last": 2, "whole": True, "lost_rows": 0}
    return message("coverage", sequence, sensor, {**content, **changes}, table="capture")


def message(kind: str, sequence: int, sensor: str, body: Any, **fields: Any) -> Envelope:
    """A message of JSON."""
    fields = {"epoch": "e", "after": sequence - 1, **fields}
    return Envelope(
        sensor=sensor, kind=kind, sequence=sequence, sent=time.time_ns(), version=__version__,
        id=f"{kind}-{sequence}", body=body, fields=fields,
    )  # fmt: skip


def rows(table: str, *values: dict[str, Any]) -> pa.Table:
    """Rows of facts; what they do not say is empty."""
    empty = {
        "sequence": 1, "client": 0, "packet": 1, "flow": 9, "source": "eth0", "name": "a.example",
        "evidence": "tls-sni", "transport": "tcp", "time": 1, "time_digits": 6, "first": 1,
        "last": 2, "client_port": 40_000, "server_port": 443, "bytes_out": 1, "bytes_in": 1,
        "name_status": "named", "start_seen": True, "client_sent": "payload",
        "incomplete_message": False, "server_sent": "payload", "kind": "request", "claim": b"{}",
    }  # fmt: skip
    columns = []
    for each in chunk_schema(table):
        found = [{**empty, **row}.get(each.name) for row in values]
        if pa.types.is_dictionary(each.type):
            columns.append(pa.array(found, each.type.value_type).dictionary_encode())
        else:
            columns.append(pa.array(found, each.type))
    return pa.table(columns, schema=chunk_schema(table))


def facts(
    table: str,
    *values: dict[str, Any],
    sequence: int = 1,
    sensor: str = "ghent-1",
    clients: tuple[ClientAddress, ...] = (CLIENT,),
    run: RunKey = RUN,
) -> Envelope:
    """A batch of rows in its message."""
    content = pack(FactBatch(table, run, clients, rows(table, *values)))
    fields = {"epoch": "e", "after": sequence - 1, "table": table, "rows": len(values)}
    return Envelope(sensor=sensor, kind="facts", sequence=sequence, sent=time.time_ns(),
                    version=__version__, id=f"facts-{sequence}", payload=content,
                    fields=fields)  # fmt: skip
