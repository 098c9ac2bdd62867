"""DNS messages inside of logs: AdGuard Home and the DNS server of Windows keep them whole."""

from collections.abc import Iterable
from typing import Literal, Unpack

from netwatch.core.errors import ParseError
from netwatch.logs.dns_text import Others
from netwatch.logs.records import NOWHERE, Endpoint, LogEntry, LogName
from netwatch.protocols.dns import parse

MAX_MESSAGE = 65535
"""Maximum size of a DNS message in bytes (RFC 1035 section 4.2.2)."""


def message_names(
    message: bytes,
    when: tuple[int, int],
    client: Endpoint,
    server: Endpoint = NOWHERE,
    transport: Literal["tcp", "udp"] = "udp",
    **others: Unpack[Others],
) -> Iterable[LogEntry] | None:
    """The names that a message shows as it does in packets; None where it shows none, or cannot be
    read. `when` is the time with its digits."""
    if not message or len(message) > MAX_MESSAGE:
        return None
    try:
        read = parse(message)
    except ParseError:
        return None
    return [
        LogName(
            when[0],
            when[1],
            each.evidence,
            each.name,
            client,
            server,
            transport,
            dns=read.dns,
            raw=each.raw,
            asked=each.asked,
            **others,
        )
        for each in read.names
    ] or None
