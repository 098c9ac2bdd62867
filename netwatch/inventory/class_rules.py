"""Which class a device of a register has, by what the register says of it: role, tag, folder.

A register knows nothing of classes. The configuration maps what it does know: a list of rules, of
which the first that fits gives the class. A rule fits if each of its attributes has one of the
values that it lists. Values are compared without case, and may have ``*`` and ``?``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from netwatch.core.verdict import DeviceClass

MAX_DN = 8192
"""Characters of a distinguished name; a longer one is in no folder."""

MAX_FOLDERS = 64
"""Folders above an entry that rules are compared with, from the uppermost one down."""

MAX_VALUE = 1024
"""Characters of a value that rules are compared with."""

Attributes = Mapping[str, Sequence[str]]
"""What a register says of a device: the values of each attribute."""

ATTRIBUTES: Mapping[str, str] = {
    "name": "the name of the device in the register",
    "role": "NetBox: the slug of its role",
    "tag": "NetBox: the slug of one of its tags",
    "tenant": "NetBox: the slug of its tenant",
    "site": "NetBox: the slug of its site",
    "platform": "NetBox: the slug of its platform",
    "type": "NetBox: the slug of its device type",
    "status": "NetBox: its status, such as `active`",
    "os": "directory: `operatingSystem`",
    "under": "directory: the distinguished name of a folder (OU) that it is in, at any depth",
}
"""The attributes that a rule may ask for, each with a description."""


@dataclass(frozen=True, slots=True)
class ClassRule:
    """A class, and what a device must have for it: attributes with the patterns (in lower case) of
    which one has to fit. A rule without attributes fits every device."""

    device_class: DeviceClass
    wanted: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def fits(self, attributes: Attributes) -> bool:
        """Whether a device with these attributes has the class."""
        return all(
            any(
                fnmatchcase(value[:MAX_VALUE].lower(), pattern)
                for value in attributes.get(name, ())
                for pattern in patterns
            )
            for name, patterns in self.wanted
        )


def class_by(rules: Sequence[ClassRule], attributes: Attributes) -> DeviceClass | None:
    """The class by the first rule that fits; None where none does, for the class of its network."""
    return next((rule.device_class for rule in rules if rule.fits(attributes)), None)


def pattern_of(attribute: str, text: str) -> str:
    """A value of a rule as values are compared with it."""
    return folded_dn(text) if attribute == "under" else text.strip().lower()


def folders_of(dn: str) -> list[str]:
    """The distinguished names above a distinguished name, from the nearest one up."""
    parts = _split_dn(dn) if len(dn) <= MAX_DN else []
    first = max(1, len(parts) - MAX_FOLDERS)
    return [",".join(parts[at:]) for at in range(first, len(parts))]


def folded_dn(dn: str) -> str:
    """A distinguished name in lower case and without blanks around its parts."""
    return ",".join(_split_dn(dn))


def _split_dn(dn: str) -> list[str]:
    """The relative distinguished names of a name (RFC 4514 section 2.1): a comma separates them
    unless an odd number of backslashes is before it."""
    parts = dn.lower().split(",")
    found = parts[:1]
    for part in parts[1:]:
        before = found[-1]
        if (len(before) - len(before.rstrip("\\"))) % 2:
            found[-1] = f"{before},{part}"
        else:
            found.append(part)
    return [*map(str.strip, found)]
