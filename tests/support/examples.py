"""How many examples a property gets, and which parameters a test of a product gets."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings

PART = 10
"""Which part of the examples that a property is worth is tried for each change: one in so many."""

LEAST = 12
"""How many examples any property gets for each change."""

USUAL = 20
"""How many a property gets for each change that does not say what it is worth."""


def examples(count: int, **options: Any) -> settings:
    """Settings of a property that is worth so many examples, of which one in `PART` is tried for
    each change, but not fewer than `LEAST`. A profile with more of them, such as that of
    `make test-long`, takes precedence."""
    of_profile = settings.default.max_examples
    tried = max(count // PART, LEAST) if of_profile <= USUAL else of_profile
    return settings(max_examples=tried, **options)


def only_long(*values: Any) -> Any:
    """Parameters that are tried by `make test-long` only."""
    return pytest.param(*values, marks=pytest.mark.long)


def some_of(values: Iterable[Any], one_in: int) -> list[Any]:
    """The values of a parameter, of which one in so many is tried for each change, and all by
    `make test-long`. An odd number tries both of what comes in turns, such as IP versions."""
    return [each if place % one_in == 0 else only_long(each) for place, each in enumerate(values)]
