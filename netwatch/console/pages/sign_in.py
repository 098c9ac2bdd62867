"""Signing in with a local account, signing out, and saying why persons are looked at."""

from dataclasses import replace

from netwatch.console.accounts import MAX_NAME
from netwatch.console.answers import Answer, Page, Redirect
from netwatch.console.people import persons_at
from netwatch.console.view import View

MIN_PURPOSE = 5
"""Characters of a purpose at least."""

MAX_PURPOSE = 200
"""Characters of a purpose at most."""


def show(view: View) -> Answer:
    """The page to sign in."""
    if view.identity is not None:
        return Redirect(local_place(view.query.text("next")))
    return _page(view, "", view.query.text("next"))


def sign_in(view: View) -> Answer:
    """Sign in with a name and a password. The answer does not tell whether the name exists."""
    console, say = view.console, view.say
    name, target = view.form.text("name")[:MAX_NAME], view.form.text("next")
    wait = console.throttle.wait(name, view.address)
    if wait:
        message = say("Too many wrong passwords. Try again in %(seconds)s seconds.",
                      seconds=view.language.number(wait))  # fmt: skip
        return _page(view, message, target, 429, {"Retry-After": str(wait)})
    role = console.accounts.verify(name, view.form.secret("password"))
    if role is None:
        # People type passwords where names belong, so that only a name that exists is written down.
        known = name if console.accounts.role_of(name) is not None else "(unknown)"
        console.audit.add("sign-in failed", account=known, address=view.address)
        if console.throttle.failed(name, view.address):
            console.audit.add("sign-in limited", account=known, address=view.address)
        return _page(view, say("The name or the password is wrong."), target, 401)
    console.throttle.succeeded(name)
    console.audit.add(
        "sign-in", account=name, role=role, address=view.address, detail={"source": "local"}
    )
    token = console.sessions.begin(name, "local", role, view.address)
    if view.identity is not None:
        console.sessions.end(view.identity.session)
    # Without a place to go back to, the first page of the role, which only `/` knows.
    return Redirect(local_place(target) or "/", {"session": token})


def _page(
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
    page = _page(view, message, "", 401)
    return replace(page, cookies={"pending": ""})


def local_place(target: str) -> str:
    """A path of this console, empty for anything that a browser could take for another site."""
    is_local = target.startswith("/") and not target.startswith("//") and "\\" not in target
    return target if is_local and target.isprintable() else ""


def sign_out(view: View) -> Answer:
    """End this session."""
    who = view.who
    view.console.sessions.end(who.session)
    view.console.audit.add("sign-out", account=who.account, role=who.role, address=view.address)
    return Redirect("/sign-in", {"session": ""})


def state_purpose(view: View) -> Answer:
    """Note the purpose for which a person is looked at, and go to the page."""
    target = local_place(view.form.text("next")) or "/"
    purpose = " ".join(view.form.text("purpose").split())
    if not MIN_PURPOSE <= len(purpose) <= MAX_PURPOSE:
        values = {"next": target, "message": view.say(
            "Say it in %(least)s to %(most)s characters.",
            least=view.language.number(MIN_PURPOSE), most=view.language.number(MAX_PURPOSE),
        )}  # fmt: skip
        return Page("purpose", values, status=422)
    for subject in persons_at(view, target):
        # Before it counts: what cannot be written down is no purpose.
        view.console.audit.add(
            "purpose", account=view.who.account, role=view.role, subject=subject, purpose=purpose,
            address=view.address,
        )  # fmt: skip
        view.console.sessions.set_purpose(view.who.session, purpose, subject)
    return Redirect(target)
