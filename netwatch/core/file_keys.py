"""The keys of the files that a user writes, as data from which the reference is generated."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its name, the type of its value in words, its default (``required`` where it must
    be written), and one line of description. Texts may contain Markdown code spans."""

    name: str
    type: str
    default: str
    description: str


@dataclass(frozen=True, slots=True)
class Section:
    """The keys of one mapping. `path` is where the mapping is in its file (``networks[]`` is an
    entry of the list ``networks``; empty is the top level), `subject` what messages call it."""

    path: str
    subject: str
    keys: tuple[Key, ...]


REQUIRED = "required"
"""The `default` of a key that must be written."""
