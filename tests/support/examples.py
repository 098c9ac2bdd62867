"""How many examples a property gets."""

from typing import Any

from hypothesis import settings


def examples(count: int, **options: Any) -> settings:
    """Settings of a property that needs so many examples to be worth running. A profile with more
    of them, such as that of `make test-long`, takes precedence."""
    return settings(max_examples=max(count, settings.default.max_examples), **options)
