"""The kinds of incidents as receivers name and rank them, and the files that docs/siem ships."""

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from netwatch.core.alert import IncidentKind
from netwatch.core.verdict import Severity
from netwatch.explain.wording import KINDS as MEANINGS

ROOT = Path(__file__).resolve().parents[2]
SIEM = ROOT / "docs" / "siem"

KINDS: tuple[IncidentKind, ...] = get_args(IncidentKind)
"""All kinds of incidents."""

MEANING: Mapping[str, str] = {kind: MEANINGS[kind] for kind in KINDS}
"""What each kind means, such as *the app itself was used*."""

_LEVELS: Mapping[str, Severity] = {"session": "high", "embed": "low", "lookup": "low"}


def level(kind: str) -> Severity:
    """The severity of a violation of a kind, for receivers that have one for each rule."""
    return _LEVELS.get(kind, "medium")


def shipped(path: str) -> str:
    """The text of a file below docs/siem."""
    return (SIEM / path).read_text(encoding="utf-8")
