"""What a page gives back: a template with its values, a download, events, another place, or a
refusal."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from netwatch.core.errors import NetwatchError


@dataclass(frozen=True, slots=True)
class Page:
    """A page: the name of its template without ``.html``, and the values that it names. `subject`
    says whom or what an audited page is about, `detail` what else the audit notes. `cookies` are
    set, and removed where the value is empty."""

    template: str
    values: Mapping[str, Any]
    subject: str = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Mapping[str, str] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Download:
    """A file: its name and media type, and its content in pieces, which are made while they are
    sent. `headers` are further ones, such as ``ETag``. `cut` is what ends a file that could not be
    made to its end, so that nobody takes it for the whole; without it, the connection is closed
    before its end, which browsers say."""

    name: str
    media_type: str
    content: Iterator[bytes]
    subject: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    cut: bytes = b""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another page of the console, or of a provider that signs people in."""

    place: str
    cookies: Mapping[str, str] = field(default_factory=dict)
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Events:
    """Events that tell the script of a page that it should load again, see
    `netwatch.console.events`. `state` is asked in any thread for what the page shows, as a short
    text, or None to end the events; `known` is what the page had."""

    state: Callable[[], str | None]
    known: str
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


Answer = Page | Download | Redirect | Events


class Refused(NetwatchError):  # noqa: N818 - the answer to a request, not an error of ours
    """A request that is answered with an error page; `reason` is a translated sentence, empty
    where the status says it all."""

    def __init__(self, status: int, reason: str = "", retry_after: int = 0) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


def not_found(reason: str = "") -> Refused:
    """There is no such page or thing."""
    return Refused(404, reason)


def bad_request(reason: str = "") -> Refused:
    """The address or the form has a value that cannot be read."""
    return Refused(400, reason)
