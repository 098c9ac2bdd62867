"""The C constants of the observation batch and their Python twins are the same numbers."""

import re

from support.paths import ROOT

from netwatch.core import observation_columns
from netwatch.core.observation_columns import COLUMNS, EVIDENCE, WORDS


def test_both_files_have_the_same_constants() -> None:
    text = (ROOT / "netwatch" / "core" / "observation_columns.pxd").read_text(encoding="utf-8")
    found = re.findall(r"(?m)^    ([A-Z_0-9]+) = ([0-9]+)$", text)
    in_c = {name: int(value) for name, value in found}
    in_python = {
        name: value for name, value in vars(observation_columns).items() if type(value) is int
    }
    assert in_c == in_python
    assert len(found) == len(in_c) > WORDS


def test_evidence_has_the_numbers_that_the_loop_writes() -> None:
    for name, number in vars(observation_columns).items():
        if name.startswith("EVIDENCE_"):
            assert EVIDENCE[number] == name.removeprefix("EVIDENCE_").lower().replace("_", "-")


def test_each_word_is_in_a_column_but_three() -> None:
    words = [column.word for column in COLUMNS if column.word >= 0]
    assert len(set(words)) == len(words)
    beside = {
        observation_columns.WORD_TIME_DIGITS,
        observation_columns.WORD_FLOW,
        observation_columns.WORD_MARK,
    }
    assert set(words) | beside == set(range(WORDS))
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)
