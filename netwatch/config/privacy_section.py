"""``privacy:`` and ``retention:`` of netwatch.yaml.

A configuration that asks for pseudonyms and whose key cannot be read is refused as a whole: nothing
may be reported under a name that should have been hidden.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields, describe, did_you_mean
from netwatch.store.options import FOREVER, Retention

# What few configurations have is imported where it is read.
if TYPE_CHECKING:
    from netwatch.privacy.keys import PseudonymKey
    from netwatch.privacy.options import Privacy

_DAY = 86_400
_UNITS = {"d": _DAY, "y": 365 * _DAY}
_DURATION = re.compile(r"([1-9]\d{0,4})([dy])")


def privacy_section(fields: Fields, base: Path) -> "Privacy | None":
    """Whose devices have pseudonyms, by which keys; None without the section, and where it has
    mistakes, which are noted."""
    section = fields.nested("privacy", "privacy")
    if section is None:
        return None
    from netwatch.privacy.keys import Keyring
    from netwatch.privacy.options import Privacy

    before = len(fields.problems.found)
    classes = _classes(section)
    current = _key(section, section.value("key", required="{file: path} of a key"), "key", base)
    previous = [
        _key(section, value, "previous", base, line) for line, value in section.sequence("previous")
    ]
    section.reject_unknown()
    keys = [key for key in (current, *previous) if key is not None]
    ids = [key.id for key in keys]
    if len(set(ids)) < len(ids):
        section.add_problem("previous", "'previous': expected other keys than the one in use, found"
                                        " one twice")  # fmt: skip
    if current is None or len(fields.problems.found) > before:
        return None
    return Privacy(frozenset(classes), Keyring(current, tuple(keys[1:])))


def _classes(section: Fields) -> list[str]:
    from netwatch.privacy.options import CLASSES

    required = "the classes of devices that get pseudonyms, like [personal, guest]"
    found = section.texts("pseudonyms", required)
    for line, word in found:
        if word not in CLASSES:
            hint = did_you_mean(word, CLASSES)
            expected = f"one of {', '.join(CLASSES)}"
            message = f"'pseudonyms': expected {expected}, found {describe(word)}{hint}"
            section.problems.add(section.file, line, message)
    if not found and section.has("pseudonyms"):
        section.add_problem("pseudonyms", f"'pseudonyms': expected {required}, found none")
    return [word for _, word in found]


def _key(
    section: Fields, value: object, name: str, base: Path, line: int = 0
) -> "PseudonymKey | None":
    """The key that a value of the configuration names."""
    from netwatch.privacy.keys import PseudonymKey, mode_problem
    from netwatch.sinks.secrets import parse_secret

    if value is None:
        return None
    line = line or section.line_of(name)
    secret = parse_secret(value, base)
    if secret is None:
        message = f"'{name}': expected {{file: path}} or {{env: NAME}}: the key itself must not be"
        section.problems.add(section.file, line, f"{message} in this file")
        return None
    problem = mode_problem(secret.file) if secret.file is not None else ""
    if problem:
        section.problems.add(section.file, line, f"'{name}': {problem}")
        return None
    try:
        return PseudonymKey.of(secret.value())
    except NetwatchError as error:
        section.problems.add(section.file, line, f"'{name}': {error}")
        return None


def retention_section(fields: Fields) -> Retention | None:
    """How long a store keeps what; None without the section."""
    section = fields.nested("retention", "retention")
    if section is None:
        return None
    times = {name: _time(section, name) for name in Retention.__dataclass_fields__}
    section.reject_unknown()
    return Retention(**times)


def _time(section: Fields, key: str) -> int | None:
    """A time in s; None for ever, and for one that is absent or wrong, which is noted."""
    if section.value(key) in (None, "forever"):
        return FOREVER
    written = _DURATION.fullmatch(section.text(key))
    if not written:
        section.add_mismatch(key, "a number of days or years like 7d, 30d or 2y, or 'forever'")
        return FOREVER
    return int(written[1]) * _UNITS[written[2]]
