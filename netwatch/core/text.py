"""Numbers with their nouns, as messages and summaries show them to people."""


def quantity(count: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun in the right number: ``1 packet``, ``1,200 packets``,
    ``2 entries``. `plural` is needed where it is not the noun with an ``s`` behind it."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {plural or f'{noun}s'}"
