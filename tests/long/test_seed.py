"""What `make test-long` runs beside the properties. Tests here carry the marker ``long``, draw what
they need from `random_source`, and so repeat with the same seed."""

import os
import random

import pytest
from hypothesis import settings

pytestmark = pytest.mark.long


def test_the_seed_of_the_run_gives_the_same_numbers(
    random_source: random.Random, pytestconfig: pytest.Config
) -> None:
    seed = pytestconfig.getoption("--hypothesis-seed")
    assert random_source.random() == random.Random(int(seed or 0)).random()


def test_examples_are_random_and_many() -> None:
    assert not settings.default.derandomize
    assert settings.default.max_examples == int(os.environ.get("NETWATCH_EXAMPLES", "10000"))
