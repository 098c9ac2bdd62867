"""Pages with generated parts: find them, fill them in."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]

Block = Callable[[str], str]
"""Gives the Markdown of a part; takes the words after the name in its marker."""

_PART = re.compile(
    r"^(?P<start><!-- generated: (?P<name>[\w-]+) ?(?P<arguments>.*?) ?-->)\n"
    r"(?P<body>.*?)^(?P<end><!-- end -->)$",
    re.MULTILINE | re.DOTALL,
)


def documents() -> list[Path]:
    """The pages that may have generated parts, sorted."""
    others = [ROOT / "README.md", ROOT / "bench" / "situations.md"]
    return sorted([*others, *(ROOT / "docs").rglob("*.md")])


def parts(text: str) -> Iterator[tuple[str, str]]:
    """Name and arguments of each generated part of a page."""
    for found in _PART.finditer(text):
        yield found["name"], found["arguments"]


def filled(text: str, blocks: Mapping[str, Block]) -> str:
    """The page with every generated part written anew.

    Raises `ValueError` for a part whose name is not in `blocks`, and for a marker that has no
    end.
    """

    def fill(found: re.Match[str]) -> str:
        block = blocks.get(found["name"])
        if block is None:
            raise ValueError(f"no generated part is called {found['name']!r}")
        return f"{found['start']}\n\n{block(found['arguments']).strip()}\n\n{found['end']}"

    if text.count("<!-- generated:") != len(list(_PART.finditer(text))):
        raise ValueError("a generated part has no '<!-- end -->'")
    return _PART.sub(fill, text)
