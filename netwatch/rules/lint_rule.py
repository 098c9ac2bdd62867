"""What a lint rule for signatures is. The rules are in `netwatch.rules.lint`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netwatch.rules.catalog import Catalog
from netwatch.rules.signature import Alias, Example, Rule, Signature

UNDECIDED = "common-zone"
"""The id of the rule that finds names in common zones without a decision."""

Finding = tuple[Rule | Example | Alias | Signature, str]
"""What is at fault, and what is wrong with it, in words."""


@dataclass(frozen=True, slots=True)
class LintRule:
    """One lint rule. `id` follows each of its messages in brackets, `check` yields its findings.
    Findings of severity ``error`` make `signatures lint` fail with exit status 2."""

    id: str
    severity: str
    description: str
    check: Callable[[Catalog], Iterator[Finding]]
