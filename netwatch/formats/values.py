# cython: language_level=3
"""How all formats write times, addresses and text chosen by a sender, and how services write their
log: lines for people and journald, or JSON for programs."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, get_args

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.text import UNSAFE, escape_character, escaped, without_secrets

LogFormat = Literal["text", "json"]

LOG_FORMATS: tuple[LogFormat, ...] = get_args(LogFormat)
"""The formats of a log."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(time: cython.longlong, digits: cython.int) -> str:
    """A time in ns since the epoch as RFC 3339 in UTC, with a fraction of `digits` (0 to 9) digits,
    truncated and not rounded."""
    seconds: cython.longlong = time // 1_000_000_000
    fraction: cython.longlong = time % 1_000_000_000
    if not digits:
        return f"{_second(seconds)}Z"
    return f"{_second(seconds)}.{fraction:09d}"[: 20 + digits] + "Z"


@lru_cache(1024)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def epoch_ns(text: str) -> int:
    """The inverse of `rfc3339`: its text as ns since the epoch."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds: int = _seconds(whole)
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0"))


@lru_cache(1024)
def _seconds(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)


def endpoint(ip: str, port: int) -> str:
    """``address:port``, with IPv6 addresses in brackets (RFC 3986 section 3.2.2). Only the address
    if the port is 0: not in a log."""
    if not port:
        return ip
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def period_texts(ban: Mapping[str, Any]) -> list[str]:
    """The periods of a ban's record, if it has several, as ISO 8601 intervals: first and last day
    with a slash between them, and ``..`` if there is no limit."""
    return [f"{each['from'] or '..'}/{each['until'] or '..'}" for each in ban.get("periods", ())]


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def json_line(record: Mapping[str, Any]) -> str:
    """A record as compact JSON on one line. Every character that could break the line, control a
    terminal or reorder surrounding text is escaped (``\\u202e``). Unpaired surrogates, for which
    strict readers refuse the whole record (RFC 7493 section 2.1), become literal text: a
    backslash and ``udcff``."""
    import orjson  # not at the top: the table needs the times and addresses of this module only

    try:
        raw = orjson.dumps(record)
    except orjson.JSONEncodeError:
        return UNSAFE.sub(_escape_in_json, _encode(record))
    return line_of(raw)


def line_of(raw: bytes) -> str:
    """The same for the JSON that orjson has made of a record."""
    text = raw.decode()
    # The only unsafe ASCII character that orjson does not escape is DEL.
    if raw.isascii() and b"\x7f" not in raw:
        return text
    return UNSAFE.sub(_escape_in_json, text)


_LOOKALIKE = re.compile(r"\\(?=u[0-9a-f]{4})")


def escape_for(text: str, special: str = "") -> str:
    """Text for formats that have no escape: like `escaped`, and in addition the characters of
    `special` and a space at either end are written as ``\\uXXXX``. A backslash that would look
    like the start of such an escape is escaped too, so decoding gives the original text."""
    if "\\" in text:
        text = _LOOKALIKE.sub(r"\\u005c", text)
    for char in special:
        text = text.replace(char, f"\\u{ord(char):04x}")
    text = escaped(text)
    if text.startswith(" "):
        text = f"\\u0020{text[1:]}"
    return f"{text[:-1]}\\u0020" if text.endswith(" ") else text


def join_words(words: Iterable[str], limit: int, special: str = "") -> str:
    """Words separated by single spaces, each escaped as by `escape_for`, including the spaces
    inside it. Words that do not fit into `limit` characters are omitted and counted at the end:
    ``a b +3``."""
    safe = [escape_for(word, f" {special}") for word in words]
    size = 0
    for number, word in enumerate(safe):
        size += len(word) + 1
        if size > limit - 8:
            return " ".join([*safe[:number], f"+{len(safe) - number}"])
    return " ".join(safe)


def truncate(text: str, limit: int) -> str:
    """The text in at most `limit` characters; three dots mark that something was cut off."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _escape_in_json(match: re.Match[str]) -> str:
    character = match.group()
    unpaired_surrogate = "\ud800" <= character <= "\udfff"
    return f"\\{escape_character(character)}" if unpaired_surrogate else escape_character(character)


def log_line(
    text: str, now: int, form: LogFormat = "text", *, warning: bool = False, stamped: bool = True
) -> str:
    """One line with `text` at `now` (ns). As JSON it is an object with ``time`` (RFC 3339),
    ``level`` (``info`` or ``warning``) and ``message``. A text line begins with its time if it is
    `stamped`: journald has its own. Secrets of URLs in the text are left out."""
    text = without_secrets(text)
    if form == "json":
        level = "warning" if warning else "info"
        return json.dumps({"time": rfc3339(now, 3), "level": level, "message": text})
    return f"{rfc3339(now, 0) + ' ' if stamped else ''}netwatch: {escaped(text)}"
