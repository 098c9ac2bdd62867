"""One request, apart from the server that received it."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from netwatch.console.answers import Refused
from netwatch.console.storable import storable
from netwatch.console.view import MAX_FIELDS
from netwatch.core.dataclass import dataclass

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: `query` is undecoded, `headers` have their last values by lower-case name, and
    `peer` is the address that the connection comes from."""

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
            dict(request.headers),
            request.cookies,
            request.client.host if request.client else "",
        )


def parse_pairs(text: str) -> Pairs:
    """The values of a form or of an address. Raises `Refused` for too many."""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="replace")
    except ValueError:
        raise Refused(400) from None
    return tuple(pairs)
