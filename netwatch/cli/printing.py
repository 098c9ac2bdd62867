"""How commands print: text only reaches standard output and standard error from here.

Every line goes through `netwatch.core.text.escaped`, because any of them may contain a file name, a
name from a packet, a value of the configuration or the text of an exception. For the same reason
the secrets of URLs are removed.
"""

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Self, TextIO

from netwatch.core.tabular import aligned, terminal_width
from netwatch.core.text import ESCAPE_UNENCODABLE, escaped

_BATCH = 512
"""Lines to print at once if there are very many."""

_NARROWEST = 20
"""Columns of a text behind a label, however narrow the terminal is."""


def print_line(text: str = "") -> None:
    """Print one line of a result on standard output."""
    print(_shown(text))


def _shown(text: str) -> str:
    """A line without passwords and tokens of URLs in it, which errors of libraries repeat, too."""
    if "://" in text:
        from netwatch.core.text import without_secrets

        text = without_secrets(text)
    return escaped(text)


def print_value(label: str, text: str, *, is_message: bool = False) -> None:
    """Print a text for people behind its label, as a result or a message. What does not fit the
    terminal goes on below the text; a word is never divided, so that URLs can be copied."""
    printed = print_message if is_message else print_line
    for line in _fitted(label, text, _width(sys.stderr if is_message else sys.stdout)):
        printed(line)


def _fitted(label: str, text: str, width: int | None) -> Iterable[str]:
    if width is None or len(label) + len(text) <= width:
        return (f"{label}{text}".rstrip(),)
    import textwrap

    return textwrap.wrap(
        _shown(text),
        max(width, len(label) + _NARROWEST),
        initial_indent=label,
        subsequent_indent=" " * len(label),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _width(stream: TextIO | None) -> int | None:
    return None if stream is None else terminal_width(stream)


class Lines:
    """Prints many lines of a result, in batches: a call for each line takes longer than producing
    it. On a terminal each line is printed at once. A context manager, which prints the remaining
    lines, also if the user interrupts it."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._batch = 1 if sys.stdout is not None and sys.stdout.isatty() else _BATCH
        self._width = _width(sys.stdout)

    def line(self, text: str) -> None:
        """Print a line, as `print_line` does."""
        self._add(escaped(text))

    def value(self, label: str, text: str) -> None:
        """Print a text behind its label, as `print_value` does."""
        for line in _fitted(label, text, self._width):
            self.line(line)

    def record(self, record: Mapping[str, Any]) -> None:
        """Print a record, as `print_record` does."""
        self._add(self._json_line(record))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind in (None, KeyboardInterrupt):
            self._print()

    def _add(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) >= self._batch:
            self._print()

    def _print(self) -> None:
        if self._lines:
            print("\n".join(self._lines))
            self._lines.clear()

    @cached_property
    def _json_line(self) -> Callable[[Mapping[str, Any]], str]:
        from netwatch.formats.values import json_line

        return json_line


def print_columns(rows: Sequence[tuple[str, ...]], indent: int = 0) -> None:
    """Print rows in aligned columns; a last column of numbers is right-aligned. Each line begins
    with `indent` spaces. On a terminal the columns fit."""
    is_number = all(row[-1].isdigit() for row in rows[1:])
    width = _width(sys.stdout)
    fitting = None if width is None else width - indent
    for line in aligned(rows, [len(rows[0]) - 1] if is_number else [], fitting):
        print_line(" " * indent + line)


def print_record(record: Mapping[str, Any]) -> None:
    """Print a record on standard output, as one line of JSON."""
    from netwatch.formats.values import json_line

    print(json_line(record))


def print_message(text: str) -> None:
    """Print one line on standard error. Nothing fails if that was closed."""
    with contextlib.suppress(OSError):
        print(_shown(text), file=sys.stderr)


def print_error(text: str) -> None:
    """Print an error on standard error, in the common form: ``netwatch: PLACE: what is wrong; what
    to do``. The place is a file with its line, an option or a command, if there is one."""
    if command := re.match(r"netwatch (?=[a-z]+(?: [a-z]+)*: )|netwatch: ", text):
        text = text[command.end() :]
    print_message(f"netwatch: {text}")


def ask(prompt: str) -> str:
    """The line that the user types after a prompt on standard error, without surrounding blanks.
    Raises `EOFError` at the end of the input."""
    print(escaped(prompt), end="", file=sys.stderr, flush=True)
    return input().strip()


def replace_closed_streams() -> None:
    """Open the null device for closed standard input, output and error, so that no file or socket
    gets their descriptors. What is printed on standard error is then discarded. `sys.stdout` stays
    None, because records must not be silently discarded."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def escape_unencodable() -> None:
    """Make standard output and standard error escape characters missing in their encoding, as
    `escaped` does, instead of failing. Inside JSON the escape is read back unchanged."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # On Windows a file or pipe would get the code page of the machine.
            encoding = "utf-8" if sys.platform == "win32" else None
            stream.reconfigure(encoding=encoding, errors=ESCAPE_UNENCODABLE)
