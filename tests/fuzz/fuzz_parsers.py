"""Fuzz one parser: ``python tests/fuzz/fuzz_parsers.py TARGET [CORPUS] [-runs=N] [...]``.

Coverage-guided by atheris (``pip install atheris``). TARGET is one of `TARGETS` in
`fuzz_targets`; the options are libFuzzer's, such as ``-max_total_time=600``. Without a
CORPUS folder the run starts from the seeds and keeps nothing.
"""

import shlex
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["netwatch", "hpack"]):
    from support.fuzz_targets import TARGETS, seeds


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"{__doc__}\nTargets: {', '.join(TARGETS)}")
    # libFuzzer starts itself again by its first word, to merge
    itself = shlex.join([sys.executable, *sys.argv[:2]])
    name = sys.argv.pop(1)
    with tempfile.TemporaryDirectory() as folder:
        for at, seed in enumerate(seeds(name)):
            (Path(folder) / f"seed-{at}").write_bytes(seed)
        limits = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=8192"]
        atheris.Setup([itself, *limits, *sys.argv[1:], folder], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
