"""Text for people: numbers with their nouns, and text from outside that could do harm or is secret.

File names, interface names, host names, values of a configuration and texts of exceptions can all
contain characters that move the cursor, recolour the screen, begin a new line or reverse adjacent
text. `escaped` makes them visible; every text that is shown to people goes through it.
`without_secrets` removes what may be secret in a URL, which no message, log or record shows.
"""

import codecs
import re

ESCAPE_UNENCODABLE = "netwatch.escape"
"""The error handler (see `codecs.register_error`) that writes characters missing from an encoding
as `escaped` writes unsafe ones."""

# Control characters, characters that reorder or hide surrounding text (Unicode TR 36 and TR 9),
# line and paragraph separators, and unpaired surrogates, which UTF-8 cannot encode: Python has them
# in file names for bytes that are not UTF-8 (PEP 383).
UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
"""The characters that `escaped` escapes, one at a time."""

_LONGEST_SHOWN = 32
# Names of query parameters that carry a secret: of presigned URLs of S3 and Google, of SAS tokens.
_SECRET = re.compile(r"(?i)sig|token|key|secret|passw|cred|auth|policy|session|code|^s[epvrt]+$")
# The user name in an HTTP URL may be a token; in an Azure URL it is the name of a container. A key
# may contain slashes; text after a colon that is not a port is a key.
_USER = re.compile(
    r"(?i)\b(https?://)[^/?#\s]*@|(://)[^/?#\s@]*:[^/?#\s]*@"
    r"|(://)[^/?#\s@:]*:(?!\d*(?:[/?#\s]|$))\S*@"
)
_PARAMETER = re.compile(r"([?&;])([^=&;\s'\"]+)=([^&;#\s'\"]*)")


def escaped(text: str) -> str:
    """Text in which every character that could break a line, control a terminal or reorder
    surrounding text is written as in JSON: ``\\u202e``, and as a surrogate pair above U+FFFF.
    Escaping a text twice gives the same as escaping it once."""
    if text.isascii() and text.isprintable():
        return text
    return UNSAFE.sub(lambda match: escape_character(match.group()), text)


def storable(text: str) -> str:
    """A text without NUL and unpaired surrogates, which PostgreSQL refuses."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()


def escape_character(character: str) -> str:
    """A character as JSON escapes it: ``\\u001b``, and as a surrogate pair above U+FFFF."""
    code = ord(character)
    if code > 0xFFFF:
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"


def _escape_unencodable(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(escape_character, error.object[error.start : error.end])), error.end


codecs.register_error(ESCAPE_UNENCODABLE, _escape_unencodable)


def quantity(count: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun in singular or plural: ``1 packet``, ``1,200 packets``, ``2 entries``.
    `plural` is needed if it is not the noun plus ``s``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {plural or f'{noun}s'}"


def without_secrets(text: str) -> str:
    """A text, such as a server's error, without the secrets in its URLs: users with their
    passwords, and the values of parameters that sign or authorise a request or are long."""
    if "://" not in text:
        return text
    return _PARAMETER.sub(_parameter, _USER.sub(_without_user, text))


def _without_user(match: "re.Match[str]") -> str:
    return match[1] or match[2] or match[3]


def _parameter(match: "re.Match[str]") -> str:
    mark, name, value = match.groups()
    is_secret = _SECRET.search(name) is not None or len(value) > _LONGEST_SHOWN
    return f"{mark}{name}={'***' if is_secret else value}"


_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

EXPECTED = "lower-case letters, digits and '-', at most 63, like brussels-1"
"""The syntax of such a name, for people."""


def is_sensor_name(text: str) -> bool:
    """Whether a text can name a sensor: a lower-case label of a host name."""
    return _NAME.fullmatch(text) is not None
