"""One's own account: signing in, with a local account or at a provider, saying why persons are
looked at, signing out, roles and sessions, another password, and the first page that a role may
see.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from netwatch.console.accounts import MAX_NAME, MIN_PASSWORD, AccountError
from netwatch.console.view import Answer, Page, Redirect, Refused, View, not_found
from netwatch.core.period import zone_named, zone_names

MIN_PURPOSE = 5
"""Characters of a purpose at least."""

MAX_PURPOSE = 200
"""Characters of a purpose at most."""


def go_home(view: View) -> Answer:
    """Go to the first page of the menu."""
    return Redirect("")


def show_sign_in(view: View) -> Answer:
    """The page to sign in."""
    if view.identity is not None:
        return Redirect(local_place(view.query.text("next")))
    return _sign_in_page(view, "", view.query.text("next"))


def sign_in(view: View) -> Answer:
    """Sign in with a name and a password. The answer does not tell whether the name exists."""
    console, say = view.console, view.say
    name, target = view.form.text("name")[:MAX_NAME], view.form.text("next")
    wait = console.throttle.wait(name, view.address)
    if wait:
        return _sign_in_page(view, _wait_text(view, wait), target, 429, {"Retry-After": str(wait)})
    role = console.accounts.verify(name, view.form.secret("password"))
    if role is None:
        # People type passwords where names belong, so that only a name that exists is written down.
        known = name if console.accounts.role_of(name) is not None else "(unknown)"
        console.audit.add("sign-in failed", account=known, address=view.address)
        if console.throttle.failed(name, view.address):
            console.audit.add("sign-in limited", account=known, address=view.address)
        return _sign_in_page(view, say("The name or the password is wrong."), target, 401)
    console.throttle.succeeded(name, view.address)
    with console.database.together():
        console.audit.add(
            "sign-in", account=name, role=role, address=view.address, detail={"source": "local"}
        )
        token = console.sessions.begin(name, "local", role, view.address)
    if view.identity is not None:
        console.sessions.end(view.identity.session)
    zone = None if view.has_zone else zone_named(view.form.text("zone"))
    cookies = {"session": token} | ({"zone": zone.key} if zone else {})
    # Without a place to go back to, the first page of the role, which only `/` knows.
    return Redirect(local_place(target) or "/", cookies)


def _wait_text(view: View, seconds: int) -> str:
    return view.say(
        "Too many wrong passwords. Try again in %(seconds)s seconds.",
        seconds=view.language.number(seconds),
    )


def _sign_in_page(
    view: View, message: str, target: str, status: int = 200, headers: dict[str, str] | None = None
) -> Page:
    console = view.console
    values = {
        "message": message,
        "next": local_place(target),
        "name": view.form.text("name")[:MAX_NAME],
        "has_provider": console.options.oidc is not None,
        "has_accounts": console.accounts.count() > 0,
        "has_store": console.store.path,
    }
    return Page("sign_in", values, status=status, headers=headers or {})


def failed_elsewhere(view: View, message: str) -> Page:
    """The page to sign in again, where a provider did not do it."""
    page = _sign_in_page(view, message, "", 401)
    return replace(page, cookies={"pending": ""})


def local_place(target: str) -> str:
    """A path of this console, empty for anything that a browser could take for another site."""
    is_local = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if is_local and target.isprintable() else ""


def sign_out(view: View) -> Answer:
    """End this session."""
    console, who = view.console, view.who
    with console.database.together():
        console.sessions.end(who.session)
        console.audit.add("sign-out", account=who.account, role=who.role, address=view.address)
    return Redirect("/sign-in", {"session": ""})


def state_purpose(view: View) -> Answer:
    """Note the purpose for which a person is looked at, and go to the page."""
    target = local_place(view.form.text("next")) or "/"
    purpose = stated_purpose(view)
    if problem := purpose_problem(view, purpose):
        values = {"next": target, "given": purpose[:MAX_PURPOSE], "message": problem}
        return Page("purpose", values, status=422)
    note_purpose(view, purpose, view.persons_at(view, target))
    return Redirect(target)


def stated_purpose(view: View) -> str:
    """The purpose in a form."""
    return " ".join(view.form.text("purpose").split())


def purpose_problem(view: View, purpose: str) -> str:
    """What is wrong with a purpose; empty if nothing is."""
    if MIN_PURPOSE <= len(purpose) <= MAX_PURPOSE:
        return ""
    return view.say(
        "Use %(least)s to %(most)s characters.",
        least=view.language.number(MIN_PURPOSE), most=view.language.number(MAX_PURPOSE),
    )  # fmt: skip


def note_purpose(view: View, purpose: str, persons: Iterable[str]) -> None:
    """Note for which purpose persons are looked at in this session."""
    for subject in persons:
        with view.console.database.together():
            view.console.audit.add(
                "purpose", account=view.who.account, role=view.role, subject=subject,
                purpose=purpose, address=view.address,
            )  # fmt: skip
            view.console.sessions.set_purpose(view.who.session, purpose, subject)


def begin(view: View) -> Answer:
    """Go to the provider."""
    from netwatch.console.oidc import CALLBACK, ProviderError

    provider = view.console.provider
    if provider is None:
        raise not_found()
    callback = f"{view.origin}{CALLBACK}"
    try:
        place, token = provider.begin(callback, local_place(view.query.text("next")))
    except ProviderError as error:
        view.console.report(f"the provider that signs people in: {error}")
        raise Refused(503, view.say("The provider that signs people in cannot be asked.")) from None
    return Redirect(place, {"pending": token})


def finish(view: View) -> Answer:
    """Come back from the provider, and begin a session."""
    from netwatch.console.oidc import ProviderError

    console = view.console
    if console.provider is None:
        raise not_found()
    try:
        who = console.provider.finish(view.pending, dict(view.raw_query))
    except ProviderError as error:
        console.report(f"the provider that signs people in: {error}")
        console.audit.add("sign-in failed", account="(unknown)", address=view.address,
                          detail={"source": "oidc"})  # fmt: skip
        return failed_elsewhere(view, view.say("Signing in with your organisation failed."))
    detail = {"source": "oidc", "name": who.name, **who.made_of}
    if not who.role:
        console.audit.add("sign-in failed", account=who.account, address=view.address,
                          detail={**detail, "reason": "no role"})  # fmt: skip
        return failed_elsewhere(view, view.say("Your organisation gives you no role here."))
    with console.database.together():
        before = console.names.note(who.account, who.name)
        if before:
            detail["name_before"] = before
        console.audit.add(
            "sign-in", account=who.account, role=who.role, address=view.address, detail=detail
        )
        token = console.sessions.begin(who.account, "oidc", who.role, view.address)
    return Redirect(local_place(who.target) or "/", {"session": token, "pending": ""})


def show(view: View) -> Answer:
    """The account of the signed-in user."""
    return _page(view)


def change_password(view: View) -> Answer:
    """Set another password, which ends all sessions of the account but this one."""
    console, who, say = view.console, view.who, view.say
    if who.source != "local":
        return _page(view, say("Your password is managed elsewhere."), 422)
    new = view.form.secret("new")
    if new != view.form.secret("again"):
        return _page(view, say("The two new passwords differ."), 422)
    if wait := console.throttle.wait(who.account, view.address):
        return _page(view, _wait_text(view, wait), 429, {"Retry-After": str(wait)})
    if console.accounts.verify(who.account, view.form.secret("current")) is None:
        console.throttle.failed(who.account, view.address)
        return _page(view, say("The current password is wrong."), 422)
    try:
        with console.database.together():
            console.accounts.set_password(who.account, new)
            console.audit.add("password changed", account=who.account, role=who.role,
                              subject=f"account {who.account}", address=view.address)  # fmt: skip
            token = console.sessions.begin(who.account, "local", who.role, view.address)
    except AccountError:
        text = say(
            "A password has at least %(least)s characters, five of them different,"
            " and does not contain the account name.",
            least=view.language.number(MIN_PASSWORD),
        )
        return _page(view, text, 422)
    return Redirect("/account", {"session": token})


def sign_out_everywhere(view: View) -> Answer:
    """End all sessions of the account, this one too."""
    console, who = view.console, view.who
    with console.database.together():
        ended = console.sessions.end_all(who.account, who.source)
        console.audit.add(
            "sign-out everywhere", account=who.account, role=who.role, address=view.address,
            detail={"sessions": ended},
        )  # fmt: skip
    return Redirect("/sign-in", {"session": ""})


def _page(
    view: View, message: str = "", status: int = 200, headers: Mapping[str, str] | None = None
) -> Page:
    who = view.who
    values = {
        "message": message,
        "sessions": view.console.sessions.of(who.account, who.source),
        "least": MIN_PASSWORD,
        "zones": zone_names(),
    }
    return Page("account", values, status=status, headers=headers or {})
