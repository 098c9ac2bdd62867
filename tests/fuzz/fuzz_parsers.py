"""Fuzz parsers, one or several with commas between them; ``make fuzz`` runs this program (see
`run`).

The fuzzer is atheris, guided by coverage. The targets are in `support.fuzz_targets`.
"""

import atheris
from support.fuzzing import main

with atheris.instrument_imports(include=["netwatch", "hpack"]):
    from support.fuzz_targets import TARGETS, seeds

if __name__ == "__main__":
    assert __doc__ is not None
    limits = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=8192"]
    main(__doc__, TARGETS, lambda name: (TARGETS[name], seeds(name)), limits)
