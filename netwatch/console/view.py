"""What a page is given: who asks, in which language and time zone, for what, and the store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from netwatch.console.answers import bad_request
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


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has signed in: an account, where it comes from (``local``, ``oidc``, ``proxy``), and the
    key of its session."""

    account: str
    source: str
    role: str
    session: str


@dataclass(frozen=True, slots=True)
class Values:
    """The values of an address (behind ``?``) or of a form, by name."""

    pairs: tuple[tuple[str, str], ...]
    language: Language

    def text(self, name: str, default: str = "") -> str:
        """The last value with a name, without surrounding white space."""
        return next((value.strip() for key, value in reversed(self.pairs) if key == name), default)

    def secret(self, name: str) -> str:
        """The same as it was typed."""
        return next((value for key, value in reversed(self.pairs) if key == name), "")

    def word(self, name: str, words: Sequence[str]) -> str:
        """One of `words`, or nothing. Raises `Refused` for anything else."""
        value = self.text(name)
        if value and value not in words:
            say = self.language.say
            raise bad_request(
                say(
                    "“%(name)s” cannot be “%(value)s”: expected one of %(words)s.",
                    name=name, value=value[:40], words=", ".join(words),
                )
            )  # fmt: skip
        return value

    def moment(self, name: str) -> int | None:
        """A time of RFC 3339 or a day (its begin, UTC) in ns; None if it is absent. Raises
        `Refused` for one that cannot be read."""
        value = self.text(name)
        if not value:
            return None
        try:
            # A `+` of an offset is a space in an address that was typed by hand.
            moment = datetime.fromisoformat(value.replace(" ", "+"))
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            nanoseconds = (moment - _EPOCH) // _MICROSECOND * 1000
            if not 0 <= nanoseconds < _END:
                raise ValueError(value)
            return nanoseconds
        except (ValueError, OverflowError):
            say = self.language.say
            raise bad_request(
                say("“%(name)s” is not a time like 2023-03-20T09:00:00Z.", name=name)
            ) from None

    def kept(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """The values with these names that are not empty, in this order, for another address."""
        return [(name, value) for name in names if (value := self.text(name))]


@dataclass(frozen=True, slots=True)
class View:
    """One request, as a page sees it. `place` is the path that was asked for, `path` the parts of
    it that the route names. `purpose` is why the person of the page is looked at. `token`
    is the secret of the cookie, from which the forms of the page get theirs, `pending` that of a
    sign-in at a provider. `origin` is the address of the console, `raw_query` the values behind
    ``?`` at their whole length."""

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
    origin: str = ""
    raw_query: tuple[tuple[str, str], ...] = ()

    @property
    def who(self) -> Identity:
        """Who has signed in; on pages that need it somebody has."""
        assert self.identity is not None
        return self.identity

    @property
    def role(self) -> str:
        """The role of who has signed in, empty if nobody has."""
        return self.identity.role if self.identity else ""

    def say(self, text: str, /, **values: str) -> str:
        """A text in the language of the page."""
        return self.language.say(text, **values)
