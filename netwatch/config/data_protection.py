"""``data_protection:`` of netwatch.yaml: whom a person concerned may ask.

It stands on the pages that are written for persons concerned, and decides nothing.
"""

from dataclasses import dataclass
from pathlib import Path

from netwatch.core.file_keys import key, read_section
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import TEXT

_BLANK = "a blank to fill in"


@dataclass(frozen=True, slots=True)
class DataProtection:
    """Who is responsible for the data (GDPR article 4, number 7), how the data protection officer
    is reached, and the supervisory authority; empty where it is not configured."""

    controller: str = key(TEXT, "who is responsible for the data", shown=_BLANK)
    contact: str = key(TEXT, "how the data protection officer is reached", shown=_BLANK)
    supervisor: str = key(TEXT, "the supervisory authority", shown=_BLANK)


def data_protection_section(fields: Fields) -> DataProtection:
    """Whom a person concerned may ask."""
    section = fields.nested("data_protection", "data_protection")
    return DataProtection() if section is None else read_section(DataProtection, section, Path())
