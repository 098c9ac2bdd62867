"""The keys of the files that a user writes. Each is declared once, as a field of a dataclass.

The field declares the kind of value, its meaning and its default. The reader (`read_section`), the
rows of the reference and the JSON Schemas come from that. Checks between keys are code next to the
dataclass. `netwatch.core.value_kinds` has the kinds of values.

Dataclasses that every start needs omit what is not used, such as comparison and freezing, which
would cost a millisecond each.
"""

from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

from netwatch.core.user_yaml import Fields

REQUIRED = "required"
"""The default of a key that must be written, as the reference shows it."""

T = TypeVar("T")


@dataclass(slots=True, eq=False, repr=False)
class Kind:
    """A kind of values, in words and as a JSON Schema. `read` gives the value of a key; None if it
    is absent or wrong, which is noted. `parse` gives the value of a default as written in a file. A
    key without default has the value `empty`. `below` is the dataclass that declares the keys of
    nested mappings, and `place` where these are: in the value itself (empty), in each item of a
    list (``[]``), under each name of a mapping (``.*``), or next to the key, which is then None
    (``=``)."""

    words: str
    schema: Mapping[str, Any]
    read: Callable[[Fields, "Key", Path], Any]
    parse: Callable[[str], Any] | None = None
    empty: Any = None
    below: type | None = None
    place: str = ""


@dataclass(slots=True, eq=False, repr=False)
class Key:
    """A key: its name, the kind of its values, what it means in one line, and its default as the
    reference shows it. `required` is the expected value if the key must be written, otherwise
    empty. `written` is the default as in a file, None if it cannot be written. Texts may contain
    Markdown code spans."""

    name: str
    kind: Kind
    description: str
    default: str = "none"
    required: str = ""
    written: Any = None

    @property
    def type(self) -> str:
        """The kind in words."""
        return self.kind.words


@dataclass(slots=True, eq=False, repr=False)
class Section:
    """The keys of one mapping. `path` is where the mapping is in its file (``networks[]`` is an
    entry of the list ``networks``; empty is the top level)."""

    path: str
    keys: tuple[Key, ...]


def key(
    kind: Kind,
    description: str,
    default: Any = None,
    *,
    name: str = "",
    shown: str = "",
    words: str = "",
    required: str = "",
) -> Any:
    """A field of a dataclass that is a key of a file, called like the field unless `name` is given.
    `default` is as in a file; the reference shows `shown` instead, and `words` instead of the words
    of the kind."""
    kind = replace(kind, words=words) if words else kind
    words_of_default = str(default).lower() if isinstance(default, bool) else default
    usual = "none" if default is None else f"`{words_of_default}`"
    shown = shown or (REQUIRED if required else usual)
    declared = Key(name, kind, description, shown, required, default)
    value = kind.empty if default is None else default
    if isinstance(default, str) and kind.parse is not None:
        value = kind.parse(default)
    metadata = {"key": declared, "absent": value}
    if isinstance(value, dict):
        return field(default_factory=value.copy, metadata=metadata)
    return field(default=value, metadata=metadata)


@cache
def keys_of(declaring: Any) -> tuple[tuple[str, Any, Key], ...]:
    """The keys that a dataclass declares: for each the name of its field, the value if the key is
    absent, and the key. A field's trailing ``_`` is not part of its key."""
    return tuple(
        (
            each.name,
            each.metadata["absent"],
            replace(found, name=found.name or each.name.rstrip("_")),
        )
        for each in fields(declaring)
        if (found := each.metadata.get("key")) is not None
    )


def read_keys(declaring: type[T], entry: Fields, base: Path) -> T:
    """The values of the keys that a dataclass declares, from a mapping that may have other keys.
    Mistakes are noted, and the value is then the default. Relative paths count from `base`."""
    values, declares = {}, cast(Hashable, declaring)
    for name, default, declared in keys_of(declares):
        value = declared.kind.read(entry, declared, base)
        values[name] = default if value is None else value
    return declaring(**values)


def read_section(declaring: type[T], entry: Fields, base: Path) -> T:
    """Like `read_keys`, for a mapping without other keys."""
    found = read_keys(declaring, entry, base)
    entry.reject_unknown()
    return found


def read_key(declaring: type, name: str, entry: Fields, base: Path) -> Any:
    """The value of one of the keys that a dataclass declares."""
    default, declared = next((each[1:]) for each in keys_of(declaring) if each[2].name == name)
    value = declared.kind.read(entry, declared, base)
    return default if value is None else value


def know_keys(declaring: type, entry: Fields) -> None:
    """Mark the keys that a dataclass declares as known, so that none of them is a mistake."""
    for _, _, declared in keys_of(declaring):
        entry.value(declared.name)


def nested(
    declaring: type, subject: str = "", check: Callable[..., Any] | None = None, empty: Any = None
) -> Kind:
    """A mapping with keys of its own; messages call it `subject`, or like its key. `check` gets the
    result, its fields and the base, notes what is wrong between keys, and returns the value."""

    def read(entry: Fields, declared: Key, base: Path) -> Any:
        part = entry.nested(declared.name, subject or declared.name)
        return None if part is None else _checked(declaring, part, base, check)

    return Kind("mapping", {"type": "object"}, read, empty=empty, below=declaring)


def mappings(
    declaring: type,
    subject: str,
    check: Callable[..., Any] | None = None,
    words: str = "list of mappings",
    empty: Any = (),
) -> Kind:
    """A list of mappings with keys of their own; messages call each `subject`. `check` is as in
    `nested`; items for which it returns None are left out. None if the key is absent."""

    def read(entry: Fields, declared: Key, base: Path) -> Any:
        if entry.value(declared.name, declared.required) is None:
            return None
        return tuple(
            entry.build_each(
                declared.name, lambda part: _checked(declaring, part, base, check), subject
            )
        )

    schema = {"type": "array", "items": {"type": "object"}}
    return Kind(words, schema, read, empty=empty, below=declaring, place="[]")


def beside(declaring: type, check: Callable[..., Any] | None = None) -> Kind:
    """The keys that a dataclass declares for several mappings, in the same mapping; `check` is as
    in `nested`."""

    def read(entry: Fields, _: Key, base: Path) -> Any:
        found: Any = read_keys(declaring, entry, base)
        return found if check is None else check(found, entry, base)

    return Kind("", {}, read, empty=declaring(), below=declaring, place="=")


def _checked(declaring: type, part: Fields, base: Path, check: Callable[..., Any] | None) -> Any:
    found: Any = read_section(declaring, part, base)
    return found if check is None else check(found, part, base)


def sections(path: str, *declaring: type) -> Iterator[Section]:
    """The mapping at `path` whose keys dataclasses declare, and those below it."""
    below: list[Section] = []
    found: list[Key] = []
    for each in declaring:
        _collect(path, each, found, below)
    yield Section(path, tuple(found))
    yield from below


def _collect(path: str, declaring: type, found: list[Key], below: list[Section]) -> None:
    for _, _, declared in keys_of(declaring):
        inner = declared.kind.below
        if declared.kind.place == "=" and inner is not None:
            _collect(path, inner, found, below)
            continue
        found.append(declared)
        if inner is not None:
            place = f"{path}.{declared.name}".lstrip(".") + declared.kind.place
            below.extend(sections(place, inner))
