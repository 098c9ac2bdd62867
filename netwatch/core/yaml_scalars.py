"""Single values of YAML, and rows of them: lines such as ``- {suffix: tiktok.com, sources:
[v2fly]}``.

The types of values are from YAML 1.1 (text, nothing, true and false, integers, numbers, dates), as
PyYAML's resolver distinguishes them. A tag may name the type that a word has anyway, or make it a
text; any other tag is a mistake, since PyYAML raises all kinds of exceptions for values that do not
fit their tag.

Long lists (the domains of a signature, networks) are written as one mapping a line. For the YAML
parser such a line is a dozen tokens; here it is one match of a regular expression for a small part
of YAML whose meaning does not depend on the rest of the file. `take_rows` replaces such lines by
`PLACEHOLDER`, so that the parser still decides where in the document they are. Any other way to
write a mapping is left to the parser.
"""

import re
from array import array
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

MAX_NUMBER = 100
"""Characters of a number or date, at most. Longer ones take quadratic time."""

Scalar = str | bool | int | float | object | None

_PREFIX = "tag:yaml.org,2002:"
_TEXT = f"{_PREFIX}str"
_EXPECTED = {
    f"{_PREFIX}null": "nothing",
    f"{_PREFIX}bool": "true or false",
    f"{_PREFIX}int": "an integer",
    f"{_PREFIX}float": "a number",
    f"{_PREFIX}timestamp": "a date",
}
"""The types other than text, by tag, as named in messages."""

PLACEHOLDER = "0"
"""The placeholder for a row in the text. Unlike quotes, it does not end a quoted text over several
lines, and it contains no row."""

# No quantifier backtracks (`*+`), so a match takes time in proportion to the line.
_PLAIN = r"[A-Za-z0-9_][A-Za-z0-9_./*-]*+"
_QUOTED = r'"[ !#-\[\]-~]*+"'
_WORD = rf"(?:{_PLAIN}|{_QUOTED})"
_LIST = rf"\[ *+(?:{_WORD} *+(?:, *+{_WORD} *+)*+)?\]"
_KEY = r"[A-Za-z_][A-Za-z0-9_-]{0,63}+"
_PAIR = rf"{_KEY}: ++(?:{_WORD}|{_LIST}) *+"
_BODY = rf"\{{ *+{_PAIR}(?:, *+{_PAIR})*+\}}"
_ROW = re.compile(rf"^( *+- ++)({_BODY})(?: ++(?:#[^\n]*+)?)?$", re.MULTILINE)
_PAIRS = re.compile(rf"({_KEY}): ++({_WORD}|{_LIST})")
_WORDS = re.compile(_WORD)
_OTHER_BREAKS = re.compile("[\r\x85\u2028\u2029]")


class _Types(NamedTuple):
    """PyYAML's types: `patterns` has the tags and forms that a word may have, by its first
    character; `construct` makes the value of a word of a type."""

    patterns: dict[str, list[tuple[str, Callable[[str], Any]]]]
    construct: Callable[[str, str], Scalar]


@cache
def _types() -> _Types:
    # Imported here, because most commands read no YAML file that is not in the cache.
    import yaml

    constructor = yaml.constructor.SafeConstructor()
    patterns = {
        first: [(str(tag), pattern.fullmatch) for tag, pattern in resolvers if tag in _EXPECTED]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct(text: str, tag: str) -> Scalar:
        value: Scalar = constructor.yaml_constructors[tag](constructor, yaml.ScalarNode(tag, text))
        return value

    return _Types(patterns, construct)


class ScalarError(ValueError):
    """A written word has no value; the text is what was expected."""


def read_scalar(text: str, tag: str | None, *, is_plain: bool) -> Scalar:
    """The value of a written word. `tag` is the explicit one or None; `is_plain` means that the
    word is not quoted, so that it may be something other than text. Raises `ScalarError`."""
    if tag is None or tag == "!":
        return read_plain(text) if is_plain else text
    if tag == _TEXT:
        return text
    if tag not in _EXPECTED:
        raise ScalarError(f"expected a value without the tag {short_tag(tag)}")
    found = _resolve(text)
    if found != tag and not (tag.endswith(":float") and found.endswith(":int")):
        expected = _EXPECTED[tag]
        raise ScalarError(f"expected {expected}, as the tag {short_tag(tag)} requires")
    return _construct(text, tag)


def read_plain(text: str) -> Scalar:
    """The value of a word that is not quoted and has no tag. Raises `ScalarError`."""
    tag = _resolve(text)
    return text if tag == _TEXT else _construct(text, tag)


def _construct(text: str, tag: str) -> Scalar:
    if len(text) > MAX_NUMBER:
        raise ScalarError(f"expected a number or date of at most {MAX_NUMBER} characters")
    try:
        return _types().construct(text, tag)
    except (ValueError, OverflowError) as error:  # the 30th of February, digits that are all '_'
        raise ScalarError(f"expected {_EXPECTED[tag]}: {error}") from None


def is_tag_of(tag: str | None, kind: str) -> bool:
    """Whether the explicit tag of a collection matches its kind: ``map`` or ``seq``."""
    return tag in (None, "!", f"{_PREFIX}{kind}")


def short_tag(tag: str) -> str:
    """A tag as it is usually written: ``!!binary``, ``!own``."""
    return f"!!{tag.removeprefix(_PREFIX)}" if tag.startswith(_PREFIX) else tag


def _resolve(text: str) -> str:
    """The tag of an unquoted word. ``<<`` and ``=``, which have a meaning only as a key, get the
    tag of text."""
    for tag, fullmatch in _types().patterns.get(text[:1], ()):
        if fullmatch(text):
            return tag
    return _TEXT


class Row:
    """A mapping in one line; `text` is its source, from ``{`` to ``}``."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def pairs(self) -> Iterator[tuple[str, "str | list[str]"]]:
        """The keys and the values as written: words, or lists of words."""
        for key, value in _PAIRS.findall(self.text):
            yield key, _WORDS.findall(value) if value[0] == "[" else value


def read_word(written: str) -> Scalar:
    """The value of a word of a row. Raises `netwatch.core.yaml_scalars.ScalarError`."""
    return written[1:-1] if written[0] == '"' else read_plain(written)


def take_rows(text: str) -> tuple[str, "array[int]", list[Row]]:
    """The text with placeholders instead of rows, the lines (from 1) of the rows, and the rows.

    Only line feeds may break lines, since YAML counts further characters as line breaks; if
    there are others, nothing is taken.
    """
    lines = array("L")
    rows: list[Row] = []
    if _OTHER_BREAKS.search(text):
        return text, lines, rows
    parts: list[str] = []
    line, end = 1, 0
    for match in _ROW.finditer(text):
        start, stop = match.span()
        line += text.count("\n", end, start)
        lines.append(line)
        rows.append(Row(match[2]))
        parts += text[end:start], match[1], PLACEHOLDER
        end = stop
    parts.append(text[end:])
    return "".join(parts), lines, rows
