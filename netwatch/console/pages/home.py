"""The way in: the first page that a role may see."""

from netwatch.console.answers import Answer, Redirect
from netwatch.console.view import View


def show(view: View) -> Answer:
    """Go to the first page of the menu."""
    return Redirect("")
