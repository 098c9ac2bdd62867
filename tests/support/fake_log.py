"""A log of a format that only tests have, which says all that entries of logs can: one entry a
line, as JSON. It can be written from the events of a capture, so that packets and a log show the
same traffic."""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from netwatch.capture.files import CaptureFile
from netwatch.core.errors import RecordError
from netwatch.core.flow import Flow
from netwatch.core.message import AddressClaim, DnsInfo, Observation, QuicInfo, TlsInfo
from netwatch.engine.capture_files import LogUnit
from netwatch.engine.replay import Event
from netwatch.logs import LogOptions
from netwatch.logs.log_files import Log
from netwatch.logs.records import (
    Carried,
    Endpoint,
    LogClaim,
    LogEntry,
    LogFlow,
    LogName,
    RecordReader,
    Sample,
)
from netwatch.logs.registry import LogFormat

NAME = "fake-json"
OTHER = "other-json"


class Reader(RecordReader):
    """The `netwatch.logs.records.RecordReader` of the format."""

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a line says."""
        try:
            found = json.loads(record)
        except ValueError:
            raise RecordError("json-invalid") from None
        kind = found.pop("is")
        client, server = (Endpoint(_packed(found.pop(f"{side}_ip", None)),
                                   found.pop(f"{side}_port", 0))
                          for side in ("client", "server"))  # fmt: skip
        mac = found.pop("client_mac", None)
        if kind == "claim":
            claim = AddressClaim("lease", (client.ip or b"",), bytes.fromhex(mac or ""),
                                 hostname=found["hostname"], lifetime=86_400)  # fmt: skip
            yield LogClaim(found["time"], 9, claim, server.ip)
            return
        common = {"client": client, "server": server, "client_mac": mac and bytes.fromhex(mac)}
        if kind == "flow":
            yield LogFlow(**common, **found)
            return
        if "dns" in found:
            dns = found.pop("dns")
            found["dns"] = DnsInfo(dns["type"], dns.get("rcode"),
                                   tuple(map(tuple, dns.get("answers", ()))),
                                   tuple(dns.get("chain", ())))  # fmt: skip
        if "tls" in found:
            ja4 = found["tls"].pop("ja4", None)
            found["tls"]["alpn"] = tuple(found["tls"].get("alpn", ()))
            found["tls"] = TlsInfo(**found["tls"], compute_ja4=(lambda: ja4) if ja4 else None)
        if "quic" in found:
            found["quic"] = QuicInfo(found["quic"])
        found["lacks"] = tuple(found.get("lacks", ()))
        yield LogName(**common, **found)


def recognise(sample: Sample) -> int:
    """The lines of the format."""
    return sum(line.startswith(b'{"is":') for line in sample.lines)


FORMAT = LogFormat("a log of tests", recognise, Reader, flows=(b'{"is":"flow"',),
                   always=(b'{"is":"claim"',))  # fmt: skip


def unit(*paths: Path | str, counts_flows: bool = False, name: str = NAME) -> LogUnit:
    """A log in files that are already in order."""
    files = tuple(CaptureFile(str(path)) for path in paths)
    return LogUnit(Log(files, (name,) * len(files)), LogOptions(), counts_flows)


def line(kind: str, **values: Any) -> str:
    """A line: a ``name``, a ``flow`` or a ``claim``."""
    return json.dumps({"is": kind, **values}, separators=(",", ":"))


def lines_of(events: Iterable[Event], digits: int = 9) -> Iterator[str]:
    """The lines of a log that shows the events of a capture, with times of so many digits."""
    unit = 10 ** (9 - digits)
    for event in events:
        if isinstance(event, Observation):
            yield line("name", **_name(event, digits, unit))
        elif isinstance(event, Flow):
            yield line("flow", **_flow(event))


def write(path: Path, lines: Sequence[str]) -> Path:
    """A file with these lines."""
    path.write_text("".join(f"{each}\n" for each in lines))
    return path


def _name(shown: Observation, digits: int, unit: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "time": shown.time // unit * unit,
        "time_digits": min(shown.time_digits, digits),
        "evidence": shown.evidence,
        "name": shown.name,
        "client_ip": _text(shown.client_ip),
        "client_port": shown.client_port,
        "server_ip": _text(shown.server_ip),
        "server_port": shown.server_port,
        "transport": shown.transport,
        "vlan": shown.vlan,
        "flow": str(shown.flow_id),
        "raw": shown.raw,
        "asked": shown.asked,
    }
    if shown.client_mac is not None:
        found["client_mac"] = shown.client_mac.hex()
    if shown.dns is not None:
        dns = shown.dns
        found["dns"] = {"type": dns.type, "rcode": dns.rcode, "answers": dns.answers,
                        "chain": dns.chain}  # fmt: skip
    if shown.tls is not None:
        tls = shown.tls
        found["tls"] = {"version": tls.version, "alpn": tls.alpn, "ech": tls.ech, "ja4": tls.ja4}
    if shown.quic is not None:
        found["quic"] = shown.quic.version
    return found


def _flow(flow: Flow) -> dict[str, Any]:
    found = {
        "first": flow.first,
        "last": flow.last,
        "transport": flow.transport,
        "client_ip": _text(flow.client_ip),
        "client_port": flow.client_port,
        "server_ip": _text(flow.server_ip),
        "server_port": flow.server_port,
        "bytes_out": flow.bytes_out,
        "bytes_in": flow.bytes_in,
        "flow": str(flow.flow_id),
        "name_status": flow.name_status,
        "client_sent": flow.client_sent,
        "server_sent": flow.server_sent,
        "start_seen": flow.start_seen,
        "vlan": flow.vlan,
    }
    if flow.client_mac is not None:
        found["client_mac"] = flow.client_mac.hex()
    return found


def _text(address: bytes) -> str:
    return base64.b16encode(address).decode()


def _packed(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)
