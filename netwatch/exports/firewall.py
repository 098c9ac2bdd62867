"""Domain lists that firewalls fetch: external dynamic lists of PAN-OS, threat feeds of FortiOS.

Both are plain text with one entry a line, and neither has a documented form for comments, so
nothing but names is written. PAN-OS: a caret before a name is an exact match, an asterisk may only
be the whole first label, for one label or several. FortiOS: an asterisk may be anywhere in
a name, also across labels, so a pattern is a little wider there than in a signature.
"""

from collections.abc import Callable, Iterable, Mapping

from netwatch.core.dataclass import dataclass
from netwatch.exports.names import NameList
from netwatch.rules.signature import Rule


@dataclass(frozen=True, slots=True)
class FirewallFormat:
    """A format: the name of the product, and the entries of a rule; none where it has no form."""

    product: str
    entries: Callable[[Rule], tuple[str, ...]]


def _palo_alto(rule: Rule) -> tuple[str, ...]:
    if rule.kind == "suffix":
        return (f"^{rule.name}", f"*.{rule.name}")
    return () if rule.kind == "glob" else (f"^{rule.name}",)


def _fortigate(rule: Rule) -> tuple[str, ...]:
    return (rule.name, f"*.{rule.name}") if rule.kind == "suffix" else (rule.name,)


FORMATS: Mapping[str, FirewallFormat] = {
    "fortigate": FirewallFormat("FortiGate", _fortigate),
    "palo-alto": FirewallFormat("Palo Alto", _palo_alto),
}
"""The formats by the name that stands in URLs."""


def domain_list(rules: Iterable[Rule], name: str) -> NameList:
    """Rules as a list in one of `FORMATS`. Raises `KeyError` for another name."""
    entries = FORMATS[name].entries
    lines: list[str] = []
    left_out: list[Rule] = []
    for rule in rules:
        found = entries(rule)
        lines += found
        if not found:
            left_out.append(rule)
    return NameList("".join(f"{line}\n" for line in dict.fromkeys(lines)), tuple(left_out))
