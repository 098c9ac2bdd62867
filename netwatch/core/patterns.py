"""Regular expressions that are compiled when they are first used.

To compile an expression takes up to some milliseconds, and a command imports dozens that it does
not use. `pattern` takes the arguments of `re.compile` and returns what is used in the same way.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Any, AnyStr, cast

_compile = re.compile
_is_command = False


class _LazyPattern:
    """A pattern whose methods are those of the compiled one from the first use on."""

    __slots__ = (
        "_flags",
        "_text",
        "findall",
        "finditer",
        "flags",
        "fullmatch",
        "groupindex",
        "groups",
        "match",
        "pattern",
        "scanner",
        "search",
        "split",
        "sub",
        "subn",
    )

    def __init__(self, text: str | bytes, flags: int = 0) -> None:
        self._text = text
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        # Only called while the slot is empty.
        if name not in self.__slots__:
            raise AttributeError(name)
        compiled = _compile(self._text, self._flags)
        for each in self.__slots__[2:]:
            setattr(self, each, getattr(compiled, each))
        return getattr(compiled, name)


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """The pattern of a regular expression. A mistake in it is raised at its first use."""
    return cast("re.Pattern[AnyStr]", _LazyPattern(text, flags))


@contextlib.contextmanager
def patterns_of_imports(*, is_command: bool = False) -> Iterator[None]:
    """Where a library is imported: the expressions that it compiles meanwhile are patterns like
    those of `pattern`. PyYAML compiles two dozen, for a reader that is not used where libyaml is,
    and for types that do not occur; modules of the standard library those of fallbacks that are
    used where a part is missing that is written in C.

    So it is from the first time on that it is called with `is_command`, as by the command line,
    whose process is its own. In a program that uses netwatch as a library, other threads may
    compile expressions at the same time, or import netwatch too.
    """
    global _is_command
    _is_command |= is_command
    if not _is_command:
        yield
        return
    before = re.compile
    re.compile = _LazyPattern  # type: ignore[assignment]
    try:
        yield
    finally:
        re.compile = before
