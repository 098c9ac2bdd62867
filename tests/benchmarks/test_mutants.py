"""What mutants are made of, and what is not one; Cosmic Ray is only where they are measured."""

import mutants
from support.paths import ROOT


def test_the_modules_and_their_tests_are_there() -> None:
    for module, tests in mutants.MODULES.items():
        assert mutants.path_of(module).is_file(), module
        assert all((ROOT / "tests" / name).is_file() for name in tests), module
    assert len({name.split(".")[1] for name in mutants.MODULES}) == len(mutants.MODULES) == 10


def test_a_mutant_is_another_program() -> None:
    assert mutants.is_other("x = 1", "x = 2")
    assert not mutants.is_other("x = 1", "x  =  1  # one")
    assert not mutants.is_other("x = 1", "x = )")


def test_the_table_has_the_sum() -> None:
    rows = {"a": (30, 20), "b": (30, 25)}
    assert mutants.table(rows).splitlines()[2:] == [
        "| `a` | 30 | 20 |",
        "| `b` | 30 | 25 |",
        "| together | 60 | 45 |",
    ]
