"""Which rules of the apps of a ban are for a blocklist."""

from netwatch.core.dataclass import dataclass
from netwatch.core.verdict import Ban
from netwatch.rules.catalog import Catalog
from netwatch.rules.signature import Rule


@dataclass(frozen=True, slots=True)
class NameList:
    """A list of names as a text of one line each, and the rules that the format cannot say."""

    text: str
    left_out: tuple[Rule, ...] = ()


def blocked_rules(catalog: Catalog, ban: Ban) -> tuple[Rule, ...]:
    """The rules of the names that only the apps of a ban use, by name and kind.

    Names that a vendor's other apps, other sites or a CDN use as well are not among them: to block
    these would disturb others. Nor are aliases of the app's zones at CDNs, which a client only
    meets in answers. A rule below a domain that is blocked as a whole is not repeated. Apps of the
    ban without a signature in the catalogue have no rules.
    """
    rules = [
        rule
        for app in sorted(ban.apps)
        if app in catalog.signatures
        for rule in catalog.signatures[app].rules
        if rule.role == "exclusive"
    ]
    whole = {rule.name for rule in rules if rule.kind == "suffix"}
    kept = (rule for rule in rules if not _is_below(rule, whole))
    return tuple(sorted(kept, key=lambda rule: (rule.name, rule.kind)))


def _is_below(rule: Rule, domains: set[str]) -> bool:
    """Whether all names of a rule are below one of `domains`, or are such a domain."""
    labels = rule.name.split(".")
    first = 1 if rule.kind == "suffix" else 0
    return any(".".join(labels[start:]) in domains for start in range(first, len(labels)))
