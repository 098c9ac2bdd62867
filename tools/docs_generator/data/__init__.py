"""Tables of the documentation whose words are not in the code; tests compare them with the code."""

from functools import cache
from pathlib import Path
from typing import Any

import yaml


@cache
def rows(name: str) -> dict[str, Any]:
    """The tables in ``NAME.yaml``, by name."""
    text = (Path(__file__).parent / f"{name}.yaml").read_text(encoding="utf-8")
    tables: dict[str, Any] = yaml.safe_load(text)
    return tables
