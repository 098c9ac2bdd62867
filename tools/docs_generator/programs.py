"""Programs of the repository as a page shows them, so that what is tested is what is shown."""

from docs_generator.pages import ROOT


def block(path: str) -> str:
    """A Python program, by its path from the root."""
    return f"```python\n{(ROOT / path).read_text(encoding='utf-8').rstrip()}\n```"
