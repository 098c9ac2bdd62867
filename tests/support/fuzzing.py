"""Run the fuzzer, for one target or for several after one another.

What is fuzzed is imported under the eyes of the fuzzer, which takes seconds, so the targets of one
program share that: each has a process of its own that begins behind the imports.
"""

import os
import shlex
import sys
import tempfile
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import atheris

Target = Callable[[bytes], None]

_SEEDS = "-seeds="


def main(
    usage: str,
    targets: Collection[str],
    prepare: Callable[[str], tuple[Target, Sequence[bytes]]],
    limits: Sequence[str],
) -> None:
    """Fuzz the targets of the command line, whose names have commas between them. `prepare` gives a
    target and its seeds, of which ``-seeds=N`` takes about N. The process fails with the first that
    fails."""
    names = sys.argv.pop(1).split(",") if len(sys.argv) > 1 else []
    if not names or not set(names) <= set(targets):
        sys.exit(f"{usage}\nTargets: {', '.join(targets)}")
    if len(names) == 1:
        _fuzz(names[0], *prepare(names[0]), limits)
    for name in names:
        child = os.fork()
        if not child:
            _fuzz(name, *prepare(name), limits)
        if status := os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
            sys.exit(f"{name} ended with status {status}")


def _fuzz(name: str, target: Target, seeds: Sequence[bytes], limits: Sequence[str]) -> None:
    """Fuzz a target, which ends the process."""
    # To merge corpora, libFuzzer starts itself again by its first argument.
    itself = shlex.join([sys.executable, sys.argv[0], name])
    options = [each for each in sys.argv[1:] if not each.startswith(_SEEDS)]
    for each in sys.argv[1:]:
        if each.startswith(_SEEDS):
            seeds = seeds[:: max(1, len(seeds) // int(each.removeprefix(_SEEDS)))]
    with tempfile.TemporaryDirectory() as folder:
        for at, seed in enumerate(seeds):
            (Path(folder) / f"seed-{at}").write_bytes(seed)
        atheris.Setup([itself, *limits, *options, folder], target)
        atheris.Fuzz()
