"""The fuzz targets hold for their own seeds, and for a short run where atheris is."""

import importlib.util
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from support.examples import only_long
from support.fuzz_corpus import MAX_BYTES, load, smallest
from support.fuzz_targets import TARGETS, BrokenPromiseError, hold, seeds

RUNS = 100
LONG_RUNS = 20_000


@pytest.mark.parametrize("cuts", [60, only_long(300)])
@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_their_beginnings_keep_the_promises(name, cuts):
    for seed in seeds(name):
        for end in range(0, len(seed) + 1, max(1, len(seed) // cuts)):
            TARGETS[name](seed[:end])
        TARGETS[name](seed)


@pytest.mark.parametrize("name", TARGETS)
def test_the_stored_corpus_is_small_and_sorted(name):
    inputs = load(name)
    assert 0 < sum(map(len, inputs)) <= MAX_BYTES
    assert inputs == sorted(set(inputs), key=lambda each: (len(each), each))
    assert set(inputs) <= set(seeds(name))


def test_the_smallest_inputs_are_stored_up_to_the_limit():
    assert smallest([b"333", b"1", b"22", b"1", b"11"], 5) == [b"1", b"11", b"22"]
    assert smallest([b"22", b"1", b"333"], 5) == [b"1", b"22"]


def test_a_broken_promise_is_a_finding():
    with pytest.raises(BrokenPromiseError):
        hold(False, "a size out of bounds")


def test_the_program_of_a_target_imports_what_is_fuzzed_itself(monkeypatch):
    """Else the fuzzer would not see what its inputs reach."""
    run = []
    monkeypatch.setattr("os.execv", lambda *arguments: run.append(arguments))
    monkeypatch.setattr("sys.argv", ["run.py", "ipfix", "-runs=1"])
    folder = Path(__file__).parent
    runpy.run_path(str(folder / "run.py"), run_name="__main__")
    program = [sys.executable, str(folder / "fuzz_parsers.py"), "ipfix", "-runs=1"]
    assert run == [(sys.executable, program)]


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("runs", [RUNS, only_long(LONG_RUNS)])
def test_a_short_run(runs):
    """One program for all targets, since it takes seconds to import what is fuzzed."""
    script = Path(__file__).parent / "fuzz_parsers.py"
    command = [sys.executable, str(script), ",".join(TARGETS), f"-runs={runs}", "-seed=1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count(f"Done {runs}") == len(TARGETS)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_a_target_that_is_not_there_is_refused(monkeypatch):
    from support.fuzzing import main

    monkeypatch.setattr(sys, "argv", ["fuzz", "tls,none"])
    with pytest.raises(SystemExit, match=r"^usage\nTargets: tls, quic$"):
        main("usage", ("tls", "quic"), lambda _: pytest.fail("it was started"), [])
