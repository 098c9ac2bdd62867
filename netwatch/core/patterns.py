"""Regular expressions that are compiled when they are first used.

To compile an expression takes up to some milliseconds, and a command imports dozens that it does
not use. `pattern` takes the arguments of `re.compile` and returns what is used in the same way.
"""

import re
from typing import Any, AnyStr, cast


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
        compiled = re.compile(self._text, self._flags)
        for each in self.__slots__[2:]:
            setattr(self, each, getattr(compiled, each))
        return getattr(compiled, name)


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """The pattern of a regular expression. A mistake in it is raised at its first use."""
    return cast("re.Pattern[AnyStr]", _LazyPattern(text, flags))
