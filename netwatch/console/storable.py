"""Texts of clients, so that every database takes them."""


def storable(text: str) -> str:
    """A text without NUL and unpaired surrogates, which PostgreSQL refuses."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
