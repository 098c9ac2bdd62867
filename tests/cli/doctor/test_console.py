"""The checks of the console: accounts, certificate, address, and the provider of sign-in."""

import importlib.util
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
import trustme
from argon2 import PasswordHasher
from support.console_server import served
from support.diagnosed import brief, files, findings, of
from support.identity_provider import IdentityProvider, identity_provider
from support.ports import free_port

from netwatch.cli.doctor import console
from netwatch.cli.doctor import finding as places
from netwatch.console import accounts
from netwatch.console.accounts import Accounts
from netwatch.console.database import open_console
from netwatch.core.installing import install_command
from netwatch.store.options import StoreOptions

STORE = "store: {path: store}\n"


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "hasher", partial(PasswordHasher, 1, 1024, 1))


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider() as running:
        yield running


def add_account(folder: Path, catalogue: str = "") -> None:
    database = open_console(StoreOptions(str(folder / "store"), catalogue))
    Accounts(database).add("ben", "analyst", "a long enough pass-phrase")
    database.close()


def text_of(**keys: str) -> str:
    """A configuration with a console on a free port."""
    written = {"listen": f'"127.0.0.1:{free_port()}"', **keys}
    return f"{STORE}console:\n" + "".join(f"  {key}: {value}\n" for key, value in written.items())


def certificate(folder: Path, until: datetime | None = None, host: str = "127.0.0.1") -> str:
    authority = trustme.CA()
    made = authority.issue_cert(host, not_after=until)
    made.cert_chain_pems[0].write_to_path(str(folder / "console.pem"))
    made.private_key_pem.write_to_path(str(folder / "console.key"))
    (folder / "console.key").chmod(0o600)
    return "{certificate: console.pem, key: console.key}"


def test_a_console_that_is_not_configured(tmp_path: Path) -> None:
    assert findings(console.check, tmp_path, STORE) == []


def test_nobody_can_sign_in_without_an_account(tmp_path: Path) -> None:
    found = findings(console.check, tmp_path, text_of())
    assert brief(found) == ["bad accounts", "ok console"]
    assert of(found, "accounts").todo == ("netwatch users add NAME --role analyst",)
    assert not (tmp_path / "store").exists()


def test_a_console_that_is_well_is_left_as_it_is(tmp_path: Path) -> None:
    add_account(tmp_path)
    before = files(tmp_path / "store")
    until = datetime.now(UTC) + timedelta(days=200)
    url = f"https://127.0.0.1:{free_port()}"
    found = findings(console.check, tmp_path, text_of(tls=certificate(tmp_path, until), url=url))
    assert brief(found) == ["ok accounts", "ok console TLS", "ok console"]
    assert of(found, "accounts").text == "local accounts: 1 analyst"
    assert f"valid until {until:%Y-%m-%d}" in of(found, "console TLS").text
    assert files(tmp_path / "store") == before


def test_accounts_in_postgresql(tmp_path: Path, postgres_url: str) -> None:
    text = text_of().replace("{path: store}", f"{{path: store, catalogue: '{postgres_url}'}}")
    assert of(findings(console.check, tmp_path, text), "accounts").level == "bad"
    add_account(tmp_path, postgres_url)
    found = of(findings(console.check, tmp_path, text), "accounts")
    assert found.text == "local accounts: 1 analyst"


def test_a_database_of_another_program(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "console.sqlite").write_text("a shopping list")
    found = of(findings(console.check, tmp_path, text_of()), "accounts")
    assert found.level == "bad"
    assert "another file" in found.text


@pytest.mark.parametrize(
    ("days", "level", "words"),
    [(-1, "bad", "expired on"), (3, "warn", "expires on"), (60, "ok", "is valid until")],
)
def test_the_life_of_a_certificate(tmp_path: Path, days: int, level: str, words: str) -> None:
    until = datetime.now(UTC) + timedelta(days=days)
    tls = certificate(tmp_path, until)
    found = of(findings(console.check, tmp_path, text_of(tls=tls)), "console TLS")
    assert found.level == level
    assert words in found.text


def test_a_certificate_of_another_name(tmp_path: Path) -> None:
    tls = certificate(tmp_path, host="*.city.example")
    for host, level in (("watch.city.example", "ok"), ("watch.example", "warn")):
        text = text_of(tls=tls, url=f"https://{host}")
        assert of(findings(console.check, tmp_path, text), "console TLS").level == level, host


def test_a_key_that_cannot_be_used(tmp_path: Path) -> None:
    tls = certificate(tmp_path)
    key = tmp_path / "console.key"
    key.chmod(0o604)
    found = of(findings(console.check, tmp_path, text_of(tls=tls)), "console TLS")
    assert (found.level, found.todo) == ("warn", (f"chmod o= {key}",))
    trustme.CA().issue_cert("192.0.2.1").private_key_pem.write_to_path(str(key))
    found = of(findings(console.check, tmp_path, text_of(tls=tls)), "console TLS")
    assert found.level == "bad"
    assert "key values mismatch" in found.text
    key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n")
    assert of(findings(console.check, tmp_path, text_of(tls=tls)), "console TLS").level == "bad"
    key.unlink()
    found = of(findings(console.check, tmp_path, text_of(tls=tls)), "console TLS")
    assert "cannot be read: No such file" in found.text


def test_what_is_no_certificate() -> None:
    assert places.validity("x", b"a shopping list", "here").level == "bad"


def test_an_address_for_others_needs_tls(tmp_path: Path) -> None:
    found = findings(console.check, tmp_path, text_of(listen=f'"0.0.0.0:{free_port()}"'))
    assert of(found, "console TLS").level == "bad"


def test_an_address_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken.settimeout(0.1)
        listen = f'"127.0.0.1:{taken.getsockname()[1]}"'
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(console, "ANSWER_SECONDS", 0.3)
            found = of(findings(console.check, tmp_path, text_of(listen=listen)), "console")
    assert found.level == "bad"
    assert "in use by another program" in found.text


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    text = text_of(listen='"192.0.2.1:8477"', tls=certificate(tmp_path))
    found = of(findings(console.check, tmp_path, text), "console")
    assert found.level == "bad"
    assert "Cannot assign requested address" in found.text


def test_a_console_that_runs(tmp_path: Path) -> None:
    from netwatch.store.opening import open_catalogue

    open_catalogue(StoreOptions(str(tmp_path / "store")), create=True).close()
    add_account(tmp_path)
    with served("--store-path", str(tmp_path / "store")) as running:
        port = running.address.rpartition(":")[2]
        text = text_of(listen=f'"127.0.0.1:{port}"')
        found = of(findings(console.check, tmp_path, text), "console")
    assert (found.level, found.text) == ("ok", f"a console answers at 127.0.0.1:{port}")


def oidc(issuer: str, secret: str = "secret") -> str:
    return (
        f'{{issuer: "{issuer}", client_id: netwatch, client_secret: {{file: {secret}}},'
        " roles: {staff: analyst}}"
    )


def test_a_provider(tmp_path: Path, provider: IdentityProvider) -> None:
    (tmp_path / "secret").write_text("hush")
    found = findings(console.check, tmp_path, text_of(oidc=oidc(provider.issuer)))
    assert brief(found) == ["ok accounts", "ok console", "ok sign-in"]
    assert "users sign in at the provider" in of(found, "accounts").text
    assert "hush" not in repr(found)


def test_a_provider_that_cannot_be_asked(tmp_path: Path) -> None:
    issuer = f"http://127.0.0.1:{free_port()}"
    found = findings(console.check, tmp_path, text_of(oidc=oidc(issuer)))
    problems = [each.text for each in found if each.subject == "sign-in"]
    assert problems[0].startswith("client_secret: ")
    assert "cannot be asked" in problems[1]
    found = findings(console.check, tmp_path, text_of(oidc=oidc("http://id.example")))
    assert "expected an address with https" in found[-1].text


def test_what_is_not_installed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "joserfc" else real(name)
    )
    (found,) = findings(console.check, tmp_path, text_of(oidc=oidc("https://id.example")))
    assert found.text.endswith(f"{install_command('oidc')}")
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else real(name)
    )
    (found,) = findings(console.check, tmp_path, text_of())
    assert found.text == f"the console needs an extra: {install_command('web')}"


def test_a_proxy_that_hides_the_addresses_of_clients(tmp_path: Path) -> None:
    finding = of(findings(console.check, tmp_path, text_of(url="https://a.example")), "proxy")
    assert finding.level == "warn"
    assert "all users of https://a.example count as one address" in finding.text
    text = text_of(url="https://a.example", proxy="{addresses: [127.0.0.1]}")
    finding = of(findings(console.check, tmp_path, text), "proxy")
    assert (finding.level, finding.text) == (
        "ok", "127.0.0.1/32 may name the addresses of clients",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("addresses", "level", "said"),
    [
        ("[192.0.2.10]", "ok", "192.0.2.10/32 may name the signed-in user"),
        ("[192.0.2.10, 10.0.0.0/8]", "warn", "every machine in 10.0.0.0/8 can sign in as any user"),
    ],
)
def test_a_proxy_of_many_addresses(tmp_path: Path, addresses: str, level: str, said: str) -> None:
    text = text_of(proxy=f"{{addresses: {addresses}, roles: {{staff: analyst}}}}")
    finding = of(findings(console.check, tmp_path, text), "proxy")
    assert (finding.level, finding.text) == (level, said)
