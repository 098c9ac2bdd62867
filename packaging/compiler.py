"""Whether this machine can compile an extension of Python, and if not, what is missing.

`python packaging/compiler.py` prints that, and exits with 1. It needs only the standard library,
because the Makefile asks it before anything is installed.
"""

import os
import shlex
import subprocess
import sys
import sysconfig

_PROGRAM = "#include <stdlib.h>\n#include <Python.h>\n"


def fault() -> str:
    """What the compiler says of a program that includes the headers of C and of Python; empty if
    nothing is wrong with it."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    include = sorted({sysconfig.get_path(each) for each in ("include", "platinclude")})
    command = [*compiler, *(f"-I{each}" for each in include), "-fsyntax-only", "-x", "c", "-"]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, input=_PROGRAM, env=environment, capture_output=True, text=True, check=False
        )
    except OSError as error:
        return f"{compiler[0]}: {error.strerror}"
    if done.returncode == 0:
        return ""
    errors = [line for line in done.stderr.splitlines() if "error" in line]
    return errors[0] if errors else f"{compiler[0]} fails with exit status {done.returncode}"


if __name__ == "__main__":
    sys.exit(fault() or 0)
