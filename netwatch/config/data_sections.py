"""The sections of netwatch.yaml for data about people: ``store:``, ``retention:``, ``privacy:`` and
``data_protection:``.

A configuration with pseudonyms whose key cannot be read is refused as a whole: nothing may be
reported under a name that should have been hidden. Whom a person concerned may ask appears on the
pages that are written for them, and does not affect decisions.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import Key, Kind, key, read_section
from netwatch.core.file_keys import key as declare
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import TEXT, words_of
from netwatch.privacy import CLASSES, Keyring, Privacy, PseudonymKey, mode_problem
from netwatch.sinks.secrets import SECRET, parse_secret
from netwatch.store.options import Retention, StoreOptions, plain_path

_REQUIRED_CLASSES = "the classes of devices that get pseudonyms, like [personal, guest]"


def _read_key(entry: Fields, declared: Key, base: Path) -> PseudonymKey | None:
    value = entry.value(declared.name, declared.required)
    return _key(entry, value, declared.name, base, entry.line_of(declared.name))


def _read_keys(entry: Fields, declared: Key, base: Path) -> tuple[PseudonymKey, ...]:
    written = entry.sequence(declared.name)
    found = (_key(entry, value, declared.name, base, line) for line, value in written)
    return tuple(pseudonym_key for pseudonym_key in found if pseudonym_key is not None)


def _key(section: Fields, value: object, name: str, base: Path, line: int) -> PseudonymKey | None:
    """The key named by a value of the configuration."""
    if value is None:
        return None
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


_KEY = Kind("secret", SECRET.schema, _read_key)
_NULLABLE = {**SECRET.schema, "type": ["object", "null"]}
_KEYS = Kind("list of secrets", {"type": "array", "items": _NULLABLE}, _read_keys, empty=())


@dataclass(frozen=True, slots=True)
class PrivacyKeys:
    """The keys of ``privacy``."""

    pseudonyms: tuple[str, ...] = declare(
        words_of(CLASSES),
        "the classes whose devices are called by a pseudonym: `personal`, `guest`, `service`, "
        "`infrastructure`. A device that cannot be told from others has its network's",
        required=_REQUIRED_CLASSES,
    )
    key: PseudonymKey | None = declare(
        _KEY,
        "the key of the pseudonyms, `{file: path}` or `{env: NAME}`, at least 32 bytes; "
        "`netwatch store key new FILE` makes one. Others must not be able to read the file",
        required="{file: path} of a key",
    )
    previous: tuple[PseudonymKey, ...] = declare(
        _KEYS,
        "keys that it replaced, the newest first, as long as what they made has to be read",
    )


def privacy_section(fields: Fields, base: Path) -> Privacy | None:
    """Whose devices have pseudonyms, with which keys; None without the section, and if it has
    mistakes, which are noted."""
    section = fields.nested("privacy", "privacy")
    if section is None:
        return None
    before = len(fields.problems.found)
    found = read_section(PrivacyKeys, section, base)
    if section.mapping.get("pseudonyms") == []:
        section.add_problem("pseudonyms", f"'pseudonyms': expected {_REQUIRED_CLASSES}, found none")
    current, previous = found.key, found.previous
    keys = [*previous] if current is None else [current, *previous]
    if len({key.id for key in keys}) < len(keys):
        section.add_problem("previous", "'previous': expected other keys than the one in use, found"
                                        " one twice")  # fmt: skip
    if current is None or len(fields.problems.found) > before:
        return None
    return Privacy(frozenset(found.pseudonyms), Keyring(current, previous))


def retention_section(fields: Fields) -> Retention | None:
    """The retention of a store; None without the section."""
    section = fields.nested("retention", "retention")
    return None if section is None else read_section(Retention, section, Path())


_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://.+")
_DATABASES = ("postgresql://", "postgres://")


def store_section(fields: Fields, base: Path) -> StoreOptions | None:
    """The store; None without the section. A relative path counts from `base`."""
    section = fields.nested("store", "store")
    if section is None:
        return None
    found = read_section(StoreOptions, section, base)
    path, catalogue = found.path, found.catalogue
    is_url = _URL.fullmatch(path) is not None
    if catalogue and not catalogue.startswith(_DATABASES):
        section.add_problem("catalogue", "'catalogue': expected the URL of a database, like"
                                         " postgresql://user@host/netwatch")  # fmt: skip
    if is_url and not catalogue:
        section.add_problem("path", "'path': a store at a URL needs 'catalogue', the URL of a"
                                    " database like postgresql://user@host/netwatch")  # fmt: skip
    return found if is_url or not path else replace(found, path=plain_path(str(base / path)))


_BLANK = "a blank to fill in"


@dataclass(frozen=True, slots=True)
class DataProtection:
    """Who is responsible for the data (GDPR article 4, number 7), how the data protection officer
    is reached, and the supervisory authority; empty if it is not configured."""

    controller: str = key(TEXT, "who is responsible for the data", shown=_BLANK)
    contact: str = key(TEXT, "how the data protection officer is reached", shown=_BLANK)
    supervisor: str = key(TEXT, "the supervisory authority", shown=_BLANK)


def data_protection_section(fields: Fields) -> DataProtection:
    """Whom a person concerned may ask."""
    section = fields.nested("data_protection", "data_protection")
    return DataProtection() if section is None else read_section(DataProtection, section, Path())
