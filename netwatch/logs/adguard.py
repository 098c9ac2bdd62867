"""AdGuard Home: ``querylog.json``, one JSON object for each lookup that was answered.

``IP`` is the client, ``T`` the time, ``QH`` and ``QT`` the question, ``Answer`` the DNS message
that the client got in base64, and ``Result`` what the filters decided (``internal/querylog`` and
``internal/filtering`` of AdGuard Home). With ``anonymize_client_ip`` the last two bytes of an IPv4
address and the last ten of an IPv6 address are zero: these are no addresses of devices.
"""

import binascii
from collections.abc import Iterable
from typing import Any, Literal

from netwatch.core.errors import RecordError
from netwatch.core.message import DnsInfo
from netwatch.logs.dns_values import MAX_MESSAGE, Others, address, message_names, record_type, shown
from netwatch.logs.fields import json_object
from netwatch.logs.records import NOWHERE, Carried, Endpoint, LogEntry, RecordReader, Sample
from netwatch.logs.times import rfc3339

_FILTERED = {
    3: "FilteredBlockList",
    4: "FilteredSafeBrowsing",
    5: "FilteredParental",
    6: "FilteredInvalid",
    8: "FilteredBlockedService",
}
"""The reasons that mean that a name was blocked. ``FilteredSafeSearch`` (7) and rewrites lead to
other hosts."""

_OVER_TCP = ("doh", "dot", "dnscrypt")


def recognise(sample: Sample) -> int:
    """The number of lines of the sample that only AdGuard Home writes."""
    return sum(
        each is not None and each.keys() >= {"T", "QH", "QT", "IP"} for each in sample.objects
    )


class AdGuardReader(RecordReader):
    """Reads the records of one log of AdGuard Home."""

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a line says."""
        found = json_object(record)
        host, kind, moment = found.get("QH"), found.get("QT"), found.get("T")
        if not isinstance(host, str) or not isinstance(kind, str) or not isinstance(moment, str):
            raise RecordError("field-missing")
        when = rfc3339(moment, self._times)
        client, others = _client(found)
        others |= _outcome(found.get("Result"))
        transport: Literal["tcp", "udp"] = "tcp" if found.get("CP") in _OVER_TCP else "udp"
        answer = found.get("Answer")
        if isinstance(answer, str):
            names = message_names(_message(answer), when, client, NOWHERE, transport, **others)
            if names is not None:
                return names
        others["lacks"] = (*others.get("lacks", ()), "answer")
        return shown(
            host.encode("utf-8", "surrogatepass"),
            DnsInfo(record_type(kind)),
            when,
            client,
            NOWHERE,
            transport,
            **others,
        )


def _client(found: dict[str, Any]) -> tuple[Endpoint, Others]:
    """The client, or its name where its address is anonymised."""
    text = found.get("IP")
    if not isinstance(text, str):
        raise RecordError("client-missing")
    ip = address(text.encode("utf-8", "surrogatepass"))
    if ip.endswith(bytes(2 if len(ip) == 4 else 10)):
        name = found.get("CID")
        return NOWHERE, {"lacks": ("client",), "client_host": name if isinstance(name, str) else ""}
    return Endpoint(ip), {}


def _outcome(result: object) -> Others:
    if not isinstance(result, dict) or result.get("IsFiltered") is not True:
        return {}
    reason = result.get("Reason")
    word = _FILTERED.get(reason, "") if isinstance(reason, int) else ""
    if not word:
        return {}
    service = result.get("ServiceName")
    named = f"{word}:{service[:64]}" if isinstance(service, str) and service else word
    return {"outcome": "blocked", "blocked_by": named}


def _message(text: str) -> bytes:
    """The bytes of a message in base64, empty where they are none."""
    if len(text) > MAX_MESSAGE * 2:
        return b""
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        return b""
