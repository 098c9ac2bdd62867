"""Fuzz the packet loop: ``python tests/fuzz/fuzz_loop.py TARGET [CORPUS] [-runs=N] [...]``.

Coverage-guided by atheris (``pip install atheris``), which sees the interpreted form; the
compiled one is fed with the same changes of the same seeds. TARGET is one of `TARGETS` in
`support.fuzz_loop_targets`; the options are libFuzzer's, such as ``-max_total_time=600``. Without a
CORPUS folder the run starts from the seeds and keeps nothing.
"""

import shlex
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType, ModuleType

import atheris

with atheris.instrument_imports(include=["netwatch"]):
    from support.fuzz_loop_targets import TARGETS, modules, seeds


def watch(modules: Iterable[ModuleType]) -> None:
    """Let the fuzzer see which branches of the loop are taken: instrument all functions and
    methods of the modules that it is composed of."""
    for module in modules:
        for value in vars(module).values():
            methods = vars(value).values() if isinstance(value, type) else (value,)
            for method in methods:
                if isinstance(method, FunctionType) and method.__module__ == module.__name__:
                    atheris.instrument_func(method)


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"{__doc__}\nTargets: {', '.join(TARGETS)}")
    # libFuzzer starts itself again by its first word, to merge
    itself = shlex.join([sys.executable, *sys.argv[:2]])
    name = sys.argv.pop(1)
    if name in ("interpreted", "both"):
        watch(modules().values())
    with tempfile.TemporaryDirectory() as folder:
        for at, seed in enumerate(seeds()):
            (Path(folder) / f"seed-{at}").write_bytes(seed)
        limits = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=16384"]
        atheris.Setup([itself, *limits, *sys.argv[1:], folder], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
