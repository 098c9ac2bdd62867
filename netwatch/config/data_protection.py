"""``data_protection:`` of netwatch.yaml: whom a person concerned may ask.

It stands on the pages that are written for persons concerned, and decides nothing.
"""

from dataclasses import dataclass

from netwatch.core.user_yaml import Fields


@dataclass(frozen=True, slots=True)
class DataProtection:
    """Who is responsible for the data (GDPR article 4, number 7), how the data protection officer
    is reached, and the supervisory authority; empty where it is not configured."""

    controller: str = ""
    contact: str = ""
    supervisor: str = ""


def data_protection_section(fields: Fields) -> DataProtection:
    """Whom a person concerned may ask."""
    section = fields.nested("data_protection", "data_protection")
    if section is None:
        return DataProtection()
    found = DataProtection(
        section.text("controller"), section.text("contact"), section.text("supervisor")
    )
    section.reject_unknown()
    return found
