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
        account, role, target = console.provider.finish(view.pending, dict(view.raw_query))
    except ProviderError as error:
        console.report(f"the provider that signs people in: {error}")
        console.audit.add("sign-in failed", account="(unknown)", address=view.address,
                          detail={"source": "oidc"})  # fmt: skip
        return failed_elsewhere(view, view.say("Signing in at your organisation did not work."))
    if not role:
        console.audit.add("sign-in failed", account=account, address=view.address,
                          detail={"source": "oidc", "reason": "no role"})  # fmt: skip
        return failed_elsewhere(view, view.say("Your organisation gives you no role here."))
    console.audit.add(
        "sign-in", account=account, role=role, address=view.address, detail={"source": "oidc"}
    )
    token = console.sessions.begin(account, "oidc", role, view.address)
    return Redirect(local_place(target) or "/", {"session": token, "pending": ""})
