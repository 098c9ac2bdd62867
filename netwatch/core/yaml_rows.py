"""Rows of YAML: lines such as ``- {suffix: tiktok.com, role: exclusive, sources: [v2fly]}``.

Long lists (the domains of a signature, networks) are written as one mapping a line. For the YAML
parser such a line is a dozen tokens; here it is one match of an expression that describes a small
part of YAML, whose meaning does not depend on anything else in the file. `take_rows` takes such
lines out of a text and leaves `PLACEHOLDER` for each of them, so that the parser still decides
where in the document they are. Every other way to write a mapping is left to the parser.
"""

import re
from array import array
from collections.abc import Iterator

from netwatch.core.yaml_scalars import Scalar, read_plain

PLACEHOLDER = "0"
"""What is left in the text for a row. Unlike quotes, it does not end a quoted text that goes over
several lines, and it contains no row."""

# No quantifier gives back what it took (`*+`), so a match takes time in proportion to the line.
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


class Row:
    """A mapping in one line; `text` is how it is written, from ``{`` to ``}``."""

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
    """The text with placeholders in place of rows, the lines (from 1) of the rows, and the rows.

    Only line feeds may break lines, since YAML counts further characters as line breaks; where
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
