"""Text as source of man pages: the ``man`` macros, as groff and mandoc read them (groff_man(7)).

Every function returns lines of that source. What is not ASCII is written as an escape, because
troff reads Latin-1; a hyphen as ``\\-``, so that options can be copied out of a page.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from netwatch import __version__

WIDTH = 78
"""Characters of a line of source; mandoc advises against more than 80."""

_ESCAPES = {
    "\\": r"\e",
    "-": r"\-",
    "'": r"\(aq",
    "`": r"\(ga",
    "^": r"\(ha",
    "~": r"\(ti",
    '"': r"\(dq",
}
_LINK = re.compile(r"\[([^\]]+)\]\([^)\s]*\)")
_CODE = re.compile(r"`([^`]+)`")
_SPACE = "\N{NO-BREAK SPACE}"


def escape(text: str) -> str:
    """Text that is printed as it is."""
    return "".join(
        _ESCAPES.get(char) or (char if char.isascii() else f"\\[u{ord(char):04X}]") for char in text
    )


def page(title: str, number: int, day: str, lines: Iterable[str]) -> str:
    """The source of a page of a section of the manual; `day` (YYYY-MM-DD) stands at its end."""
    release = escape(f"netwatch {__version__}")
    source = [f'.TH {escape(title.upper())} {number} {day} "{release}" "netwatch manual"']
    for line in lines:
        # A heading begins a paragraph.
        if line != ".PP" or not source[-1].startswith((".SH", ".SS")):
            source.append(line)
    return "\n".join(source) + "\n"


def section(title: str) -> str:
    """The heading of a section, in capitals."""
    return f".SH {escape(title.upper())}"


def subsection(title: str) -> str:
    """The heading of a part of a section."""
    return f'.SS "{escape(title)}"'


def paragraph(text: str) -> list[str]:
    """A paragraph of text, which may have code spans and links of Markdown."""
    return [".PP", *prose(text)]


def prose(text: str) -> list[str]:
    """The lines of a text: code spans of Markdown are bold, links are their text alone."""
    flat = " ".join(_LINK.sub(r"\1", text).split())
    pieces = _CODE.split(flat)
    spans = [
        _bold(piece) if odd % 2 else escape(piece).replace("\\(ga", "")
        for odd, piece in enumerate(pieces)
    ]
    return _filled("".join(spans))


def item(tag: str, text: str) -> list[str]:
    """A tag, which is source already, and the text that explains it."""
    return [".TP", tag, *(prose(text) or [r"\&"])]


def option_tag(spellings: Iterable[str]) -> str:
    """The tag of an option: its spellings such as ``-o FILE``, the values in italics."""
    return ", ".join(map(_spelling, spellings))


def code_tag(text: str) -> str:
    """A tag in bold."""
    return f"\\fB{escape(text)}\\fR"


def example(lines: Sequence[str]) -> list[str]:
    """Lines that are shown as they are, indented."""
    return [".RS 4", ".EX", *map(_shown, lines), ".EE", ".RE"]


def references(pages: Iterable[tuple[str, int]]) -> Iterator[str]:
    """The lines that name other pages, by name and section."""
    every = list(pages)
    for at, (name, number) in enumerate(every, 1):
        yield f".BR {escape(name)} ({number})" + ("," if at < len(every) else "")


def _spelling(text: str) -> str:
    name, _, value = text.partition(" ")
    return code_tag(name) + (f" \\fI{escape(value)}\\fR" if value else "")


def _bold(text: str) -> str:
    # A code span is one word to the wrapping of source, and none to troff.
    return f"\\fB{escape(text).replace(' ', _SPACE)}\\fR"


def _filled(source: str) -> list[str]:
    lines = textwrap.wrap(source, WIDTH, break_long_words=False, break_on_hyphens=False)
    return [_guarded(line.replace(_SPACE, " ")) for line in lines]


def _shown(line: str) -> str:
    """A line of an example; a long one goes on in the next line of source."""
    parts = textwrap.wrap(
        escape(line),
        WIDTH,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=False,
    )
    return "\\\n".join(map(_guarded, parts)) if parts else r"\&"


def _guarded(line: str) -> str:
    """A line that is text, though it begins like a request."""
    return rf"\&{line}" if line.startswith((".", "'")) else line
