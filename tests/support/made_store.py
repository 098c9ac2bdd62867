"""Stores that tests make row by row from the objects of observations, without the code that writes
them in netwatch."""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from pyarrow import parquet

from netwatch.capture.files import CaptureFile, find_captures
from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.message import Observation
from netwatch.core.statistics import RunStatistics
from netwatch.engine import pipeline
from netwatch.store.catalogue import Catalogue, FileRow, SourceFile
from netwatch.store.options import StoreOptions
from netwatch.store.run_rows import ClientAddress
from netwatch.store.tables import BUCKETS, FACTS

KINDS = {
    "bool": pa.bool_(),
    "uint8": pa.uint8(),
    "uint16": pa.uint16(),
    "int32": pa.int32(),
    "uint32": pa.uint32(),
    "int64": pa.int64(),
    "text": pa.string(),
    "texts": pa.list_(pa.field("element", pa.string(), nullable=False)),
    "numbers": pa.list_(pa.field("element", pa.uint32(), nullable=False)),
    "blob": pa.binary(),
}

EMPTY = {
    "bool": False, "uint8": 0, "uint16": 0, "int32": 0, "uint32": 0, "int64": 0, "text": "",
    "texts": None, "numbers": None, "blob": b"{}",
}  # fmt: skip
"""A value of each kind of column, for rows of which only some columns matter."""


def schema(table: str) -> pa.Schema:
    fields = [pa.field(each.name, KINDS[each.kind], each.nullable) for each in FACTS[table]]
    return pa.schema(fields, {"netwatch.format": "1"})


def observation_row(seen: Observation, client: int, capture: int, sequence: int) -> dict[str, Any]:
    dns, tls = seen.dns, seen.tls
    return {
        "capture": capture,
        "sequence": sequence,
        "time": seen.time,
        "time_digits": seen.time_digits,
        "evidence": seen.evidence,
        "name": seen.name,
        "client": client,
        "client_port": seen.client_port,
        "server_ip": ip_text(seen.server_ip),
        "server_port": seen.server_port,
        "transport": seen.transport,
        "vlan": seen.vlan,
        "source": seen.source,
        "packet": seen.packet,
        "flow": seen.flow_id,
        "dns_type": dns.type if dns else None,
        "dns_rcode": dns.rcode if dns else None,
        "dns_answers": [ip for ip, _ in dns.answers] or None if dns else None,
        "dns_ttls": [ttl for _, ttl in dns.answers] or None if dns else None,
        "dns_chain": list(dns.chain) or None if dns else None,
        "dns_service_targets": list(dns.service_targets) or None if dns else None,
        "dns_ech": list(dns.ech_public_names) or None if dns else None,
        "dns_ech_configs": list(dns.ech_configs) or None if dns else None,
        "tls_version": tls.version if tls else None,
        "tls_alpn": list(tls.alpn) or None if tls else None,
        "tls_ja4": tls.ja4 if tls else None,
        "tls_ech": tls.ech if tls else None,
        "tls_ech_config_id": None
        if tls is None or tls.ech_config_id is None
        else str(tls.ech_config_id),
        "quic_version": seen.quic.version if seen.quic else None,
    }


def day_of(time: int) -> str:
    return datetime.fromtimestamp(time // 1_000_000_000, UTC).strftime("%Y-%m-%d")


def write_rows(
    catalogue: Catalogue,
    options: StoreOptions,
    table: str,
    rows: Iterable[Mapping[str, Any]],
    *,
    compacted: bool = False,
) -> list[FileRow]:
    """Write rows into files of their days (and buckets) and register them."""
    time = "first" if table == "flow" else "time"
    parts: defaultdict[tuple[str, int | None], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        bucket = row["client"] % BUCKETS if compacted else None
        parts[day_of(row[time]), bucket].append(row)
    filesystem, root = fsspec.url_to_fs(options.path)
    files = []
    for (day, bucket), part in sorted(parts.items(), key=str):
        folder = f"{table}/landing/day={day}"
        if bucket is not None:
            folder = f"{table}/day={day}/bucket={bucket:02d}"
            part.sort(key=lambda row: (row.get("name", ""), row[time]))
        path = f"{folder}/{uuid.uuid4().hex}.parquet"
        sink = pa.BufferOutputStream()
        parquet.write_table(pa.Table.from_pylist(part, schema(table)), sink, compression="zstd")
        content = sink.getvalue().to_pybytes()
        filesystem.makedirs(f"{root}/{folder}", exist_ok=True)
        filesystem.pipe_file(f"{root}/{path}", content)
        times = [row[time] for row in part]
        files.append(
            FileRow(
                path=path,
                table=table,
                day=day,
                bucket=bucket,
                rows=len(part),
                bytes=len(content),
                first=min(times),
                last=max(times),
                created=1,
                sha256=hashlib.sha256(content).hexdigest(),
            )
        )
    catalogue.register_files(files)
    return files


def _captures(paths: Sequence[str | Path]) -> list[CaptureFile]:
    return find_captures([str(path) for path in paths])


def store_names(
    catalogue: Catalogue,
    options: StoreOptions,
    paths: Sequence[str | Path],
    *,
    compacted: bool = False,
    command: str = "names",
) -> int:
    """Store the observations of captures; the number of the run."""
    run = catalogue.begin_run(command, "sensor")
    for position, capture_file in enumerate(_captures(paths)):
        content = hashlib.sha256(Path(capture_file.path).read_bytes()).hexdigest()
        source = SourceFile(capture_file.path, Path(capture_file.path).stat().st_size, content)
        capture = catalogue.begin_capture(run, position, [source], content)
        rows = []
        for batch in pipeline.names([capture_file], RunStatistics()):
            for seen in batch.observations():
                mac = mac_text(seen.client_mac) if seen.client_mac else None
                address = ClientAddress(ip_text(seen.client_ip), mac, "made", "service")
                (client,) = catalogue.client_numbers([address], "sensor")
                rows.append(observation_row(seen, client, capture, len(rows)))
        write_rows(catalogue, options, "observation", rows, compacted=compacted)
        times = [row["time"] for row in rows]
        catalogue.end_capture(
            capture, "complete", min(times, default=None), max(times, default=None)
        )
    catalogue.end_run(run)
    return run
