"""The JSON Schemas (draft 2020-12) of netwatch's own records, and of the files that a user writes,
as shipped in the package."""

from importlib import resources

SCHEMAS = ("alert", "observation", "coverage", "case", "report", "silence")
"""The records that have a schema; each is in ``netwatch/schemas/NAME.json``."""

FILE_SCHEMAS = ("config", "signature", "ban", "inventory")
"""The files that have one, which is generated from the declarations of their keys."""


def text(name: str) -> str:
    """The schema of a record or a file as JSON text. Those of records allow keys that they do not
    name, because later versions of netwatch may add keys to a record."""
    path = resources.files("netwatch") / "schemas" / f"{name}.json"
    return path.read_text(encoding="utf-8")
