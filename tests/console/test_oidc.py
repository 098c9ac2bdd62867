"""Signing in at a provider of OpenID Connect on loopback, and what cannot be believed of it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from support.consoles import Visitor
from support.identity_provider import (
    CLIENT,
    SECRET,
    IdentityProvider,
    follow,
    identity_provider,
    signed,
)

from netwatch.config.console_section import ConsoleOptions, OidcOptions
from netwatch.console.accounts import MAX_NAMES, account_of
from netwatch.console.console import Console
from netwatch.console.oidc import PENDING_SECONDS
from netwatch.core.errors import ConfigError
from netwatch.sinks.secrets import Secret


@pytest.fixture(scope="module")
def running() -> Iterator[IdentityProvider]:
    with identity_provider() as provider:
        yield provider


@pytest.fixture
def provider(running: IdentityProvider) -> IdentityProvider:
    running.claims = {"preferred_username": "maria", "groups": ["staff", "nw-analysts"]}
    running.change, running.sign = (lambda claims: claims), None
    return running


@pytest.fixture
def console(
    provider: IdentityProvider, make_console: Callable[[ConsoleOptions], Console], tmp_path: Path
) -> Console:
    (tmp_path / "secret").write_text(SECRET)
    return make_console(ConsoleOptions(oidc=options(provider, tmp_path)))


def options(provider: IdentityProvider, folder: Path, issuer: str = "") -> OidcOptions:
    secret = Secret("", folder / "secret")
    roles = {"nw-officers": "dpo", "nw-analysts": "analyst"}
    return OidcOptions(issuer or provider.issuer, CLIENT, secret, roles)


def begun(visitor: Visitor, target: str = "/incidents") -> str:
    """Begin to sign in; the address that the provider sends the browser back to."""
    answer = visitor.get(f"/sign-in/provider?next={target}")
    assert answer.status_code == 303, answer.text
    return follow(answer.headers["location"])


def test_somebody_signs_in_with_the_role_of_a_claim(
    console: Console, provider: IdentityProvider
) -> None:
    visitor = Visitor(console)
    assert "/sign-in/provider" in visitor.get("/sign-in?next=/incidents").text
    answer = visitor.get(begun(visitor))
    assert answer.headers["location"] == "/incidents"
    page = visitor.get("/incidents")
    assert page.status_code == 200
    account = account_of(console.options.oidc.issuer, "0815") if console.options.oidc else ""
    assert f"{account} (maria)" in page.text
    row = list(console.audit.entries())[-1]
    assert (row.action, row.account, row.role) == ("sign-in", account, "analyst")
    assert json.loads(row.detail) == {
        "source": "oidc", "name": "maria", "issuer": provider.issuer, "sub": "0815"
    }  # fmt: skip
    assert visitor.get("/audit").status_code == 403


def test_a_name_that_changes_is_the_same_account_and_shown_as_changed(
    console: Console, provider: IdentityProvider
) -> None:
    provider.claims["groups"] = ["nw-officers"]
    visitor = Visitor(console)
    visitor.get(begun(visitor))
    provider.claims["preferred_username"] = "maria.b"
    visitor.get(begun(visitor))
    account = account_of(provider.issuer, "0815")
    last = list(console.audit.entries())[-1]
    assert (last.account, json.loads(last.detail)["name_before"]) == (account, "maria")
    shown = f"{account} (maria → maria.b)"
    for path in ("/audit", "/account"):
        assert shown in visitor.get(path).text
    for name in ("maria", "maria.b", account):
        rows = console.audit.newest(10, accounts=console.names.called(name))
        assert {row.account for row in rows} == {account}
    records = visitor.get("/audit.jsonl").text.splitlines()
    assert json.loads(records[-1])["account_names"] == ["maria", "maria.b"]
    assert shown in visitor.get("/audit.csv").text
    assert console.audit.verify().problem == ""


def test_two_people_of_one_name_are_two_accounts(
    console: Console, provider: IdentityProvider
) -> None:
    """Somebody takes the name of an officer, and gets neither the account nor the role."""
    provider.claims |= {"groups": ["nw-officers"], "sub": "1"}
    officer, other = Visitor(console), Visitor(console)
    officer.get(begun(officer))
    provider.claims |= {"groups": ["nw-analysts"], "sub": "2"}
    other.get(begun(other))
    first, second = (account_of(provider.issuer, subject) for subject in "12")
    assert first != second
    page = officer.get("/audit").text
    assert f"{first} (maria)" in page
    assert f"{second} (maria)" in page
    assert other.get("/audit").status_code == 403
    assert [each.account for each in console.sessions.of(first, "oidc")] == [first]


def test_what_a_name_says_is_no_account(console: Console, provider: IdentityProvider) -> None:
    victim = account_of(provider.issuer, "0815")
    provider.claims |= {"preferred_username": f"{victim} (maria)\u202e", "sub": "2"}
    visitor = Visitor(console)
    visitor.get(begun(visitor))
    page = visitor.get("/incidents").text
    assert f"{account_of(provider.issuer, '2')} ({victim} (maria)\\u202e)" in page
    assert console.sessions.of(victim, "oidc") == []


@pytest.mark.parametrize("subject", ["", 7, ["x"], "x" * 256])
def test_who_has_no_subject_does_not_get_in(
    console: Console, provider: IdentityProvider, subject: object
) -> None:
    provider.claims["sub"] = subject
    visitor = Visitor(console)
    assert visitor.get(begun(visitor)).status_code == 401
    assert visitor.get("/incidents").status_code == 303


def test_rows_of_an_earlier_release_are_still_read(console: Console) -> None:
    console.audit.add("sign-in", account="oidc:maria", role="analyst")
    (row,) = console.audit.newest(10, accounts=console.names.called("oidc:maria"))
    assert row.account == "oidc:maria"
    assert console.names.shown(["oidc:maria", "local"]) == {
        "oidc:maria": "oidc:maria",
        "local": "local",
    }


def test_an_account_keeps_its_newest_names(console: Console) -> None:
    for number in range(MAX_NAMES + 3):
        before = console.names.note("oidc:x", f"n{number}")
        assert before == (f"n{number - 1}" if number else "")
        assert console.names.note("oidc:x", f"n{number}") == ""
    names = console.names.of(["oidc:x"])["oidc:x"]
    assert names == tuple(f"n{number}" for number in range(3, MAX_NAMES + 3))
    assert console.names.shown(["oidc:x"])["oidc:x"] == "oidc:x (n20 → n21 → n22)"


def test_the_first_role_of_the_configuration_counts(
    console: Console, provider: IdentityProvider
) -> None:
    provider.claims["groups"] = ["nw-analysts", "nw-officers"]
    visitor = Visitor(console)
    visitor.get(begun(visitor))
    assert visitor.get("/audit").status_code == 200


def test_who_has_no_role_does_not_get_in(console: Console, provider: IdentityProvider) -> None:
    for groups in (["staff"], [], None, "nw", {"nw-analysts": 1}, [1, None, ["nw-analysts"]]):
        provider.claims["groups"] = groups
        visitor = Visitor(console)
        answer = visitor.get(begun(visitor))
        assert answer.status_code == 401, groups
        assert visitor.get("/incidents").status_code == 303


def test_an_answer_is_used_once_and_in_its_browser_alone(
    console: Console, provider: IdentityProvider
) -> None:
    visitor, other = Visitor(console), Visitor(console)
    back = begun(visitor)
    assert other.get(back).status_code == 401
    assert visitor.get(back).status_code == 303
    visitor.post("/sign-out", {})
    assert visitor.get(back).status_code == 401
    # Login by forgery: the victim has begun a sign-in of its own.
    begun(other)
    assert other.get(begun(Visitor(console))).status_code == 401
    assert other.get("/incidents").status_code == 303


def test_a_sign_in_that_takes_too_long_is_over(console: Console) -> None:
    import time

    visitor = Visitor(console)
    back = begun(visitor)
    assert console.provider is not None
    later = time.time_ns() + (PENDING_SECONDS + 1) * 10**9
    console.provider._now = lambda: later
    assert visitor.get(back).status_code == 401


def none(_: IdentityProvider, claims: dict[str, Any]) -> str:
    import base64
    import json

    parts = [json.dumps(each).encode() for each in ({"alg": "none"}, claims)]
    return ".".join(base64.urlsafe_b64encode(each).decode().rstrip("=") for each in parts) + "."


def shared_key(provider: IdentityProvider, claims: dict[str, Any]) -> str:
    """Signed with the public key as if it were a secret."""
    key = OctKey.import_key(provider.key.as_pem(private=False))
    return jwt.encode({"alg": "HS256", "kid": "one"}, claims, key, algorithms=["HS256"])


def other_key(_: IdentityProvider, claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, RSAKey.generate_key(2048))


def cut(provider: IdentityProvider, claims: dict[str, Any]) -> str:
    return signed(provider, claims)[:-6]


@pytest.mark.parametrize("sign", [none, shared_key, other_key, cut, lambda *_: "x", lambda *_: ""])
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_token_that_the_provider_did_not_sign(
    sign: Callable[..., str], console: Console, provider: IdentityProvider
) -> None:
    provider.sign = sign
    visitor = Visitor(console)
    assert visitor.get(begun(visitor)).status_code == 401
    assert visitor.get("/incidents").status_code == 303


@pytest.mark.parametrize(
    "wrong",
    [
        {"nonce": "another"}, {"nonce": None}, {"aud": "another"}, {"aud": [CLIENT, "b"]},
        {"iss": "https://other.example"}, {"exp": 1}, {"iat": 99999999999}, {"sub": None},
        {"azp": "another"}, {"exp": "soon"}, {"aud": {}},
    ],
)  # fmt: skip
def test_a_token_that_is_not_for_this_sign_in(
    wrong: dict[str, Any], console: Console, provider: IdentityProvider
) -> None:
    def change(claims: dict[str, Any]) -> dict[str, Any]:
        changed = claims | wrong
        return {name: value for name, value in changed.items() if value is not None}

    provider.change = change
    visitor = Visitor(console)
    answer = visitor.get(begun(visitor))
    assert answer.status_code == 401
    assert visitor.get("/incidents").status_code == 303


def test_new_keys_of_the_provider_are_fetched(console: Console, provider: IdentityProvider) -> None:
    visitor = Visitor(console)
    visitor.get(begun(visitor))
    old = provider.key
    provider.key = RSAKey.generate_key(2048, {"kid": "one"})
    try:
        other = Visitor(console)
        assert other.get(begun(other)).status_code == 303
    finally:
        provider.key = old


@pytest.mark.parametrize(
    "query", ["", "code=x", "code=x&state=", "state=x", "error=access_denied", "code=%00&state=%ff"]
)
def test_callbacks_that_nobody_asked_for(query: str, console: Console) -> None:
    visitor = Visitor(console)
    begun(visitor)
    assert visitor.get(f"/sign-in/callback?{query}").status_code == 401


def test_a_refusal_of_the_provider_is_no_sign_in(console: Console) -> None:
    visitor = Visitor(console)
    place = visitor.get("/sign-in/provider").headers["location"]
    state = parse_qs(urlsplit(place).query)["state"][0]
    answer = visitor.get(f"/sign-in/callback?error=access_denied&state={state}")
    assert answer.status_code == 401


def test_a_provider_that_is_away_is_said_to_be(
    make_console: Callable[[ConsoleOptions], Console], provider: IdentityProvider, tmp_path: Path
) -> None:
    gone = options(provider, tmp_path, "http://127.0.0.1:9")
    visitor = Visitor(make_console(ConsoleOptions(oidc=gone)))
    assert visitor.get("/sign-in/provider").status_code == 503


def test_a_provider_without_tls_is_refused(
    make_console: Callable[[ConsoleOptions], Console], provider: IdentityProvider, tmp_path: Path
) -> None:
    plain = options(provider, tmp_path, "http://id.example")
    with pytest.raises(ConfigError, match="https"):
        make_console(ConsoleOptions(oidc=plain))


def test_without_a_provider_there_is_nothing(
    make_console: Callable[[ConsoleOptions], Console],
) -> None:
    visitor = Visitor(make_console(ConsoleOptions()))
    assert visitor.get("/sign-in/provider").status_code == 404
    assert visitor.get("/sign-in/callback?code=x&state=y").status_code == 404
