"""Where the observations of ``names`` and ``store query`` go, as text or as bytes."""

import argparse
import contextlib
import importlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from netwatch.cli import terminal
from netwatch.core.errors import ConfigError, Problem
from netwatch.core.installing import install_command

if TYPE_CHECKING:
    from netwatch.formats.base import ObservationWriter


@contextlib.contextmanager
def observation_writer(args: argparse.Namespace, command: str) -> Iterator["ObservationWriter"]:
    """A writer to the output in the format that was asked for, for
    `command`. Raises `ConfigError` where that
    needs an extra that is not installed, or is no text and goes to a terminal."""
    from netwatch.formats.registry import BINARY_FORMATS, FORMATS

    binary = BINARY_FORMATS.get(args.format)
    if binary is None:
        with terminal.output(args.output) as stream:
            writer = FORMATS[args.format].writer(stream)
            writer.begin("observations")
            yield writer
        return
    message = ""
    if args.output is None and sys.stdout is not None and sys.stdout.isatty():
        message = "is not text for a terminal: write it to a file with -o"
    try:
        importlib.import_module(binary.module)
    except ImportError:
        message = f"needs an extra: {install_command(binary.extra)}"
    if message:
        raise ConfigError([Problem(command, 0, 0, f"--format {args.format} {message}")])
    with terminal.binary_output(args.output) as file:
        yield binary.writer(file)
