"""How many examples a property gets."""

from typing import Any

from hypothesis import settings

PART = 10
"""Which part of the examples that a property is worth is tried for each change: one in so many."""

LEAST = 12
"""How many examples any property gets for each change."""

USUAL = 30
"""How many a property gets for each change that does not say what it is worth."""


def examples(count: int, **options: Any) -> settings:
    """Settings of a property that is worth so many examples, of which one in `PART` is tried for
    each change, but not fewer than `LEAST`. A profile with more of them, such as that of
    `make test-long`, takes precedence."""
    of_profile = settings.default.max_examples
    tried = max(count // PART, LEAST) if of_profile <= USUAL else of_profile
    return settings(max_examples=tried, **options)
