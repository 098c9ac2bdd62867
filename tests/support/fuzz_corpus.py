"""Stored inputs of the fuzzer: small ones that reach code which the seeds do not reach.

``tests/fuzz/corpus/`` contains a file for each target, one input a line in base64, so that a short
run starts where long runs ended. All inputs derive from seeds that are made by code, never from
captured traffic. To renew a file after a run that wrote its findings to FOLDER::

    make fuzz-corpus TARGET=tls CORPUS=FOLDER
"""

import base64
import subprocess
import sys
import tempfile
from pathlib import Path

from support.paths import FUZZ

MAX_BYTES = 1536
"""Bytes of stored inputs for a parser; the smallest inputs are stored."""
MAX_BYTES_OF_LOOP = 6144
"""The same for the packet loop, whose inputs are captures."""


def load(target: str) -> list[bytes]:
    """The stored inputs of a target, none where it has no file."""
    path = _file(target)
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return [base64.b64decode(line, validate=True) for line in lines]


def smallest(inputs: list[bytes], limit: int) -> list[bytes]:
    """The smallest different inputs that together have at most `limit` bytes."""
    chosen = []
    for each in sorted(set(inputs), key=lambda each: (len(each), each)):
        limit -= len(each)
        if limit < 0:
            break
        chosen.append(each)
    return chosen


def script(target: str) -> Path:
    """The program that fuzzes a target."""
    from support.fuzz_targets import TARGETS

    return FUZZ / ("fuzz_parsers.py" if target in TARGETS else "fuzz_loop.py")


def renew(target: str, folder: str) -> None:
    """Store those inputs of a folder that libFuzzer needs to reach all that the folder reaches."""
    from support.fuzz_targets import TARGETS

    with tempfile.TemporaryDirectory() as merged:
        command = [sys.executable, str(script(target)), target]
        subprocess.run([*command, "-set_cover_merge=1", merged, folder], check=True)
        found = [path.read_bytes() for path in Path(merged).iterdir()]
    chosen = smallest(found, MAX_BYTES if target in TARGETS else MAX_BYTES_OF_LOOP)
    lines = [base64.b64encode(each).decode() + "\n" for each in chosen if each]
    _file(target).parent.mkdir(exist_ok=True)
    _file(target).write_text("".join(lines), encoding="ascii")
    print(f"{target}: stored {len(lines)} of {len(found)} inputs")


def _file(target: str) -> Path:
    return FUZZ / "corpus" / f"{target}.txt"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    renew(*sys.argv[1:])
