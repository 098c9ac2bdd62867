"""File systems of object stores, as fsspec opens them, for captures, ledgers and stores.

Each provider has a library of its own below fsspec, with its own options, log and habits. Only this
module knows them. Nothing is imported before a URL is opened.

The libraries' logs are kept off the terminal: they report an error there with a traceback before
they raise it, and the caller reports what they raise. fsspec has no error class of its own: errors
come from each provider's library, its HTTP client, or the system. `raising` is therefore the one
place that catches everything, and describes the error in words and without secrets.
"""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from netwatch.capture.locations import has_magic, shown_url
from netwatch.core.errors import ConfigError
from netwatch.core.installing import install_command, install_library
from netwatch.core.text import without_secrets

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
# Classes of libraries that may not be installed.
_NAMED = dict.fromkeys(
    ("ClientPayloadError", "IncompleteReadError"), "the server ends each answer too soon"
) | {"ProxyError": "the server answered 502"}
_STATUSES = range(400, 600)
_NO_TEXT = "Operation returned an invalid status "
"""What Azure's libraries write before the reason phrase of an answer without a body."""

S3 = ("s3", "s3a")
GOOGLE = ("gs", "gcs")
AZURE = ("abfs", "abfss", "az")
BUCKETS = (*S3, *GOOGLE, *AZURE, "oss")
"""Schemes of URLs that begin with a bucket, which Azure calls a container."""

REPEATING = (*GOOGLE, *AZURE)
"""Schemes whose libraries repeat a request if that may help, with pauses of half a minute in total:
what they raise is final."""

TIMEOUT = 30
"""Seconds to connect to a server, and of its silence."""

LONGEST_REQUEST = 300
"""Seconds for one request and its answer, where the library has no better limit."""

_LIBRARIES = dict.fromkeys(GOOGLE, "gcsfs") | dict.fromkeys(AZURE, "adlfs")
_AZURE_SCOPE = "https://storage.azure.com/.default"
_LOGGERS = ("adlfs", "azure", "fsspec", "gcsfs", "google", "s3fs")


def reason_of(error: BaseException) -> str:
    """The text of a library or server, as a clause without secrets."""
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
    """The code of an error that a server answered with, empty if there is none, and its text. It is
    an S3 error code, or the HTTP status."""
    response = getattr(error.__cause__ or error, "response", None)
    if isinstance(response, dict):  # botocore
        answer = response.get("Error", {})
        return str(answer.get("Code", "")), str(answer.get("Message", ""))
    text = _first_line(error)
    if type(error) is OSError and text.startswith("Forbidden: "):  # gcsfs
        return "403", text
    # Of Azure, of gcsfs, and of aiohttp below gcsfs.
    numbers = (getattr(error, name, None) for name in ("status_code", "code", "status"))
    status = next((str(number) for number in numbers if _is_status(number)), "")
    named = getattr(error, "error_code", None)
    code = str(getattr(named, "value", named) or "") or status
    return code, text.removeprefix(_NO_TEXT).removesuffix(f", {status}").strip("'")


def _is_status(value: object) -> bool:
    return isinstance(value, int | str) and str(value).isdigit() and int(value) in _STATUSES


def _first_line(error: BaseException) -> str:
    """The first line of a text that may continue with traces, requests and signatures."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextmanager
def raising(
    error_of: Callable[[str], Exception], *, but: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Raise what `error_of` makes of the reason if a library raises anything but `but`."""
    try:
        yield
    except but:
        raise
    except Exception as error:  # Anything that a provider's library raises.
        raise error_of(reason_of(error)) from None


def scheme_of(url: str) -> str:
    """The scheme of a URL, in lower case."""
    return url.partition("://")[0].lower()


def authority_of(url: str) -> str:
    """The part of a URL between the scheme and the first slash."""
    return url.partition("://")[2].partition("/")[0]


def open_file_system(url: str, **options: Any) -> tuple[Any, str]:
    """The file system of a URL with the credentials of the environment, and the path in it. Raises
    `ConfigError` if fsspec cannot open the URL, it names no bucket, another Azure account than the
    credentials, or contains credentials, and if a package is missing. Exceptions of a library that
    looks for credentials pass through."""
    scheme, shown = scheme_of(url), shown_url(url)
    _check_authority(url, shown)
    _prepare(scheme)
    try:
        import fsspec

        if scheme in GOOGLE:
            options["requests_timeout"] = _google_timeout()
        # A listed file may change before it is read, so it is queried again.
        system, root = fsspec.core.url_to_fs(url, use_listings_cache=False, **options)
    except ImportError as error:
        if scheme in S3:
            hint = install_command("s3")
        elif library := _LIBRARIES.get(scheme):
            hint = install_library(library)
        else:
            hint = without_secrets(str(error))
        raise _usage(shown, f"{scheme}:// needs a package: {hint}") from None
    except ValueError as error:
        raise _usage(shown, f"expected a URL that fsspec opens: {reason_of(error)}") from None
    bucket = str(root).strip("/").partition("/")[0]
    if scheme in BUCKETS and (not bucket or has_magic(bucket)):
        raise _no_bucket(scheme, shown)
    key_file = "GOOGLE_APPLICATION_CREDENTIALS"
    if scheme in GOOGLE and system.credentials.credentials is None and os.environ.get(key_file):
        # gcsfs would go on as an anonymous user.
        raise _usage(shown, f"expected credentials that Google's library reads in ${key_file}")
    if scheme in AZURE:
        _set_up_azure(url, system, shown)
    return system, root


def _check_authority(url: str, shown: str) -> None:
    """Raise `ConfigError` if the bucket is missing, or credentials precede it."""
    scheme, authority = scheme_of(url), authority_of(url)
    if scheme not in BUCKETS:
        return
    user, has_user, _ = authority.rpartition("@")
    # CONTAINER@ACCOUNT names no user. A colon is before a password, whose rest may follow after a
    # slash, but for the names of access points of S3.
    is_password = ":" in authority and not authority.startswith("arn:")
    if is_password or (has_user and scheme not in AZURE):
        text = "expected a URL without credentials, which are taken from the environment"
        raise _usage(shown, text)
    if not authority or (has_user and not user):
        raise _no_bucket(scheme, shown)


def _set_up_azure(url: str, system: Any, shown: str) -> None:
    """Prepare an adlfs file system. Raises `ConfigError` if it would read another account than the
    URL names: a connection string in the environment overrides the URL."""
    client = system.service_client
    _, has_container, host = authority_of(url).rpartition("@")
    if has_container and client.account_name and host.partition(".")[0] != client.account_name:
        text = "expected a URL of the account whose credentials are in the environment"
        raise _usage(shown, f"{text}, {client.account_name}")
    policy = getattr(getattr(client, "_config", None), "retry_policy", None)
    if policy is not None:
        # The pauses after failed attempts are then about 3, 9 and 27 s, and not 15 s longer each.
        # adlfs passes on nothing that would set it.
        policy.initial_backoff = 0
    if hasattr(system.credential, "get_token") and not hasattr(system, "netwatch_has_token"):
        from fsspec.asyn import sync

        # If there is no identity, each request would be repeated in vain.
        sync(system.loop, system.credential.get_token, _AZURE_SCOPE)
        system.netwatch_has_token = True


def _prepare(scheme: str) -> None:
    """Set up the libraries before they are imported."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(logging.NullHandler())
    if scheme in GOOGLE:
        # gcsfs would ask another API for the kind of each bucket with each request, by gRPC and
        # with permissions that reading does not need. Only zonal buckets cannot be read without.
        os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")


def _google_timeout() -> Any:
    """The limits of a request to Google; gcsfs only has a limit for the whole of it."""
    import aiohttp

    return aiohttp.ClientTimeout(total=LONGEST_REQUEST, sock_connect=TIMEOUT, sock_read=TIMEOUT)


def _no_bucket(scheme: str, shown: str) -> ConfigError:
    return _usage(shown, f"expected the name of a {'container' if scheme in AZURE else 'bucket'}")


def _usage(shown: str, text: str) -> ConfigError:
    return ConfigError.of(shown, text)
