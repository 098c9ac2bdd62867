"""The records that a console gives over HTTP, for ``netwatch store query --url``: the same words,
and records that are the same to the byte.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from netwatch.core.addresses import is_loopback
from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.text import escaped, quantity, without_secrets
from netwatch.core.tls_sockets import client_context
from netwatch.sinks.http_client import HttpClient, HttpOptions, Response, retry_after
from netwatch.sinks.options import TlsOptions

PAGE = 500
"""Records that are asked for at a time."""

SECONDS = 60.0
"""How long one answer may take, in s."""

ATTEMPTS = 5
"""How often the same is asked while the console is busy."""

MAX_WAIT = 90.0
"""The longest pause between two attempts, in s."""

_WHAT_TO_DO = {
    401: "give a token that 'netwatch tokens add' made with --token-file",
    403: "use a token of a role that may see these records",
    404: "expected the address of a console that has the API",
}


class RemoteRecords:
    """The records of a console that fit the filters of a command; see `Records`. Methods raise
    `ConfigError` for words that the console refuses, and `NetwatchError`."""

    def __init__(self, args: argparse.Namespace, words: Mapping[str, list[str]]) -> None:
        self._url = _checked_url(args.url)
        self._shown = without_secrets(self._url)
        self._words = [(name, word) for name, all_words in words.items() for word in all_words]
        self._limit = args.limit
        self._unjudged = 0
        self._headers = {"Accept": "application/json"}
        if args.token_file is not None:
            host = urlsplit(self._url).hostname or ""
            if self._url.startswith("http:") and not is_loopback(host):
                raise ConfigError.of(self._shown, "a token would be sent in the clear; use https")
            self._headers["Authorization"] = f"Bearer {_token(args.token_file)}"
        tls = TlsOptions(ca=_authority(args.ca)) if args.ca is not None else None
        self._client = HttpClient(HttpOptions(url=self._url, timeout=SECONDS, tls=tls))

    def incidents(self) -> Iterator[str]:
        """See `Records`."""
        return (text for text, _ in self._records("incidents"))

    def cases(self) -> Iterator[str]:
        """See `Records`."""
        return (text for text, _ in self._records("cases"))

    def coverage(self) -> Iterator[tuple[str | None, str | None, str]]:
        """See `Records`."""
        found = self._records("coverage", "first", "last")
        return ((more["first"], more["last"], text) for text, more in found)

    def hours(self) -> Iterator[dict[str, Any]]:
        """See `Records`."""
        return (json.loads(text) for text, _ in self._records("coverage/hours"))

    def bypasses(self) -> Iterator[dict[str, Any]]:
        """See `Records`."""
        return (json.loads(text) for text, _ in self._records("bypasses"))

    @property
    def left_out(self) -> str:
        """See `Records`."""
        if not self._unjudged:
            return ""
        days = quantity(self._unjudged, "day")
        return f"traffic of {days} is not judged yet; run 'netwatch store compact' where it is kept"

    def _records(self, path: str, *names: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """The records of a list as they were sent, each with what else is said of it under these
        names."""
        return islice(self._all_records(path, names), self._limit)

    def _all_records(
        self, path: str, names: Sequence[str]
    ) -> Iterator[tuple[str, Mapping[str, Any]]]:
        after, size = "", PAGE if self._limit is None else min(PAGE, self._limit)
        while True:
            more = [("limit", str(size)), *([("after", after)] if after else [])]
            body = self._answer(f"{path}?{urlencode([*self._words, *more], quote_via=quote)}")
            try:
                found, following, self._unjudged = _page(body.decode(), names)
                if following == after:
                    raise ValueError(following)
            except (ValueError, LookupError, TypeError, RecursionError):
                raise NetwatchError(
                    f"{self._shown}: the answer is not one of the API; expected the address of a"
                    " console of this version or a later one"
                ) from None
            yield from found
            if following is None:
                return
            after = following

    def _answer(self, place: str) -> bytes:
        address = f"{self._url}/api/v1/{place}"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._client.request(address, b"", self._headers, "GET")
            except NetwatchError as error:
                hint = "; --ca names the authority" if "certificate" in str(error) else ""
                what = hint or "; is the console running, and the address right?"
                raise NetwatchError(f"{self._shown}: {error}{what}") from None
            if response.status == 200:
                return response.body
            if response.status not in (429, 503) or attempt == ATTEMPTS:
                raise self._refusal(response)
            time.sleep(min(MAX_WAIT, retry_after(response) or attempt))
        raise AssertionError(place)

    def _refusal(self, response: Response) -> NetwatchError:
        """What a console refused, and what to do."""
        problem = _problem(response)
        if response.status == 400 and problem.get("parameters"):
            return ConfigError([
                Problem(self._shown, 0, 0, f"--{each['name']}: {each['detail']}")
                for each in problem["parameters"]
            ])  # fmt: skip
        said = problem.get("detail") or f"HTTP {response.status}"
        what = _WHAT_TO_DO.get(response.status, "try again later")
        text = f"{str(said)[:500].rstrip('.')}; {what}"
        if response.status in _WHAT_TO_DO:
            return ConfigError.of(self._shown, text)
        return NetwatchError(escaped(f"{self._shown}: {text}"))


def _page(
    text: str, names: Sequence[str]
) -> tuple[list[tuple[str, Mapping[str, Any]]], str | None, int]:
    """The records of an answer as they are in its text, which is kept to the byte, the cursor of
    the next one, and how many days nobody has judged. Raises `ValueError`, `LookupError`,
    `TypeError` and `RecursionError` for what is no answer."""
    answer = json.loads(text)
    following = answer["next"]
    if not isinstance(following, str | None):
        raise TypeError(following)
    unjudged = answer.get("unjudged", 0)
    if not isinstance(unjudged, int):
        raise TypeError(unjudged)
    decoder, at = json.JSONDecoder(), text.index("[") + 1
    found: list[tuple[str, Mapping[str, Any]]] = []
    for number in range(len(answer["records"])):
        record, end = decoder.raw_decode(text, at)
        if not isinstance(record, dict):
            raise TypeError(record)
        found.append((text[at:end], {name: answer[name][number] for name in names}))
        at = end + len(",\n")
    return found, following, unjudged


def _problem(response: Response) -> dict[str, Any]:
    try:
        found = json.loads(response.body)
    except ValueError:
        return {}
    is_whole = isinstance(found, dict) and all(
        isinstance(each, dict) and {"name", "detail"} <= each.keys()
        for each in found.get("parameters") or ()
    )
    return found if is_whole else {}


def _checked_url(text: str) -> str:
    """The address of a console, without the slash at its end."""
    try:
        parts = urlsplit(text)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        is_valid = is_valid and (parts.port is None or parts.port > 0)
        is_valid = is_valid and not parts.query and not parts.fragment and parts.username is None
    except ValueError:
        is_valid = False
    if not is_valid:
        message = f"--url: expected an address like https://netwatch.example:8477, found '{text}'"
        raise ConfigError.of("netwatch store query", without_secrets(message))
    return text.rstrip("/")


def _authority(path: str) -> Path:
    try:
        client_context(Path(path))
    except NetwatchError as error:
        message = f"--ca: expected a file with certificates, PEM; {error}"
        raise ConfigError.of("netwatch store query", message) from None
    return Path(path)


def _token(path: str) -> str:
    try:
        token = Path(path).read_text(encoding="ascii").strip()
    except OSError as error:
        raise ConfigError.of(path, f"cannot be read: {error.strerror}") from None
    except UnicodeError:
        token = ""
    if not token or any(not "!" <= character <= "~" for character in token):
        raise ConfigError.of(path, "expected the token that 'netwatch tokens add' printed")
    return token
