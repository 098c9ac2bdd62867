"""Query logs of Amazon Route 53 Resolver: one JSON object a lookup, with its answer.

Amazon describes the fields under "Values that appear in VPC Resolver query logs" (Route 53
Developer Guide). `srcaddr` is the address of the instance in the VPC that asked; where lookups
come through an inbound endpoint it is the address of whatever forwarded them.
"""

from collections.abc import Iterable

from netwatch.core.message import DnsInfo
from netwatch.logs.dns_values import lookup
from netwatch.logs.fields import MAX_ANSWERS, address, host_name, json_object, octets, port, text
from netwatch.logs.reading import Carried, ReaderContext, RecordError, Sample
from netwatch.logs.records import Endpoint, LogEntry, LogName
from netwatch.logs.timestamps import rfc3339


def recognise(sample: Sample) -> int:
    """The number of lines that are query logs: `query_timestamp` and `srcids` are of no other."""
    return sum(
        each is not None
        and "query_name" in each
        and ("query_timestamp" in each or "srcids" in each)
        for each in sample.objects
    )


class Reader:
    """Reads the query logs of one log."""

    def __init__(self, context: ReaderContext) -> None:
        self._times = context.times

    def read(self, record: bytes, carried: Carried) -> Iterable[LogEntry]:
        """The lookup of a record. Raises `RecordError`."""
        values = json_object(record)
        if "query_name" not in values:
            return ()
        time, digits = rfc3339(text(values.get("query_timestamp")))
        client = address(values.get("srcaddr"))
        action = text(values.get("firewall_rule_action"))
        blocked = action.upper() == "BLOCK"
        template = LogName(
            time=time,
            time_digits=digits,
            evidence="dns-query",
            name="",
            client=Endpoint(client, port(values.get("srcport"))),
            transport="tcp" if text(values.get("transport")).upper() == "TCP" else "udp",
            outcome="blocked" if blocked else None,
            blocked_by=action if blocked else "",
            lacks=() if client else ("client",),
        )
        asked = octets(text(values.get("query_name")))
        return lookup(asked, _dns(values), template)

    def flush(self) -> Iterable[LogEntry]:
        """Nothing: no record waits for another."""
        return ()


def _dns(values: dict[str, object]) -> DnsInfo:
    rcode = text(values.get("rcode")).upper()
    addresses, chain = [], []
    answers = values.get("answers")
    if answers is not None and not isinstance(answers, list):
        raise RecordError("answers-invalid")
    for each in (answers or [])[:MAX_ANSWERS]:
        if not isinstance(each, dict):
            raise RecordError("answers-invalid")
        # Written ``Rdata`` in logs, ``rdata`` in some exports of them.
        data, kind = text(each.get("Rdata", each.get("rdata"))), each.get("Type", each.get("type"))
        if kind in ("A", "AAAA") and address(data) is not None:
            addresses.append((data, 0))
        elif kind == "CNAME" and data:
            chain.append(host_name(data))
    return DnsInfo(text(values.get("query_type")), rcode or None, tuple(addresses), tuple(chain))
