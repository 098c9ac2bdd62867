"""Fuzz one parser; ``make fuzz`` runs this program (see `run`).

The fuzzer is atheris, guided by coverage. The targets are in `support.fuzz_targets`.
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
    # To merge corpora, libFuzzer starts itself again by its first argument.
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
