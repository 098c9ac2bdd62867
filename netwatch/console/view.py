"""What a page is given (who asks, in which language and time zone, for what, and the store), the
request that it is from, apart from the server that received it, and what it gives back: a template
with its values, a download, events, another place, or a refusal.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from starlette.requests import Request

from netwatch.core.errors import NetwatchError
from netwatch.core.filter_words import EXCLUDES, WORDS
from netwatch.core.text import storable
from netwatch.language.language import Language

if TYPE_CHECKING:
    from netwatch.console.console import Console

MAX_VALUE = 300
"""Characters of one value in an address or a form; passwords and purposes are shorter as well."""

MAX_FIELDS = 60
"""Values in an address or a form."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_END = 1 << 63  # what databases have for a time in ns

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has signed in: an account, where it comes from (``local``, ``oidc``, ``proxy``), and the
    key of its session. `shown` is what the account is called on pages. A program with a ``token``
    has no session, but a `purpose`, and where it is limited the `networks` that it may ask for."""

    account: str
    source: str
    role: str
    session: str
    shown: str
    purpose: str = ""
    networks: frozenset[str] = frozenset()


SEVERAL = frozenset({*WORDS, "app", "network", "sensor", "ban", "joined"})
"""The filters of lists that can have several values, as those of the API. A device is one person,
who is looked at for a purpose."""


@dataclass(frozen=True, slots=True)
class Values:
    """The values of an address (behind ``?``) or of a form, by name. Times without an offset are
    of `zone`."""

    pairs: tuple[tuple[str, str], ...]
    language: Language
    zone: tzinfo = UTC

    def text(self, name: str, default: str = "") -> str:
        """The last value with a name, without surrounding white space."""
        return next((value.strip() for key, value in reversed(self.pairs) if key == name), default)

    def all(self, name: str) -> tuple[str, ...]:
        """The values with a name that are not empty, each once."""
        found = (value.strip() for key, value in self.pairs if key == name)
        return tuple(dict.fromkeys(filter(None, found)))

    def one(self, name: str) -> str:
        """The value with a name, empty if there is none. Raises `Refused` for several."""
        found = self.all(name)
        if len(found) > 1:
            say = self.language.say
            raise bad_request(
                say("“%(name)s” can have only one value on this page.", name=name), name
            )
        return "".join(found)

    def secret(self, name: str) -> str:
        """The same as it was typed."""
        return next((value for key, value in reversed(self.pairs) if key == name), "")

    def word(self, name: str, words: Sequence[str]) -> str:
        """One of `words`, or nothing. Raises `Refused` for anything else."""
        value = self.text(name)
        self.check(name, value, words)
        return value

    def check(self, name: str, value: str, words: Sequence[str]) -> None:
        """Raise `Refused` for a value that is none of `words`."""
        if value and value not in words:
            say = self.language.say
            raise bad_request(
                say(
                    "“%(name)s” cannot be “%(value)s”: expected one of %(words)s.",
                    name=name, value=value[:40], words=", ".join(words),
                ),
                name,
            )  # fmt: skip

    def moment(self, name: str) -> int | None:
        """A time of RFC 3339 or a day (its begin) in ns; None if it is absent. Raises `Refused` for
        one that cannot be read."""
        value = self.text(name)
        if not value:
            return None
        try:
            # A `+` of an offset is a space in an address that was typed by hand.
            moment = datetime.fromisoformat(value.replace(" ", "+"))
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self.zone)
            nanoseconds = (moment - _EPOCH) // _MICROSECOND * 1000
            if not 0 <= nanoseconds < _END:
                raise ValueError(value)
            return nanoseconds
        except (ValueError, OverflowError):
            say = self.language.say
            raise bad_request(
                say("“%(name)s” is not a time like 2023-03-20T09:00:00Z.", name=name), name
            ) from None

    def kept(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """The values with these names that are not empty, in this order, for another address: all
        of a filter that can have several, of which rows have one, or none where it leaves rows out;
        of others the last one."""
        return [
            (name, value)
            for name in names
            for value in (
                self.all(name)
                if name in SEVERAL or name.startswith(EXCLUDES)
                else [self.text(name)]
            )
            if value
        ]


def detail_of(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The values of an address as the audit has them."""
    found: dict[str, str] = {}
    for name, value in pairs:
        found[name] = f"{found[name]} {value}" if name in found else value
    return found


@dataclass(frozen=True, slots=True)
class View:
    """One request, as a page sees it. `place` is the path that was asked for, undecoded, `path` the
    parts of it that the route names. `purpose` is why the person of the page is looked at. `token`
    is the secret of the cookie, from which the forms of the page get theirs, `pending` that of a
    sign-in at a provider. `has_zone` is whether the viewer has a time zone, not that of the
    console. `origin` is the address of the console; `raw_query` are the values behind
    ``?``, and `raw_form` those of the form, at their whole length; `body` is what a program sends.
    `persons_at` says whom the page at another place of the console is about."""

    console: "Console"
    identity: Identity | None
    language: Language
    zone: ZoneInfo
    place: str
    path: Mapping[str, str]
    query: Values
    form: Values
    address: str
    purpose: str = ""
    token: str = ""
    pending: str = ""
    has_zone: bool = False
    origin: str = ""
    raw_query: tuple[tuple[str, str], ...] = ()
    raw_form: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    persons_at: Callable[["View", str], tuple[str, ...]] = lambda _view, _place: ()

    @property
    def who(self) -> Identity:
        """Who has signed in; on pages that need it somebody has."""
        assert self.identity is not None
        return self.identity

    @property
    def role(self) -> str:
        """The role of the signed-in user, empty if there is none."""
        return self.identity.role if self.identity else ""

    def day(self, moment: int) -> date:
        """The day of a moment (ns) in the time zone of the viewer."""
        return datetime.fromtimestamp(moment // 1_000_000_000, self.zone).date()

    def written(self, name: str) -> str:
        """The last value with a name of the form, at its whole length, with line feeds between its
        lines."""
        raw = next((value for key, value in reversed(self.raw_form) if key == name), "")
        return storable("\n".join(raw.splitlines()).strip())

    def say(self, text: str, /, **values: str) -> str:
        """A text in the language of the page."""
        return self.language.say(text, **values)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: `place` and `query` are undecoded, `headers` are by lower-case name, and `peer` is
    the address that the connection comes from. `body` is what it sends that is no form."""

    method: str
    place: str
    path: Mapping[str, str]
    query: str
    form: Pairs
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    peer: str
    body: bytes = b""

    @classmethod
    def of(cls, request: Request, form: Pairs, body: bytes = b"") -> "Asked":
        """The values of a request that the server received."""
        return cls(
            "GET" if request.method == "HEAD" else request.method,
            request.scope["raw_path"].decode("latin-1"),
            {name: storable(str(value)) for name, value in request.path_params.items()},
            request.scope["query_string"].decode("latin-1"),
            form,
            _headers(request),
            request.cookies,
            request.client.host if request.client else "",
            body,
        )


def _headers(request: Request) -> Mapping[str, str]:
    """The headers. One that was sent twice is empty: of two names of accounts or hosts one may be
    that of a proxy and the other the client's. The list of addresses a proxy may send in parts."""
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        is_repeated = name in headers and name != "x-forwarded-for"
        headers[name] = "" if is_repeated else value
    return headers


def parse_pairs(text: str) -> Pairs:
    """The values of a form or of an address. Raises `Refused` for too many."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="replace")
    except ValueError:
        raise Refused(400) from None
    return tuple(pairs)


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
class Body:
    """A complete answer of the API. `subject`, `headers` and `detail` are as in `Page`. Where it
    `is_noted`, what was done has its row in the audit already."""

    media_type: str
    content: bytes
    subject: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    is_noted: bool = False


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
    `netwatch.console.application`. `state` is asked in any thread for what the page shows, as a
    short text, or None to end the events; `known` is what the page had. They are of an `account`,
    which may have few at a time."""

    state: Callable[[], str | None]
    known: str
    account: str
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


Answer = Page | Download | Body | Redirect | Events


class Refused(NetwatchError):  # noqa: N818 - the answer to a request, not an error of ours
    """A request that is answered with an error page; `reason` is a translated sentence, empty
    if the status says it all. The API also says what is wrong with which `parameters`, and which
    methods are `allowed`."""

    def __init__(
        self,
        status: int,
        reason: str = "",
        retry_after: int = 0,
        parameters: Sequence[tuple[str, str]] = (),
        allowed: Sequence[str] = (),
    ) -> None:
        super().__init__(f"{status} {reason}")
        self.parameters = tuple(parameters)
        self.allowed = tuple(allowed)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


def not_found(reason: str = "") -> Refused:
    """There is no such page or thing."""
    return Refused(404, reason)


def bad_request(reason: str = "", field: str = "") -> Refused:
    """The address or the form has a value that cannot be read: that of a `field`, if it is one."""
    return Refused(400, reason, parameters=((field, reason),) if field else ())
