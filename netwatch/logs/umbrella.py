"""DNS and web logs of Cisco Umbrella: CSV files, with a header since version 11 where one is asked
for.

Cisco describes the columns in "DNS Log Formats" and "Web Log Formats". Newer versions add columns
at the end, so that one order fits all of them. Times are in UTC. Files of firewall, IP layer and
audit logs have no names of interest.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from netwatch.core.message import DnsInfo
from netwatch.logs.dns_values import lookup
from netwatch.logs.fields import (
    Sides,
    address,
    columns,
    contact,
    csv_row,
    host_of_url,
    number,
    octets,
    sides,
)
from netwatch.logs.reading import Carried, ReaderContext, RecordError, Sample
from netwatch.logs.records import NOWHERE, Endpoint, LogEntry, LogName
from netwatch.logs.timestamps import rfc3339

_DNS = columns(
    "timestamp identity identities internalip externalip action querytype responsecode domain"
    " categories identitytype identitytypes"
)

_WEB = columns(
    "timestamp identity internalip externalip destinationip contenttype action url referer"
    " useragent statuscode requestsize responsesize bodysize sha categories av pua ampdisposition"
    " ampname ampscore identitytype blockedcategories identities identitytypes method"
)

_SAME = {
    "time": "timestamp",
    "date": "timestamp",
    "policyidentity": "identity",
    "policyidentitylabel": "identity",
    "mostgranularidentity": "identity",
    "policyidentities": "identities",
    "internalclientip": "internalip",
    "externalclientip": "externalip",
    "verdict": "action",
    "dnsaction": "action",
    "recordtype": "querytype",
    "dnsquerytype": "querytype",
    "returncode": "responsecode",
    "dnsreturncode": "responsecode",
    "policyidentitytype": "identitytype",
    "mostgranularidentitytype": "identitytype",
    "requestmethod": "method",
}
"""Other names of the columns in headers, in lower case and without spaces."""

_ROAMING = ("roaming computer", "roaming computers", "anyconnect roaming client", "mobile devices")
"""Types of identities whose device may be anywhere, so that its internal address is one of some
other network."""

_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?: UTC)?", re.ASCII)
_TYPE = re.compile(r"\d{1,5} \(([A-Z0-9]{1,10})\)", re.ASCII)
_LINE = re.compile(
    rb'\s*"?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"?,.{0,400}?"(?:Allowed|Blocked|Proxied)", ?"'
    rb'(?:\d{1,5} \([A-Z0-9]+\)|Other)",'
    rb'|\s*"?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"?,(?:.{0,400}?),"(?:ALLOWED|BLOCKED|PROXIED)",'
    rb' ?"+<?https?://',
)
_HEADER = re.compile(rb'"?(?:Timestamp|Time)"?,.{0,60}Identit', re.IGNORECASE)


def recognise(sample: Sample) -> int:
    """The number of lines that are rows or a header of DNS or web logs."""
    return sum(
        _LINE.match(line) is not None or _HEADER.match(line) is not None for line in sample.lines
    )


class Reader:
    """Reads the rows of one log. A header holds for the rows behind it."""

    def __init__(self, context: ReaderContext) -> None:
        self._columns: list[str] | None = None

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """What a row shows. Raises `RecordError`."""
        row = csv_row(record.strip())
        if not row:
            return ()
        if _HEADER.match(record.strip()):
            self._columns = [_column(each) for each in row]
            return ()
        if not _TIME.fullmatch(row[0].strip()):
            if len(row) > 1 and _TIME.fullmatch(row[1].strip()):
                return ()  # an audit log begins with the number of the event
            raise RecordError("time-invalid")
        values = self._values(row)
        if values is None:
            return ()  # of the firewall, or of the IP layer
        time, digits = rfc3339(values["timestamp"].removesuffix(" UTC") + "Z")
        side = _sides(values)
        action = values.get("action", "")
        blocked = action.upper() == "BLOCKED"
        template = LogName(
            time=time,
            time_digits=digits,
            evidence="dns-query",
            name="",
            client=side.client,
            client_host=side.host,
            server=NOWHERE,
            outcome="blocked" if blocked else None,
            blocked_by=action if blocked else "",
            lacks=side.lacks,
        )
        return _web(values, template) if "url" in values else _lookup(values, template)

    def flush(self) -> Iterable[LogEntry]:
        """Nothing: no record waits for another."""
        return ()

    def _values(self, row: Sequence[str]) -> Mapping[str, str] | None:
        names = self._columns or _order(row)
        if names is None:
            return None
        values = {name: value.strip() for name, value in zip(names, row, strict=False)}
        if "timestamp" not in values or not ("domain" in values or "url" in values):
            return None
        return values


def _column(title: str) -> str:
    plain = "".join(each for each in title.lower() if each.isalnum())
    return _SAME.get(plain, plain)


def _order(row: Sequence[str]) -> list[str] | None:
    """The columns of a row without a header: the words for what was decided differ by the log."""
    if len(row) >= 9 and row[5].strip() in ("Allowed", "Blocked", "Proxied"):
        return _DNS
    if len(row) >= 11 and row[6].strip() in ("ALLOWED", "BLOCKED", "PROXIED"):
        return _WEB
    return None


def _sides(values: Mapping[str, str]) -> Sides:
    outer = address(values.get("externalip"))
    computer = _computer(values)
    if computer:
        return sides(None, None, computer)
    return sides(address(values.get("internalip")), outer)


def _computer(values: Mapping[str, str]) -> str:
    """The name of the roaming computer among the identities. The identities are in the order of
    their types, counted from the end, since the name of a user may have commas."""
    if values.get("identitytype", "").lower() in _ROAMING:
        return values.get("identity", "")
    types = [each.strip().lower() for each in values.get("identitytypes", "").split(",")]
    names = [each.strip() for each in values.get("identities", "").split(",")]
    for back in range(1, min(len(types), len(names)) + 1):
        if types[-back] in _ROAMING:
            return names[-back]
    return ""


def _lookup(values: Mapping[str, str], template: LogName) -> Iterable[LogName]:
    kind = _TYPE.fullmatch(values.get("querytype", ""))
    dns = DnsInfo(kind[1] if kind else "", values.get("responsecode", "").upper() or None)
    lacking = replace(template, lacks=("server", "answer", *template.lacks))
    return lookup(octets(values["domain"]), dns, lacking)


def _web(values: Mapping[str, str], template: LogName) -> Iterable[LogName]:
    url = values["url"].strip('"<> ')
    host, port = host_of_url(url)
    if not host or "://" not in url[:12]:
        raise RecordError("url-invalid")
    secure = url.lower().startswith("https:")
    reached = template.outcome is None and 100 <= number(values.get("statuscode")) < 600
    server = Endpoint(address(values.get("destinationip")), port or (443 if secure else 80))
    request = replace(
        template,
        server=server,
        transport="tcp",
        outcome="reached" if reached else template.outcome,
    )
    return contact("http-host", host, request)
