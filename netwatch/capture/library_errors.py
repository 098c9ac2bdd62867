"""What libraries of object stores and their servers say is wrong, in words and without secrets.

fsspec has no class of its own for errors: what is raised is that of the library of each provider,
of its HTTP client, or of the system. `raising` is therefore the one place that catches everything.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from netwatch.capture.locations import without_secrets

_LONGEST = 200
_CODES = {
    "404": "no such object or folder",
    "NoSuchKey": "no such object",
    "NoSuchBucket": "no such bucket",
    "403": "access is denied",
    "AccessDenied": "access is denied",
    "412": "it has changed since it was listed",
    "PreconditionFailed": "it has changed since it was listed",
}
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (FileNotFoundError, "no such object or folder"),
    (PermissionError, "access is denied"),
    (TimeoutError, "no answer in time"),
)


def reason_of(error: BaseException) -> str:
    """What a library or a server says, as a clause without secrets."""
    response = getattr(error.__cause__ or error, "response", None)
    answer = response.get("Error", {}) if isinstance(response, dict) else {}
    code = str(answer.get("Code", ""))
    if code in _CODES:
        return _CODES[code]
    if code:
        said = f"the server answered {code}: {answer.get('Message', '')}"
    else:
        said = next((text for kind, text in _REASONS if isinstance(error, kind)), "")
        said = said or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return without_secrets(" ".join(said.split()))[:_LONGEST].rstrip(" :.")


@contextmanager
def raising(
    error_of: Callable[[str], Exception], *, but: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Raise what `error_of` makes of the reason where a library raises anything but `but`."""
    try:
        yield
    except but:
        raise
    except Exception as error:
        raise error_of(reason_of(error)) from None
