"""The keys of netwatch.yaml, of its outputs, of signature files and of ban files."""

from docs_generator.data import rows
from docs_generator.markdown import code, table


def keys() -> set[str]:
    """Every key that is described, without the path before it."""
    tables = [*rows("configuration").values(), *rows("outputs").values()]
    spelled = {key for part in tables for row in part for key in _split(row[0])}
    return {part.removesuffix("[]") for key in spelled for part in key.split(".")}


def output_types() -> set[str]:
    """The types of outputs that are described."""
    return set(rows("outputs")) - {"every", "tls"}


def keys_block(section: str) -> str:
    """The keys of a section of netwatch.yaml, of a signature file or a ban."""
    return _table(rows("configuration")[section])


def output_block(kind: str) -> str:
    """The keys of a type of output, of all of them (``every``) or of ``tls``."""
    return _table(rows("outputs")[kind])


def _table(part: list[list[str]]) -> str:
    return table(
        ("key", "type", "default", "meaning"),
        ([code(*_split(row[0])), *row[1:]] for row in part),
    )


def _split(keys: str) -> list[str]:
    return [key.strip() for key in keys.split(",")]
