"""The page for experts, as lines of at most `WIDTH` columns."""

from collections.abc import Iterator

from netwatch.explain.steps import Explanation

WIDTH = 80


def page(incident: Explanation, origin: str) -> Iterator[str]:
    """The lines of the page of an incident, which was read from `origin`."""
    yield f"Incident {incident.id}"
