"""What libraries of object stores and their servers say is wrong, in words and without secrets.

fsspec has no class of its own for errors: what is raised is that of the library of each provider,
of its HTTP client, or of the system. `raising` is therefore the one place that catches everything.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from netwatch.core.secret_urls import without_secrets

_LONGEST = 200
_DENIED = "access is denied"
_CHANGED = "it has changed since it was listed"
_CODES = {
    "404": "no such object or folder",
    "NoSuchKey": "no such object",
    "BlobNotFound": "no such object",
    "NoSuchBucket": "no such bucket",
    "ContainerNotFound": "no such container",
    "403": _DENIED,
    "AccessDenied": _DENIED,
    "AuthorizationFailure": _DENIED,
    "AuthorizationPermissionMismatch": _DENIED,
    "412": _CHANGED,
    "PreconditionFailed": _CHANGED,
    "ConditionNotMet": _CHANGED,
}
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (FileNotFoundError, "no such object or folder"),
    (PermissionError, _DENIED),
    (TimeoutError, "no answer in time"),
)
# The classes of libraries that may not be there.
_NAMED = dict.fromkeys(
    ("ClientPayloadError", "IncompleteReadError"), "the server ends each answer too soon"
) | {"ProxyError": "the server answered 502"}
_STATUSES = range(400, 600)
_NO_TEXT = "Operation returned an invalid status "
"""What Azure's libraries write before the reason phrase of an answer without a body."""


def reason_of(error: BaseException) -> str:
    """What a library or a server says, as a clause without secrets."""
    code, message = _answer(error)
    if code in _CODES:
        return _CODES[code]
    if code:
        said = f"the server answered {code}: {message}"
    else:
        said = next((text for kind, text in _REASONS if isinstance(error, kind)), "")
        said = said or _NAMED.get(type(error).__name__, "")
        said = said or getattr(error, "strerror", None) or _first_line(error)
    return without_secrets(" ".join(said.split()))[:_LONGEST].rstrip(" :.")


def _answer(error: BaseException) -> tuple[str, str]:
    """The code of an error that a server answered with, empty where there is none, and its text.
    That is an error of S3, or the number that HTTP has for it."""
    response = getattr(error.__cause__ or error, "response", None)
    if isinstance(response, dict):  # botocore
        answer = response.get("Error", {})
        return str(answer.get("Code", "")), str(answer.get("Message", ""))
    text = _first_line(error)
    if type(error) is OSError and text.startswith("Forbidden: "):  # gcsfs
        return "403", text
    # Of Azure, of gcsfs, and of aiohttp below gcsfs.
    numbers = (getattr(error, name, None) for name in ("status_code", "code", "status"))
    status = next((str(each) for each in numbers if _is_status(each)), "")
    named = getattr(error, "error_code", None)
    code = str(getattr(named, "value", named) or "") or status
    return code, text.removeprefix(_NO_TEXT).removesuffix(f", {status}").strip("'")


def _is_status(value: object) -> bool:
    return isinstance(value, int | str) and str(value).isdigit() and int(value) in _STATUSES


def _first_line(error: BaseException) -> str:
    """The first line of a text that may go on with traces, requests and signatures."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


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
