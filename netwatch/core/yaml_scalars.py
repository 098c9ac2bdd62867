"""Single values of YAML: which type a written word has, and the value that it stands for.

The types are those of YAML 1.1 (text, nothing, true and false, integers, numbers, dates), which the
resolver of PyYAML tells apart. A tag may name the type that a word has anyway, or make text of it;
any other tag is a mistake, since PyYAML raises all kinds of exceptions for values that do not fit
their tag.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

MAX_NUMBER = 100
"""Characters of a number or date. Longer ones take time that grows with the square."""

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
"""The types other than text, by their tags, as messages name them."""


class _Types(NamedTuple):
    """What PyYAML knows of types: `patterns` has the tag and the form of those that a word may
    have, by its first character; `construct` makes the value of a word of a type."""

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
    """A written word has no value; the text says what was expected."""


def read_scalar(text: str, tag: str | None, *, is_plain: bool) -> Scalar:
    """The value of a written word. `tag` is the explicit one or None; `is_plain` says that the
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
        raise ScalarError(f"expected {expected}, as the tag {short_tag(tag)} says")
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
    """Whether the explicit tag of a collection is that of its kind: ``map`` or ``seq``."""
    return tag in (None, "!", f"{_PREFIX}{kind}")


def short_tag(tag: str) -> str:
    """A tag as it is usually written: ``!!binary``, ``!own``."""
    return f"!!{tag.removeprefix(_PREFIX)}" if tag.startswith(_PREFIX) else tag


def _resolve(text: str) -> str:
    """The tag of an unquoted word. The tags of ``<<`` and ``=``, which have a meaning only as a
    key, are those of text."""
    for tag, fullmatch in _types().patterns.get(text[:1], ()):
        if fullmatch(text):
            return tag
    return _TEXT
