"""Where a piece of evidence is written: the packet of a capture, or the line of a log.

Every format and page calls a place the same: ``office.pcap#17`` is packet 17 of a capture, and
``dnsmasq.log:17`` is line 17 of a log (record 17, where it has no lines).
"""

from collections.abc import Mapping
from typing import Any


def number_of(item: Mapping[str, Any]) -> int:
    """The number of the packet, or of the record of the log, of a piece of evidence's record."""
    log = item.get("log")
    number: int = log["line"] if log else item["packet"]
    return number


def place_of(item: Mapping[str, Any]) -> str:
    """The place of a piece of evidence's record."""
    return f"{item['source']}{':' if item.get('log') else '#'}{number_of(item)}"
