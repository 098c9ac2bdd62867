"""The formats of public lists."""

from docs_generator.markdown import table
from netwatch.lists.reader import LIST_FORMATS


def formats_block(_: str) -> str:
    """The formats that `signatures drift` and `signatures import` read."""
    rows = [[f"`{word}`", form.summary] for word, form in LIST_FORMATS.items()]
    return table(("format", "lines"), rows)
