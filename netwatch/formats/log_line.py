"""A line of the log of a service: for people and journald, or as JSON for a program."""

import json
from typing import Literal, get_args

from netwatch.core.text import escaped, without_secrets
from netwatch.formats.values import rfc3339

LogFormat = Literal["text", "json"]

LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)
"""The formats of a log."""


def log_line(
    text: str, now: int, form: LogFormat = "text", *, warning: bool = False, stamped: bool = True
) -> str:
    """One line that says `text` at `now` (ns). As JSON it is an object with ``time`` (RFC 3339),
    ``level`` (``info`` or ``warning``) and ``message``. A line of text begins with its time where
    it is `stamped`: journald has its own. Secrets of URLs in the text are left out."""
    text = without_secrets(text)
    if form == "json":
        level = "warning" if warning else "info"
        return json.dumps({"time": rfc3339(now, 3), "level": level, "message": text})
    return f"{rfc3339(now, 0) + ' ' if stamped else ''}netwatch: {escaped(text)}"
