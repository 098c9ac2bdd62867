"""From a request to what is sent: every check of rights, in the order in which it is made."""

import secrets
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hmac import compare_digest
from http import HTTPStatus
from urllib.parse import quote, unquote, urlsplit
from zoneinfo import ZoneInfo

from netwatch.console.api_operations import PROBLEM, Operation, is_operation, problem
from netwatch.console.console import (
    Console,
    Cookies,
    admitted,
    client_address,
    identify,
    identify_program,
    persons,
    proxy_identity,
)
from netwatch.console.pages.account import note_purpose, purpose_problem, stated_purpose
from netwatch.console.rendering import address_of, render, texts_of
from netwatch.console.routes import ROUTES, Route, first_page, may, menu_of, persons_at
from netwatch.console.sessions import form_token
from netwatch.console.view import (
    MAX_VALUE,
    Answer,
    Asked,
    Body,
    Events,
    Identity,
    Page,
    Pairs,
    Redirect,
    Refused,
    Values,
    View,
    parse_pairs,
)
from netwatch.core.errors import NetwatchError
from netwatch.core.period import zone_named
from netwatch.core.text import storable
from netwatch.language.language import LANGUAGES
from netwatch.store.database import QueryTimeoutError
from netwatch.watch.endpoint_options import is_accepted, own_names

HTML = "text/html; charset=utf-8"

_OF_ADDRESSES = "%/:?#[]@!$&'()*+,;=~"
"""Characters that addresses have as they are (RFC 3986), besides letters, digits and ``-._``."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent: bytes, pieces that are made while they are sent, or events. `cut` is that of a
    `Download`."""

    status: int
    media_type: str
    content: bytes | Iterator[bytes] | Events
    headers: Mapping[str, str]
    cookies: tuple[str, ...] = ()
    cut: bytes = b""


class Dispatcher:
    """Answers requests, in any thread. `is_secure` is whether browsers reach the console by
    HTTPS."""

    def __init__(self, console: Console, *, is_secure: bool) -> None:
        self._console = console
        self._cookies = Cookies(is_secure=is_secure)
        self._scheme = "https" if is_secure else "http"
        options = console.options
        named = urlsplit(options.url).hostname or ""
        self._names = own_names(options.host, (*options.hosts, *([named] if named else ())))
        self._routes = {(route.path, route.method): route for route in ROUTES}

    def answer(self, path: str | None, asked: Asked) -> Sent:
        """The answer to a request for the routes with this path, None if there are none."""
        try:
            return self._answer(path, asked)
        except Refused as refused:
            return self.refuse(asked, refused)
        except NetwatchError as error:
            self._console.report(str(error))
            return self.refuse(asked, Refused(503, retry_after=10))
        except Exception:  # A defect of netwatch: it is reported, and the browser gets a page.
            self._console.report(traceback.format_exc())
            return self.refuse(asked, Refused(500))

    def refuse(self, asked: Asked, refused: Refused) -> Sent:
        """The error page, or the error for a program."""
        if is_operation(asked.place):
            paths = [route.path for route in ROUTES if route.operation is not None]
            content, headers = problem(asked, refused, paths)
            return Sent(refused.status, PROBLEM, content, headers)
        try:
            view = self._view(asked, *self._signed_in(asked))
        except NetwatchError:
            view = self._view(asked, None, "", form=False)
        return self._refusal(view, refused)

    def _refusal(self, view: View, refused: Refused) -> Sent:
        status = HTTPStatus(refused.status)
        values = {"status": status.value, "reason": refused.reason, "wait": refused.retry_after}
        headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
        content = render("error", view, {"menu": menu_of(view), **values}).encode()
        return Sent(status.value, HTML, content, headers)

    def _answer(self, path: str | None, asked: Asked) -> Sent:
        if not is_accepted(asked.headers.get("host"), self._names):
            raise Refused(421)
        route = self._route(path, asked.method)
        if route.operation is not None:
            return self._to_program(route, route.operation, asked)
        identity, token = self._signed_in(asked)
        view = self._view(asked, identity, token)
        if identity is None and (begun := self._from_proxy(asked)):
            return begun
        if identity is None and route.roles is not None:
            return self._to_sign_in(view, asked)
        if not may(route, view.role):
            raise Refused(403)
        if asked.method == "POST":
            self._check_form(view, asked)
        return self._answered(route, view, asked)

    def _to_program(self, route: Route, operation: Operation, asked: Asked) -> Sent:
        """What the API answers somebody with a token, or with a session and no token."""
        identity: Identity | None = None
        if asked.headers.get("authorization", "").lower().startswith("bearer"):
            identity = identify_program(self._console, asked)
        elif operation.body is None:
            # What changes something needs what no page elsewhere can make a browser send.
            identity, _ = self._signed_in(asked)
        view = self._view(asked, identity, "", form=False, code="en")
        if identity is None and route.roles is not None:
            raise Refused(401)
        if not may(route, view.role):
            raise Refused(403)
        operation.check(view, asked.query)
        return self._answered(route, view, asked)

    def _answered(self, route: Route, view: View, asked: Asked) -> Sent:
        """What an endpoint answers to somebody who may see it, once it is in the audit."""
        view = admitted(route, view)
        purposes: dict[str, str] = {}
        own = view.identity.purpose if view.identity else ""
        try:
            for person in (people := persons(route, view)):
                stated = own or self._console.sessions.purpose(view.who.session, person)
                if not stated and (asking := self._ask_purpose(route, view, asked, people)):
                    return asking
                purposes[person] = stated or stated_purpose(view)
            view = replace(view, purpose=next(iter(purposes.values()), own))
            answer = route.endpoint(view)
        except QueryTimeoutError:
            raise Refused(503, view.say(
                "The query took too long and was stopped. Ask for a shorter period, or"
" filter more."
            )) from None  # fmt: skip
        self._audit(view, route, answer, purposes)
        known = asked.headers.get("if-none-match", "") if asked.method == "GET" else ""
        return self._send(view, answer, known)

    def _ask_purpose(
        self, route: Route, view: View, asked: Asked, people: Sequence[str]
    ) -> Sent | None:
        """The page that asks why persons are looked at. With a form, it sends this form once more,
        with the purpose: None if it has one, which is noted for all of them."""
        if route.operation is not None:
            raise Refused(403, "State a purpose on the page of the same person or list first, or"
                          " use a token, which has one.")  # fmt: skip
        if asked.method != "POST":
            return self._page(view, Page("purpose", {"next": _target(asked)}))
        fields = [pair for pair in asked.form if pair[0] not in ("csrf", "purpose")]
        values: dict[str, object] = {"next": asked.place, "fields": fields, "count": len(people)}
        status = 200
        if any(name == "purpose" for name, _ in asked.form):
            purpose = stated_purpose(view)
            problem = purpose_problem(view, purpose)
            if not problem:
                note_purpose(view, purpose, people)
                return None
            status, values = 422, {**values, "given": purpose[:MAX_VALUE], "message": problem}
        return self._page(view, Page("purpose", values, status=status))

    def _route(self, path: str | None, method: str) -> Route:
        if path is None:
            raise Refused(404)
        route = self._routes.get((path, method))
        if route is None:
            methods = [each for at, each in self._routes if at == path]
            heads = ["HEAD"] if "GET" in methods else []
            raise Refused(405, allowed=[*methods, *heads])
        return route

    def _signed_in(self, asked: Asked) -> tuple[Identity | None, str]:
        """The signed-in user, and the token of the session or, before that, of the form."""
        token = asked.cookies.get(self._cookies.session, "")
        identity = identify(self._console, token, asked) if token else None
        return identity, token if identity else asked.cookies.get(self._cookies.form, "")

    def _from_proxy(self, asked: Asked) -> Sent | None:
        """The begin of a session for whom a trusted proxy has signed in."""
        found = proxy_identity(self._console.options.proxy, asked)
        if found is None or asked.method != "GET":
            return None
        console, address = self._console, client_address(self._console.options.proxy, asked)
        account, role = found
        with console.database.together():
            console.audit.add("sign-in", account=account, role=role, address=address,
                              detail={"source": "proxy"})  # fmt: skip
            token = console.sessions.begin(account, "proxy", role, address)
        cookies = (self._cookies.header(self._cookies.session, token),)
        return _redirect(_target(asked), cookies)

    def _view(
        self,
        asked: Asked,
        identity: Identity | None,
        token: str,
        *,
        form: bool = True,
        code: str = "",
    ) -> View:
        options = self._console.options
        try:
            query = parse_pairs(asked.query)
        except Refused:
            query = ()
        code = code or dict(query).get("lang") or asked.cookies.get(self._cookies.language, "")
        if code not in LANGUAGES:
            code = _accepted(asked.headers.get("accept-language", "")) or options.language
        language = texts_of(code)
        chosen = zone_named(dict(query).get("zone") or asked.cookies.get(self._cookies.zone, ""))
        zone = chosen or ZoneInfo(options.timezone)
        return View(
            self._console,
            identity,
            language,
            zone,
            asked.place,
            asked.path,
            Values(_bounded(query), language, zone),
            Values(_bounded(asked.form) if form else (), language, zone),
            client_address(self._console.options.proxy, asked),
            token=token,
            pending=asked.cookies.get(self._cookies.pending, ""),
            has_zone=chosen is not None,
            origin=options.url or f"{self._scheme}://{asked.headers.get('host', '')}",
            raw_query=query,
            raw_form=asked.form if form else (),
            body=asked.body,
            persons_at=persons_at,
        )

    def _to_sign_in(self, view: View, asked: Asked) -> Sent:
        target = _target(asked)
        place = address_of("/sign-in", [("next", target)] if target != "/" else [])
        if asked.method != "GET":
            raise Refused(401, view.say("The session has ended. Sign in, then do it again."))
        return _redirect(place)

    def _check_form(self, view: View, asked: Asked) -> None:
        """Raise `Refused` for a form that a page of this console did not make for this person."""
        origin = asked.headers.get("origin", "")
        known = {f"{self._scheme}://{asked.headers.get('host', '')}", self._console.options.url}
        given = view.form.secret("csrf")
        is_ours = bool(view.token) and compare_digest(
            given.encode(), form_token(view.token).encode()
        )
        if not origin or origin not in known or not is_ours:
            raise Refused(403, view.say(
                "This form was not made for you, or it is too old. Open the page again."
            ))  # fmt: skip

    def _audit(self, view: View, route: Route, answer: Answer, purposes: Mapping[str, str]) -> None:
        """Write down what is about to be shown, under each person that it is about. An address that
        is only put in order shows nothing; changes are written down when they are made."""
        is_filtered = any(
            person.subject(text)
            for person in route.people
            if (text := view.query.text(person.name))
        )
        subject = answer.subject
        if isinstance(answer, Redirect) and not subject:
            return
        if isinstance(answer, Body) and answer.is_noted:
            return
        if not route.audited and not (is_filtered and purposes):
            return
        if route.audited and not subject:
            raise RuntimeError(f"{route.path} is audited, and its answer has no subject")
        who = view.who
        for person, purpose in purposes.items() or [("", view.purpose)]:
            is_named = not is_filtered or subject == person or subject.startswith(f"{person}, ")
            self._console.audit.add(
                route.audited or "list", account=who.account, role=who.role,
                subject=subject if is_named else ", ".join(filter(None, (person, subject))),
                purpose=purpose, address=view.address,
                detail={"path": storable(unquote(view.place)), **answer.detail},
            )  # fmt: skip

    def _send(self, view: View, answer: Answer, known: str) -> Sent:
        """What is sent; of a download with an entity tag that is `known`, only that."""
        if isinstance(answer, Page):
            return self._page(view, answer)
        if isinstance(answer, Redirect):
            place = answer.place or first_page(view.role)
            return _redirect(place, self._set(answer.cookies))
        if isinstance(answer, Events):
            # A proxy in front must not collect events before it passes them on.
            return Sent(200, "text/event-stream", answer, {"X-Accel-Buffering": "no"})
        tag = answer.headers.get("ETag")
        if tag and tag in known:
            return Sent(304, answer.media_type, b"", {"ETag": tag})
        if isinstance(answer, Body):
            return Sent(200, answer.media_type, answer.content, answer.headers)
        name = answer.name.replace('"', "")
        headers = {"Content-Disposition": f'attachment; filename="{name}"', **answer.headers}
        return Sent(200, answer.media_type, answer.content, headers, cut=answer.cut)

    def _page(self, view: View, page: Page) -> Sent:
        cookies = self._set(page.cookies)
        if not view.token:
            # A form needs a token that only this browser has, also before somebody has signed in.
            token = secrets.token_urlsafe(32)
            view = replace(view, token=token)
            cookies += (self._cookies.header(self._cookies.form, token),)
        if (code := dict(view.query.pairs).get("lang")) in LANGUAGES and code is not None:
            cookies += (self._cookies.header(self._cookies.language, code, lasts=True),)
        if zone := zone_named(view.query.text("zone")):
            cookies += (self._cookies.header(self._cookies.zone, zone.key, lasts=True),)
        values = {"menu": menu_of(view), **page.values}
        content = render(page.template, view, values).encode()
        return Sent(page.status, HTML, content, page.headers, cookies)

    def _set(self, cookies: Mapping[str, str]) -> tuple[str, ...]:
        names = {
            "session": self._cookies.session,
            "pending": self._cookies.pending,
            "zone": self._cookies.zone,
        }
        return tuple(
            self._cookies.header(names[key], value, lasts=key == "zone")
            for key, value in cookies.items()
        )


def _redirect(place: str, cookies: tuple[str, ...] = ()) -> Sent:
    """Another place, of which a form may have had characters that no header has."""
    return Sent(303, HTML, b"", {"Location": quote(place, safe=_OF_ADDRESSES)}, cookies)


def _target(asked: Asked) -> str:
    """The address that was asked for, below this console."""
    return f"{asked.place}?{asked.query}" if asked.query else asked.place


def _bounded(pairs: Pairs) -> Pairs:
    return tuple((storable(name[:MAX_VALUE]), storable(value[:MAX_VALUE])) for name, value in pairs)


def _accepted(header: str) -> str:
    """The first language of a browser (RFC 9110 section 12.5.4) that there is, in its order."""
    for part in header.split(",")[:10]:
        code = part.partition(";")[0].strip().partition("-")[0].lower()
        if code in LANGUAGES:
            return code
    return ""
