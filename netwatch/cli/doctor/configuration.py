"""Has netwatch.yaml mistakes, or a file that it names?"""

import argparse
from collections.abc import Iterator

from netwatch.cli.doctor.finding import Finding, bad, ok, warn
from netwatch.core.text import quantity


def check(args: argparse.Namespace) -> Iterator[Finding]:
    """All mistakes at once, the warnings of outputs, and the notes on what may surprise."""
    from netwatch.config import load
    from netwatch.core.errors import ConfigError

    try:
        config = load(args.config, with_secrets=True)
    except ConfigError as error:
        problems = tuple(str(problem) for problem in error.problems)
        yield bad("configuration", f"{quantity(len(problems), 'mistake')}:", *problems)
        return
    yield ok("configuration", f"{config.path or 'built-in defaults'}: no mistakes")
    for output in config.outputs:
        for warning in output.warnings():
            yield warn("configuration", str(warning))
    for note in config.notes:
        yield ok("configuration", f"note: {note}")
