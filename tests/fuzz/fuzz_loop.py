"""Fuzz the packet loop: ``python tests/fuzz/fuzz_loop.py TARGET [CORPUS] [-runs=N] [...]``.

Coverage-guided by atheris (``pip install atheris``), which sees the interpreted form; the
compiled one is fed with the same changes of the same seeds. TARGET is one of `TARGETS` in
`support.fuzz_loop_targets`, or several with commas between them; the options are libFuzzer's, such
as ``-max_total_time=600``. Without a CORPUS folder the run starts from the seeds and keeps nothing.
"""

from collections.abc import Iterable
from types import FunctionType, ModuleType

import atheris
from support.fuzzing import Target, main

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


def prepare(name: str) -> tuple[Target, list[bytes]]:
    """A target and its seeds."""
    if name in ("interpreted", "both"):
        watch(modules().values())
    return TARGETS[name], seeds()


if __name__ == "__main__":
    assert __doc__ is not None
    limits = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=16384"]
    main(__doc__, TARGETS, prepare, limits)
