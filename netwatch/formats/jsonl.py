# cython: language_level=3
"""Records as JSON lines: the reference of what an observation and an alert hold.

One line a record, compact, UTF-8. Characters that could break a line or steer a terminal
are written as ``\\uXXXX``, so a hostile name stays one word of one line and still reads
back as it was; but for bytes of a file's name that are no UTF-8.
"""

from datetime import date
from typing import Any, TextIO

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.alert import Alert, EvidenceItem, Records
from netwatch.core.verdict import Ban, Exemption
from netwatch.coverage.counts import Report
from netwatch.formats.coverage import record
from netwatch.formats.values import json_line, observation_flow, rfc3339

if not cython.compiled:
    from netwatch.core.message import DnsInfo, QuicInfo, TlsInfo
    from netwatch.core.observation import Observation
else:
    from cython.cimports.netwatch.core.message import DnsInfo, QuicInfo, TlsInfo
    from cython.cimports.netwatch.core.observation import Observation

SCHEMA = "netwatch.alert/1"
"""What an alert says of its own form."""


def observation(obs: Observation) -> dict[str, Any]:
    """An observation as a mapping; what is not known is left out."""
    client: dict[str, Any] = {"ip": ip_text(obs.client_ip), "port": obs.client_port}
    if obs.client_mac is not None:
        client["mac"] = mac_text(obs.client_mac)
    record: dict[str, Any] = {
        "time": rfc3339(obs.time, obs.digits),
        "evidence": obs.evidence,
        "name": obs.name,
        "client": client,
        "server": {"ip": ip_text(obs.server_ip), "port": obs.server_port},
        "transport": obs.transport,
    }
    if obs.vlan is not None:
        record["vlan"] = obs.vlan
    record["community_id"] = observation_flow(obs)
    record["source"] = obs.source
    record["packet"] = obs.packet
    if obs.dns is not None:
        record["dns"] = _dns(obs.dns)
    if obs.tls is not None:
        record["tls"] = _tls(obs.tls)
    if obs.quic is not None:
        record["quic"] = _quic(obs.quic)
    return record


def _dns(dns: DnsInfo) -> dict[str, Any]:
    record: dict[str, Any] = {"type": dns.type}
    if dns.rcode is not None:
        record["rcode"] = dns.rcode
    if dns.answers:
        record["answers"] = [address for address, _ in dns.answers]
    if dns.chain:
        record["chain"] = list(dns.chain)
    if dns.ech:
        record["ech"] = list(dns.ech)
    return record


def _tls(tls: TlsInfo) -> dict[str, Any]:
    record: dict[str, Any] = {"version": tls.version}
    if tls.alpn:
        record["alpn"] = list(tls.alpn)
    if (ja4 := tls.ja4) is not None:
        record["ja4"] = ja4
    if tls.ech is not None:
        record["ech"] = tls.ech
    return record


def _quic(quic: QuicInfo) -> dict[str, Any]:
    return {"version": quic.version}


def alert(alert: Alert) -> dict[str, Any]:
    """An alert as a mapping; every documented key is there, None where it is not known.
    Keys of `Alert.extra` follow at the end, and never replace a documented one."""
    record: dict[str, Any] = {
        "schema": SCHEMA,
        "id": alert.id,
        "status": alert.status,
        "verdict": alert.verdict,
        "severity": alert.severity,
        "confidence": alert.confidence,
        "first_seen": rfc3339(alert.first_seen, alert.digits),
        "last_seen": rfc3339(alert.last_seen, alert.digits),
        "app": {"id": alert.app.id, "name": alert.app.name, "vendor": alert.app.vendor},
        "ban": _ban(alert.ban),
        "exemption": _exemption(alert.exemption),
        "device": {
            "id": alert.device.id,
            "ip": alert.device.ip,
            "mac": alert.device.mac,
            "hostname": alert.device.hostname,
            "owner": alert.device.owner,
            "class": alert.device.device_class,
        },
        "network": {
            "name": alert.network.name,
            "class": alert.network.device_class,
            "authority": alert.network.authority,
            "vlan": alert.vlan,
        },
        "destinations": [
            {
                "ip": to.ip,
                "port": to.port,
                "asn": to.asn,
                "as_org": to.as_org,
                "country": to.country,
            }
            for to in alert.destinations
        ],
        "names": list(alert.names),
        "evidence": [_evidence(item) for item in alert.evidence],
        "counts": {
            "lookups": alert.counts.lookups,
            "handshakes": alert.counts.handshakes,
            "flows": alert.counts.flows,
            "bytes_out": alert.counts.bytes_out,
            "bytes_in": alert.counts.bytes_in,
        },
        "community_ids": list(alert.community_ids),
        "sensor": {
            "name": alert.sensor.name,
            "version": alert.sensor.version,
            "signatures": alert.sensor.signatures,
            "policy": alert.sensor.policy,
        },
    }
    for key, value in alert.extra.items():
        record.setdefault(key, value)
    return record


def _ban(ban: Ban) -> dict[str, Any]:
    return {
        "id": ban.id,
        "authority": ban.authority,
        "legal_basis": ban.legal_basis,
        "from": _day(ban.start),
        "until": _day(ban.end),
        "review": _day(ban.review),
    }


def _exemption(exemption: Exemption | None) -> dict[str, Any] | None:
    if exemption is None:
        return None
    return {
        "ban": exemption.ban,
        "device": exemption.device,
        "apps": sorted(exemption.apps),
        "from": _day(exemption.start),
        "until": _day(exemption.end),
        "reason": exemption.reason,
        "approved_by": exemption.approved_by,
    }


def _evidence(item: EvidenceItem) -> dict[str, Any]:
    return {
        "time": rfc3339(item.time, item.digits),
        "type": item.type,
        "name": item.name,
        "rule": item.rule,
        "role": item.role,
        "source": item.source,
        "packet": item.packet,
        "count": item.count,
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


class JsonlWriter:
    """Writes one JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, records: Records) -> None:
        """Nothing stands before the first record."""

    def observation(self, obs: Observation) -> None:
        """Write one observation."""
        self._stream.write(json_line(observation(obs)) + "\n")

    def alert(self, told: Alert) -> None:
        """Write one alert."""
        self._stream.write(json_line(alert(told)) + "\n")

    def coverage(self, report: Report, everything: bool) -> bool:
        """Write the report, always whole."""
        self._stream.write(json_line(record(report)) + "\n")
        return True

    def end(self) -> None:
        """Nothing follows the last line."""
