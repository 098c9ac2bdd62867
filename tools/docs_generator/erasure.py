"""What is where of a person, and how it goes."""

from docs_generator.markdown import table
from netwatch.cli.erasure_places import PLACES

_REACH = {
    "erased": "erased",
    "sealed": "sealed",
    "nobody": "not about the person",
    "not reached": "**not reached**",
}


def block(arguments: str) -> str:
    """All places. There are no arguments."""
    rows = [(each.what, each.where, _REACH[each.reach], each.how) for each in PLACES]
    return table(("what", "where", "`store erase`", "how"), rows)
