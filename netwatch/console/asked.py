"""One request, apart from the server that received it."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request

from netwatch.console.answers import Refused
from netwatch.console.storable import storable
from netwatch.console.view import MAX_FIELDS

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: `query` is undecoded, `headers` are by lower-case name, and `peer` is the address
    that the connection comes from."""

    method: str
    place: str
    path: Mapping[str, str]
    query: str
    form: Pairs
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    peer: str

    @classmethod
    def of(cls, request: Request, form: Pairs) -> "Asked":
        """The values of a request that the server received."""
        return cls(
            "GET" if request.method == "HEAD" else request.method,
            request.url.path,
            {name: storable(str(value)) for name, value in request.path_params.items()},
            request.scope["query_string"].decode("latin-1"),
            form,
            _headers(request),
            request.cookies,
            request.client.host if request.client else "",
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
