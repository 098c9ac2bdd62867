"""The page of one's own account: role and sessions, another password, signing out everywhere."""

from netwatch.console.accounts import MIN_PASSWORD, AccountError
from netwatch.console.answers import Answer, Page, Redirect
from netwatch.console.view import View


def show(view: View) -> Answer:
    """The account of who has signed in."""
    return _page(view)


def change_password(view: View) -> Answer:
    """Set another password, which ends all sessions of the account but this one."""
    console, who, say = view.console, view.who, view.say
    if who.source != "local":
        return _page(view, say("The password is kept elsewhere."), 422)
    new = view.form.secret("new")
    if new != view.form.secret("again"):
        return _page(view, say("The two new passwords differ."), 422)
    wait = console.throttle.wait(who.account, view.address)
    if wait or console.accounts.verify(who.account, view.form.secret("current")) is None:
        if not wait:
            console.throttle.failed(who.account, view.address)
        return _page(view, say("The present password is wrong."), 422)
    try:
        console.accounts.set_password(who.account, new)
    except AccountError:
        text = say(
            "A password has at least %(least)s characters, five of them different, and not the name"
            " of the account in it.",
            least=view.language.number(MIN_PASSWORD),
        )
        return _page(view, text, 422)
    console.audit.add("password changed", account=who.account, role=who.role,
                      subject=f"account {who.account}", address=view.address)  # fmt: skip
    token = console.sessions.begin(who.account, "local", who.role, view.address)
    return Redirect("/account", {"session": token})


def sign_out_everywhere(view: View) -> Answer:
    """End all sessions of the account, this one too."""
    who = view.who
    ended = view.console.sessions.end_all(who.account, who.source)
    view.console.audit.add(
        "sign-out everywhere", account=who.account, role=who.role, address=view.address,
        detail={"sessions": ended},
    )  # fmt: skip
    return Redirect("/sign-in", {"session": ""})


def _page(view: View, message: str = "", status: int = 200) -> Page:
    who = view.who
    values = {
        "message": message,
        "sessions": view.console.sessions.of(who.account, who.source),
        "least": MIN_PASSWORD,
    }
    return Page("account", values, status=status)
