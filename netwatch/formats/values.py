# cython: language_level=3
"""How times, addresses and hostile text are written, in one place for all formats."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython
import orjson

from netwatch.core.community_id import community_id

if not cython.compiled:
    from netwatch.core.observation import Observation
else:
    from cython.cimports.netwatch.core.observation import Observation

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PROTOCOLS = {"tcp": 6, "udp": 17}

# Control characters, what turns or hides text around it (Unicode TR 36 and TR 9), line
# and paragraph separators, and halves of surrogate pairs, which no encoding takes.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def rfc3339(time: cython.longlong, digits: cython.int) -> str:
    """A time in ns since the epoch as RFC 3339, UTC, with `digits` (0 to 9) digits of the
    second's fraction; finer ones are cut, not rounded."""
    seconds: cython.longlong = time // 1_000_000_000
    fraction: cython.longlong = time % 1_000_000_000
    if not digits:
        return f"{_second(seconds)}Z"
    return f"{_second(seconds)}.{fraction:09d}"[: 20 + digits] + "Z"


@lru_cache(1024)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(1024)
def epoch_ns(text: str) -> int:
    """A time as `rfc3339` writes it, back in ns since the epoch."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    seconds = (datetime.fromisoformat(whole).replace(tzinfo=UTC) - _EPOCH) // timedelta(seconds=1)
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0"))


def endpoint(ip: str, port: int) -> str:
    """Address and port as one word; IPv6 in brackets (RFC 3986 section 3.2.2)."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def observation_flow(obs: Observation) -> str:
    """The Community ID of the flow that an observation comes from."""
    proto = _PROTOCOLS[obs.transport]
    return community_id(obs.client_ip, obs.server_ip, obs.client_port, obs.server_port, proto)


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def json_line(record: Mapping[str, Any]) -> str:
    """A record as compact JSON on one line, with every character that could break a line,
    steer a terminal or turn other text around written as ``\\u202e``. Halves of surrogate
    pairs, which strict readers refuse with the whole record (RFC 7493 section 2.1), become
    text: a backslash, ``udcff``."""
    try:
        raw = orjson.dumps(record)
    except orjson.JSONEncodeError:
        return _UNSAFE.sub(_escape_in_json, _encode(record))
    text = raw.decode()
    # Of ASCII it leaves DEL alone as it is.
    if raw.isascii() and b"\x7f" not in raw:
        return text
    return _UNSAFE.sub(_escape_in_json, text)


def escaped(text: str) -> str:
    """Text with every character that could break a line, steer a terminal or turn other
    text around written as JSON writes it (``\\u202e``), beyond U+FFFF as two of these."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape, text)


_LOOKALIKE = re.compile(r"\\(?=u[0-9a-f]{4})")


def plain(text: str, special: str = "") -> str:
    """Text for formats without an escape of their own: as `escaped`, and so are a space at
    either end and the characters of `special`. A backslash that would read as such an
    escape is written as one, so what was written can be told from what was escaped."""
    if "\\" in text:
        text = _LOOKALIKE.sub(r"\\u005c", text)
    for char in special:
        text = text.replace(char, f"\\u{ord(char):04x}")
    text = escaped(text)
    if text.startswith(" "):
        text = f"\\u0020{text[1:]}"
    return f"{text[:-1]}\\u0020" if text.endswith(" ") else text


def joined(items: Iterable[str], limit: int, special: str = "") -> str:
    """Words apart by a space, each written as by `plain`, with no space inside; those that
    do not fit into `limit` characters are left off and counted: ``a b +3``."""
    words = [plain(item, f" {special}") for item in items]
    size = 0
    for number, word in enumerate(words):
        size += len(word) + 1
        if size > limit - 8:
            return " ".join([*words[:number], f"+{len(words) - number}"])
    return " ".join(words)


def cut(text: str, limit: int) -> str:
    """The text, of at most `limit` characters; three dots tell that there was more."""
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"


def _escape_in_json(match: re.Match[str]) -> str:
    half = "\ud800" <= match.group() <= "\udfff"
    return f"\\{_escape(match)}" if half else _escape(match)
