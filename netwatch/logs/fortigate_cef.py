"""Logs of FortiGate firewalls in CEF (``set format cef``), as fields with their other names.

"FortiOS to CEF log field mapping" of Fortinet says which field has a key of CEF; all others keep
their name behind ``FTNTFGT``. Values are not quoted: one ends where the next key begins.
"""

import re
from collections.abc import Mapping

BEGIN = b"CEF:0|Fortinet|Fortigate|"
"""How each record begins."""

_PREFIX = "FTNTFGT"
_KEY = re.compile(r"(?:^|\s)([A-Za-z]\w*)=", re.ASCII)
_ESCAPED = re.compile(r"\\(.)")
_NAMES: Mapping[str, str] = {
    "src": "srcip",
    "spt": "srcport",
    "dst": "dstip",
    "dpt": "dstport",
    "smac": "srcmac",
    "dhost": "hostname",
    "request": "url",
    "app": "service",
    "proto": "proto",
    "act": "action",
    "externalId": "sessionid",
    "deviceExternalId": "devid",
    "out": "sentbyte",
    "in": "rcvdbyte",
}
"""The names of fields by their keys in CEF."""


def cef_fields(record: bytes) -> dict[str, str]:
    """The fields of a record by the names that they have in other formats. ``cat`` is type and
    subtype in one."""
    text = record.decode("utf-8", "surrogateescape")
    extension = text.split("|", 7)[-1] if text.count("|") >= 7 else ""
    keys = list(_KEY.finditer(extension))
    found: dict[str, str] = {}
    for at, key in enumerate(keys):
        end = keys[at + 1].start() if at + 1 < len(keys) else len(extension)
        value = re.sub(_ESCAPED.pattern, r"\1", extension[key.end() : end].strip())
        name = key[1]
        known = _NAMES.get(name)
        if known is None and name.startswith(_PREFIX):
            known = name.removeprefix(_PREFIX)
        elif name == "cat":
            kind, _, sub = value.partition(":")
            found["type"] = kind
            found.setdefault("subtype", sub)
            continue
        if known is not None:
            found.setdefault(known, value)
    return found
