"""What the name of a rule may look like."""

import re

from netwatch.core.names import normalise_name
from netwatch.core.user_yaml import describe

MAX_NAME = 253
"""The length of the longest host name in text form (RFC 1035 section 2.3.4)."""

MAX_LABEL = 63
"""The length of the longest label of a host name (RFC 1035 section 2.3.4)."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_GLOB_LABEL = re.compile(r"(?!-)[a-z0-9_*-]{1,63}(?<!-)\Z")


def name_fault(name: str, kind: str) -> str:
    """Why `name` cannot be the name of a rule of that kind; empty where it can.

    `kind` is host, glob or suffix. Host names are those of RFC 952 and RFC 1123 section 2.1, with
    the underscore that real zones use, normalised as by `netwatch.core.names`.
    """
    if not name.isascii():
        a_label = normalise_name(name.encode())
        valid = a_label.isascii() and "\\" not in a_label
        return f"is not ASCII: expected its A-label form{f', {a_label}' if valid else ''}"
    if name != name.lower():
        return f"has capitals: expected {name.lower()}"
    if name.endswith("."):
        return f"ends with a dot: expected {name.rstrip('.')}"
    if "*" in name and kind != "glob":
        return f"has a *: expected a glob, or a {kind} without it"
    if "*" not in name and kind == "glob":
        return "has no *: expected a host"
    if len(name) > MAX_NAME:
        return f"has {len(name)} letters: expected at most {MAX_NAME}"
    labels = name.split(".")
    shape = _GLOB_LABEL if kind == "glob" else _LABEL
    for label in labels:
        if not shape.match(label):
            expected = "1 to 63 letters, digits, _ and inner hyphens"
            return f"is not a host name: expected labels of {expected}, found {describe(label)}"
        if label.startswith("xn--") and "*" not in label:
            import idna  # not at the top: a catalogue from the cache is not read again

            try:
                idna.decode(label)
            except UnicodeError:
                return f"is not a host name: expected a valid A-label, found {describe(label)}"
    if "*" in "".join(labels[-2:]):
        return "has a * in its registrable domain: expected the last two labels written out"
    if len(labels) < 2:
        return "is a single label: expected at least two"
    if labels[-1].isdigit():
        return "is an address: expected a name"
    return ""
