"""Globs over names that a server lists, with the meaning they have on a disk.

``*``, ``?`` and ``[…]`` stand inside one part of a name, ``**`` for folders of any depth. A name or
folder that begins with a dot is hidden: only a pattern that writes the dot matches it.
"""

import fnmatch
import glob
from collections.abc import Callable, Sequence


def has_magic(pattern: str) -> bool:
    """Whether a path is a glob."""
    return glob.has_magic(pattern)


def fixed_part(pattern: str) -> tuple[str, str]:
    """The folder below which everything is that a glob can match, and how the names below it
    begin."""
    parts = pattern.split("/")
    at = next(at for at, part in enumerate(parts) if has_magic(part))
    first = parts[at]
    end = next(end for end, character in enumerate(first) if character in "*?[")
    return "/".join(parts[:at]), first[:end]


def is_hidden(name: str, folder: str) -> bool:
    """Whether a name below a folder, or a folder between the two, begins with a dot."""
    return _any_hidden(name.removeprefix(folder.rstrip("/")).split("/"))


def matcher(pattern: str) -> Callable[[str], bool | None]:
    """A function that takes the name of a file and returns True where it matches, False where it
    is below a folder that matches, else None."""
    only_folders = pattern.endswith("/")
    parts = pattern.rstrip("/").split("/")

    def match(name: str) -> bool | None:
        found = _match(parts, name.split("/"))
        return None if found and only_folders else found

    return match


def _match(parts: Sequence[str], names: Sequence[str]) -> bool | None:
    """Whether the parts of a name match those of a pattern. The states are the parts of the pattern
    that may come next, so that the time is that of both lengths multiplied."""
    states = {0}
    below = False
    for name in names:
        states = _behind_stars(parts, states)
        hidden = name.startswith(".")
        if hidden:
            below = False
        elif len(parts) in states or (len(parts) - 1 in states and parts[-1] == "**"):
            below = True
        following = set()
        for at in states:
            if at == len(parts):
                continue
            if parts[at] == "**":
                following |= set() if hidden else {at}
            elif (not hidden or parts[at].startswith(".")) and fnmatch.fnmatchcase(name, parts[at]):
                following.add(at + 1)
        states = following
    if len(parts) in states:
        return True
    return False if below else None


def _behind_stars(parts: Sequence[str], states: set[int]) -> set[int]:
    """The states, and those behind a ``**`` that stands for no folder; behind the last there is
    none, because it stands for a folder itself."""
    found = set(states)
    for at in states:
        while at < len(parts) - 1 and parts[at] == "**":
            at += 1
            found.add(at)
    return found


def _any_hidden(names: Sequence[str]) -> bool:
    return any(name.startswith(".") for name in names)
