"""Anomalies, from the mapping in the code."""

from docs_generator.markdown import code, listed
from netwatch.core.statistics import ANOMALIES


def block(_: str) -> str:
    """All anomalies."""
    return listed((code(name), "", text) for name, text in ANOMALIES.items())
