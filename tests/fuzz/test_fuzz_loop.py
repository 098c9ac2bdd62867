"""The targets of the packet loop hold for their seeds, for seeds gone bad, and for a short
run where atheris is.

`both` holds the compiled and the interpreted form to all that the targets of one form do, so the
seeds are not read by these again.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.captures import block, timed
from support.examples import examples, only_long
from support.fuzz_loop_targets import LINKS, TARGETS, Case, _hold_row, encoded, seeds
from support.fuzz_targets import BrokenPromiseError

from netwatch.dissect.loop.loop import COMPILED

SEEDS = seeds()
KINDS = [name for name in TARGETS if COMPILED or name in ("interpreted", "street", "filled")]
RUNS, STARTS = 8, 3
"""Runs of a short run, and how many of the seeds it starts from. The interpreted form takes long
under the eyes of the fuzzer; without it, all seeds are tried above."""
LONG_RUNS = 10_000


@pytest.mark.parametrize("one_in", [3, only_long(1)])
@pytest.mark.parametrize("name", ["both" if COMPILED else "interpreted", "street", "filled"])
def test_seeds_keep_the_promises(name: str, one_in: int) -> None:
    for seed in SEEDS[::one_in]:
        TARGETS[name](seed)


@pytest.mark.skipif(not COMPILED, reason="the loop was not compiled")
@examples(120)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 4000), st.binary(max_size=6))))
def test_seeds_gone_bad_keep_the_promises(seed: bytes, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(seed)
    for at, change in changes:
        data[at % len(data) : at % len(data) + len(change)] = change
    TARGETS["both"](bytes(data))
    TARGETS["filled"](bytes(data))


def test_an_input_is_what_it_was_made_of() -> None:
    frames = [b"one", b"", b"three"]
    case = Case(encoded(105, frames, 3 | 5 << 2))
    assert [frame for _, frame in case.frames] == frames
    assert (case.link, case.slots, case.filtering, case.snap) == (105, 64, True, 40)
    assert {Case(link.to_bytes(2)).link for link in range(512)} == set(LINKS)


@pytest.mark.parametrize(
    ("column", "value"),
    [(0, 99), (1, 7), (2, -1), (3, 999), (7, 90), (8, 5), (9, 90), (14, 2), (16, 2)],
)
def test_a_row_that_reaches_out_of_its_packet_is_a_finding(column: int, value: int) -> None:
    sound = [4, 0, 54, 20, 20, 1, 2, 26, 4, 6, 0, -1, 1, 2, 1, 6, 0]
    capture = block(timed([bytes(74), bytes(74)]))
    _hold_row(sound, capture)
    sound[column] = value
    with pytest.raises(BrokenPromiseError):
        _hold_row(sound, capture)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize(
    ("runs", "starts"),
    [(RUNS, STARTS), only_long(LONG_RUNS, len(SEEDS))],
)
def test_a_run_finds_nothing(runs: int, starts: int) -> None:
    script = Path(__file__).parent / "fuzz_loop.py"
    # The memory that libFuzzer limits includes what the process that starts it has had.
    options = [f"-runs={runs}", f"-seeds={starts}", "-seed=1", "-rss_limit_mb=4096"]
    command = [sys.executable, str(script), ",".join(KINDS), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count(f"Done {runs}") == len(KINDS)
