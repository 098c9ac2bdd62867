"""The names that a DNS lookup in a log shows: the name asked for, and aliases in its answer."""

from collections.abc import Iterator
from dataclasses import replace

from netwatch.core.message import DnsInfo
from netwatch.core.names import normalise_name, raw_name
from netwatch.logs.reading import RecordError
from netwatch.logs.records import LogName


def lookup(asked: bytes, dns: DnsInfo, template: LogName) -> Iterator[LogName]:
    """What a lookup of `asked` shows, with the time, the sides and whatever else `template` has.

    Where `dns` has a response code it is an answer: the name is a ``dns-answer``, and each alias in
    `dns.chain` behind the name asked for a ``dns-cname``, as in packets. Else it is a
    ``dns-query``. Raises `RecordError` where there is no name.
    """
    name = normalise_name(asked)
    if not name:
        raise RecordError("name-missing")
    is_answer = dns.rcode is not None
    yield replace(
        template,
        evidence="dns-answer" if is_answer else "dns-query",
        name=name,
        raw=raw_name(asked, name),
        dns=dns,
    )
    if is_answer:
        for alias in dns.chain:
            if alias != name:
                yield replace(
                    template, evidence="dns-cname", name=alias, raw="", asked=name, dns=dns
                )
