"""How many examples a property gets."""

from typing import Any

from hypothesis import settings

PART = 4
"""Which part of the examples that a property is worth is tried for each change: one in so many."""


def examples(count: int, **options: Any) -> settings:
    """Settings of a property that is worth so many examples, of which one in `PART` is tried for
    each change, but not fewer than of any property. A profile with more of them, such as that of
    `make test-long`, takes precedence."""
    return settings(max_examples=max(count // PART, settings.default.max_examples), **options)
