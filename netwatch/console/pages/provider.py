"""Signing in at a provider: to go there, and to come back."""

from netwatch.console.answers import Answer, Redirect, Refused, not_found
from netwatch.console.pages.sign_in import failed_elsewhere, local_place
from netwatch.console.view import View


def begin(view: View) -> Answer:
    """Go to the provider."""
    from netwatch.console.oidc import CALLBACK
    from netwatch.console.oidc_client import ProviderError

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
    from netwatch.console.oidc_client import ProviderError

    console = view.console
    if console.provider is None:
        raise not_found()
    try:
        who = console.provider.finish(view.pending, dict(view.raw_query))
    except ProviderError as error:
        console.report(f"the provider that signs people in: {error}")
        console.audit.add("sign-in failed", account="(unknown)", address=view.address,
                          detail={"source": "oidc"})  # fmt: skip
        return failed_elsewhere(view, view.say("Signing in at your organisation did not work."))
    detail = {"source": "oidc", "name": who.name, **who.made_of}
    if not who.role:
        console.audit.add("sign-in failed", account=who.account, address=view.address,
                          detail={**detail, "reason": "no role"})  # fmt: skip
        return failed_elsewhere(view, view.say("Your organisation gives you no role here."))
    before = console.names.note(who.account, who.name)
    if before:
        detail["name_before"] = before
    console.audit.add(
        "sign-in", account=who.account, role=who.role, address=view.address, detail=detail
    )
    token = console.sessions.begin(who.account, "oidc", who.role, view.address)
    return Redirect(local_place(who.target) or "/", {"session": token, "pending": ""})
