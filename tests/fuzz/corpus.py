"""Inputs that fuzzing found worth keeping: small ones that reach what the seeds do not.

`corpus/` has a file for each target, an input a line in base64, so that a short run starts
where long ones ended. They come from seeds that are made by code alone, never from captured
traffic. To renew one, after a run that kept what it found in FOLDER:

    python tests/fuzz/corpus.py TARGET FOLDER
"""

import base64
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
MOST = 1536
"""Bytes of the inputs of one parser that are kept, the smallest first."""
MOST_FRAMES = 6144
"""The same of the packet loop, whose inputs are captures."""


def kept(target: str) -> list[bytes]:
    """The inputs that are kept for a target, none where there is no file."""
    path = HERE / "corpus" / f"{target}.txt"
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return [base64.b64decode(line, validate=True) for line in lines]


def chosen(inputs: list[bytes], most: int) -> list[bytes]:
    """The smallest of some inputs, `most` bytes of them at most."""
    found = []
    for each in sorted(set(inputs), key=lambda each: (len(each), each)):
        most -= len(each)
        if most < 0:
            break
        found.append(each)
    return found


def main(target: str, folder: str) -> None:
    """Keep of a folder what libFuzzer needs for all that it reaches, as far as there is room."""
    from support.fuzz_targets import TARGETS

    script = HERE / ("fuzz_parsers.py" if target in TARGETS else "fuzz_loop.py")
    with tempfile.TemporaryDirectory() as merged:
        command = [sys.executable, str(script), target, "-set_cover_merge=1", merged, folder]
        subprocess.run(command, check=True)
        found = [path.read_bytes() for path in Path(merged).iterdir()]
    few = chosen(found, MOST if target in TARGETS else MOST_FRAMES)
    lines = [base64.b64encode(each).decode() + "\n" for each in few if each]
    (HERE / "corpus").mkdir(exist_ok=True)
    (HERE / "corpus" / f"{target}.txt").write_text("".join(lines), encoding="ascii")
    print(f"{target}: {len(lines)} of {len(found)} inputs")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
