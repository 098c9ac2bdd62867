"""Every value in the tables of lists filters them by a click, or has a reason not to."""

import re
from collections.abc import Callable

import pytest
from support.console_walk import prepare
from support.consoles import Visitor

from netwatch.console.console import Console

TIMES = {"Time", "First seen", "Last seen", "Last heard", "From", "Until"}
"""Times are chosen by ranges and in histograms."""

COUNTS = {"Number", "Packets/s", "Dropped", "Clock", "Contacts", "Lookups", "Handshakes", "Flows",
          "Bytes sent", "Bytes received", "Violations", "Advisories", "Exempt", "Incidents covered",
          "After its end", "Share"}  # fmt: skip
"""Numbers, none of which is a kind of rows."""

PROSE = {"Purpose", "Reason", "Approved by", "Remedy"}
"""Texts that people wrote, and advice."""

OTHERS = {
    "Address": "the audit is asked for accounts and subjects; an address is of nobody",
    "Set": "a version is on the page of the sensor, with what was rejected",
    "Configuration": "the same",
}
"""Other columns, with the reason."""

DASH = "\N{EN DASH}"
"""What a cell without a value has."""

ALL = "verdict,app,device,network,kind,outcome,ban,triage,severity"


@pytest.mark.parametrize(
    ("role", "place"),
    [
        ("analyst", f"/incidents?columns={ALL},sensor,last_seen,contacts,bytes_in"),
        ("auditor", f"/incidents?columns={ALL.replace('device,', '')},sensor"),
        ("analyst", f"/cases?columns={ALL},seen_by,last_seen,contacts"),
        ("analyst", "/devices"),
        ("analyst", "/sensors"),
        ("analyst", "/exemptions?from=2023-03-01&to=2023-05-31"),
        ("auditor", "/blind-spots?from=2023-03-01&to=2023-05-31"),
        ("dpo", "/audit"),
    ],
)
def test_every_value_filters_or_has_a_reason_not_to(
    role: str, place: str, console: Console, visit: Callable[[str], Visitor]
) -> None:
    prepare(console)
    text = visit(role).open(place).text
    text = re.sub(r"<figure.*?</figure>", "", text, flags=re.S)
    cells = re.findall(r'<td [^>]*data-label="([^"]*)"[^>]*>(.*?)</td>', text, flags=re.S)
    links = {label for label, cell in cells if "<a " in cell}
    assert links
    silent = {
        label
        for label, cell in cells
        if "<a " not in cell and re.sub(r"<[^>]*>", "", cell).strip() not in ("", DASH)
    }
    assert silent <= TIMES | COUNTS | PROSE | OTHERS.keys()
