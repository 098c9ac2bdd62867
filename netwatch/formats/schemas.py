"""The JSON Schemas of netwatch's own records (draft 2020-12), as they are shipped."""

from importlib import resources

SCHEMAS = ("alert", "observation", "coverage")
"""By the record that each describes; ``NAME.json`` in ``netwatch/schemas/``."""


def text(name: str) -> str:
    """The schema of a record as JSON. Keys may be added to records, so the schemas allow
    others than those that they name."""
    place = resources.files("netwatch") / "schemas" / f"{name}.json"
    return place.read_text(encoding="utf-8")
