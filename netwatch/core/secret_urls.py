"""What may be secret in a URL, which no message, log or record shows."""

import re

_LONGEST_SHOWN = 32
# Names of query parameters that carry a secret: of presigned URLs of S3 and Google, of SAS tokens.
_SECRET = re.compile(r"(?i)sig|token|key|secret|passw|cred|auth|policy|session|code|^s[epvrt]+$")
# Whoever is named in a URL of HTTP may be a token; that of Azure is the name of a container.
# A key may have slashes; what follows a colon and is no port is one.
_USER = re.compile(
    r"(?i)\b(https?://)[^/?#\s]*@|(://)[^/?#\s@]*:[^/?#\s]*@"
    r"|(://)[^/?#\s@:]*:(?!\d*(?:[/?#\s]|$))\S*@"
)
_PARAMETER = re.compile(r"([?&;])([^=&;\s'\"]+)=([^&;#\s'\"]*)")


def without_secrets(text: str) -> str:
    """A text, an error of a server for example, without the secrets of URLs in it: users with their
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
