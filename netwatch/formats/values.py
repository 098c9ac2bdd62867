"""How times, addresses and hostile text are written, in one place for all formats."""

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from netwatch.community import community_id
from netwatch.model import Observation

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PROTOCOLS = {"tcp": 6, "udp": 17}

# Control characters, what turns or hides text around it (Unicode TR 36 and TR 9), line
# and paragraph separators, and halves of surrogate pairs, which no encoding takes.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def rfc3339(time: int, digits: int) -> str:
    """A time in ns since the epoch as RFC 3339, UTC, with `digits` (0 to 9) digits of the
    second's fraction; finer ones are cut, not rounded."""
    seconds, fraction = divmod(time, 1_000_000_000)
    if not digits:
        return f"{_second(seconds)}Z"
    return f"{_second(seconds)}.{fraction:09d}"[: 20 + digits] + "Z"


@lru_cache(1024)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(16384)
def ip_text(packed: bytes) -> str:
    """A packed address (4 or 16 bytes) as text; IPv6 as in RFC 5952."""
    if len(packed) == 4:
        return ".".join(map(str, packed))
    return str(ipaddress.IPv6Address(packed))


def mac_text(packed: bytes) -> str:
    """A MAC address as lower-case hexadecimal with colons."""
    return packed.hex(":")


def endpoint(ip: str, port: int) -> str:
    """Address and port as one word; IPv6 in brackets (RFC 3986 section 3.2.2)."""
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def observation_flow(obs: Observation) -> str:
    """The Community ID of the flow that an observation comes from."""
    proto = _PROTOCOLS[obs.transport]
    return community_id(obs.client_ip, obs.server_ip, obs.client_port, obs.server_port, proto)


def escaped(text: str) -> str:
    """Text with every character that could break a line, steer a terminal or turn other
    text around written as JSON writes it (``\\u202e``), beyond U+FFFF as two of these."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
