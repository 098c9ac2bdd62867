"""The formats of lists, and how a list is recognised by its content.

A new format is one module with `recognises` and `read`, and one row of `LIST_FORMATS`. A line is
evidence for a format only if no other format has such lines; of several formats the one with the
most such lines is that of the list. A list of nothing but names is a plain one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

from netwatch.lists import adblock, clash, dnsmasq, domain_list, hosts, plain, rpz
from netwatch.lists.findings import Findings, Lines, split_lines

MAX_LINES_TRIED = 2000
"""Lines at the beginning of a list by which its format is recognised."""


@dataclass(frozen=True, slots=True)
class ListFormat:
    """One format. `recognises` says whether a line (stripped, not empty, no comment with ``#``)
    can be of this format only, `read` reads a list. With `exceptions_prevail` an exception also
    holds for the names below it, however specific the other entry is."""

    summary: str
    recognises: Callable[[str], bool]
    read: Callable[[Lines, Findings], None]
    exceptions_prevail: bool = False


LIST_FORMATS: Mapping[str, ListFormat] = MappingProxyType(
    {
        "domain-list": ListFormat(
            "v2fly's domain-list-community: `full:`, `domain:`, `keyword:`, `regexp:`, `include:`",
            domain_list.recognises,
            domain_list.read,
        ),
        "adblock": ListFormat(
            "filters of AdGuard and uBlock Origin: `||name^`, `@@||name^`",
            adblock.recognises,
            adblock.read,
            exceptions_prevail=True,
        ),
        "hosts": ListFormat("hosts files: `0.0.0.0 name`", hosts.recognises, hosts.read),
        "dnsmasq": ListFormat(
            "dnsmasq: `address=/name/…`, `server=/name/…`, `local=/name/`",
            dnsmasq.recognises,
            dnsmasq.read,
        ),
        "clash": ListFormat(
            "Clash, Surge, Quantumult: `DOMAIN-SUFFIX,name`, `DOMAIN,name`",
            clash.recognises,
            clash.read,
        ),
        "rpz": ListFormat(
            "response policy zones: `name CNAME .`, `*.name CNAME .`", rpz.recognises, rpz.read
        ),
        "plain": ListFormat(
            "names, one a line; `*.name` and `.name`", plain.recognises, plain.read
        ),
    }
)
"""The formats by their ids, which ``--as`` takes."""

_PLAIN = "plain"


def recognise_format(text: str) -> str | None:
    """The id of the format of a list, None where no line is of any of them."""
    counts = dict.fromkeys(LIST_FORMATS, 0)
    for _, line in islice(split_lines(text), MAX_LINES_TRIED):
        # White space before a record is a part of a zone file, and indents a list of YAML.
        stripped = line.strip()
        if not stripped or stripped[0] == "#":
            continue
        for word, form in LIST_FORMATS.items():
            counts[word] += form.recognises(stripped)
    names = counts.pop(_PLAIN)
    best = max(counts, key=lambda word: counts[word])
    if counts[best]:
        return best
    return _PLAIN if names else None
