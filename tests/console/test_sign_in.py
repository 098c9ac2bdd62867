"""Signing in and out: wrong passwords, cookies, forged forms, and the ends of sessions."""

import hashlib
import re
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from argon2 import PasswordHasher, Type
from sqlalchemy import select
from support.consoles import NAMES, PASSWORD, Visitor, copied, csrf_of

from netwatch.config.console_section import ConsoleOptions
from netwatch.console import tables
from netwatch.console.accounts import Accounts, ForeignNames
from netwatch.console.console import Console
from netwatch.console.database import FILE, open_console
from netwatch.console.sessions import (
    ACCOUNT_RATE,
    ADDRESS_RATE,
    ALL_RATE,
    CROWDED_RATE,
    PAIR_RATE,
    Sessions,
    Throttle,
)
from netwatch.core.errors import ConfigError

SESSION = "netwatch"


def test_signing_in_leads_to_the_page_that_was_wanted(console: Console) -> None:
    visitor = Visitor(console)
    answer = visitor.get("/incidents?app=tiktok")
    assert answer.headers["location"] == "/sign-in?next=%2Fincidents%3Fapp%3Dtiktok"
    assert visitor.sign_in("ben", target="/incidents?app=tiktok").headers["location"] == (
        "/incidents?app=tiktok"
    )
    assert visitor.get("/incidents").status_code == 200


@pytest.mark.parametrize(
    "target",
    ["//evil.example/", "https://evil.example/", "/\\evil.example", "\\\\evil", "x", "/\t/x"],
)
def test_it_leads_to_no_other_site(target: str, console: Console) -> None:
    assert Visitor(console).sign_in("ben", target=target).headers["location"] == "/"


def test_a_wrong_password_and_an_unknown_name_have_the_same_answer(console: Console) -> None:
    one, other = Visitor(console), Visitor(console)
    wrong = one.sign_in("ben", "not the pass-phrase")
    unknown = other.sign_in("zoe", "not the pass-phrase")
    assert wrong.status_code == unknown.status_code == 401
    shapes = [re.sub(r'value="(ben|zoe|[0-9a-f]{64})"', "", each.text) for each in (wrong, unknown)]
    assert shapes[0] == shapes[1]
    failed = [each for each in console.audit.entries() if each.action == "sign-in failed"]
    # A password that was typed in the place of a name is not written down.
    assert [each.account for each in failed] == ["ben", "(unknown)"]


def test_passwords_are_hashed_as_rfc_9106_recommends() -> None:
    parameters = PasswordHasher()
    assert parameters.type is Type.ID
    assert (parameters.time_cost, parameters.memory_cost) >= (3, 65_536)


def test_a_wrong_password_takes_as_long_for_an_unknown_name(console: Console) -> None:
    console.accounts.verify("zoe", PASSWORD)  # makes the hash that no password has

    def cost(name: str) -> float:
        begin = time.process_time()
        console.accounts.verify(name, "not the pass-phrase")
        return time.process_time() - begin

    known, unknown = (min(cost(name) for _ in range(3)) for name in ("ben", "zoe"))
    assert 0.3 < known / unknown < 3


def test_many_wrong_passwords_are_bounded(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []
    verify = console.accounts.verify
    monkeypatch.setattr(
        console.accounts, "verify", lambda name, word: tried.append(name) or verify(name, word)
    )
    visitor = Visitor(console)
    token = csrf_of(visitor.get("/sign-in").text)
    statuses = [
        visitor.send("/sign-in", {"csrf": token, "name": "ben", "password": f"wrong {n}"})
        for n in range(10 * PAIR_RATE.tries)
    ]
    assert len(tried) == PAIR_RATE.tries
    assert [each.status_code for each in statuses[-1:]] == [429]
    assert 0 < int(statuses[-1].headers["retry-after"]) <= PAIR_RATE.seconds
    assert console.audit.verify().rows <= PAIR_RATE.tries + 2
    # The right password is of no use now, which an attacker must not find out.
    assert visitor.sign_in("ben").status_code == 429
    assert len(tried) == PAIR_RATE.tries
    # Elsewhere ben signs in: whoever knows his name cannot lock him out.
    assert Visitor(console, peer="192.0.2.1").sign_in("ben").status_code == 303


class Clock:
    """A throttle of its own whose time is set."""

    def __init__(self, console: Console) -> None:
        self.now = 1_700_000_000 * 10**9
        self.throttle = Throttle(console.database, b"key", lambda: self.now)

    def after(self, seconds: int) -> Throttle:
        """The throttle some seconds later."""
        self.now += seconds * 10**9
        return self.throttle


def test_invented_names_lock_nobody_out_who_shares_their_address(console: Console) -> None:
    clock = Clock(console)
    for n in range(5 * ADDRESS_RATE.tries):
        throttle = clock.after(2)
        assert throttle.wait(f"name-{n}", "127.0.0.1") == 0
        # The audit is told once that a limit was reached, not for each try behind it.
        is_limit = throttle.failed(f"name-{n}", "127.0.0.1")
        assert is_limit == (n == ADDRESS_RATE.tries - 1)
    assert 0 < clock.throttle.wait("ben", "127.0.0.1") <= 2
    assert clock.after(2).wait("ben", "127.0.0.1") == 0
    assert clock.throttle.wait("ben", "192.0.2.2") == 0


def test_a_crowded_address_has_few_tries_for_each_account_and_one_a_second(
    console: Console,
) -> None:
    clock = Clock(console)
    for n in range(ADDRESS_RATE.tries):
        clock.throttle.failed(f"name-{n}", "192.0.2.1")
    for _ in range(CROWDED_RATE.tries):
        assert clock.after(2).wait("ben", "192.0.2.1") == 0
        clock.throttle.failed("ben", "192.0.2.1")
        assert clock.throttle.wait("zoe", "192.0.2.1") > 0
    assert clock.after(2).wait("ben", "192.0.2.1") > 100
    assert clock.throttle.wait("BEN", "192.0.2.1") > 100
    assert clock.throttle.wait("zoe", "192.0.2.1") == 0
    assert clock.after(ADDRESS_RATE.seconds).wait("ben", "192.0.2.1") == 0


def test_many_addresses_that_guess_do_not_lock_out_a_clean_one(console: Console) -> None:
    clock = Clock(console)
    for n in range(ALL_RATE.tries):
        clock.throttle.failed(f"name-{n}", f"198.51.{n}.1")
    assert clock.throttle.wait("ben", "192.0.2.1") == 0
    assert clock.throttle.wait("ben", "198.51.3.1") > 0
    assert clock.after(2).wait("ben", "198.51.3.1") == 0
    for _ in range(ACCOUNT_RATE.tries):
        clock.throttle.failed("ben", "203.0.113.9")
    assert clock.throttle.wait("ben", "192.0.2.1") > 100


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("", "", True),
    ],
)
def test_the_addresses_of_one_client_count_together(
    one: str, other: str, is_same: bool, console: Console
) -> None:
    for _ in range(PAIR_RATE.tries):
        console.throttle.failed("ben", one)
    assert (console.throttle.wait("ben", other) > 0) == is_same


def test_signing_in_forgives_only_what_was_tried_from_there(console: Console) -> None:
    for address in ("192.0.2.1", "192.0.2.2"):
        for _ in range(PAIR_RATE.tries):
            console.throttle.failed("ben", address)
    console.throttle.succeeded("ben", "192.0.2.1")
    assert console.throttle.wait("ben", "192.0.2.1") == 0
    assert console.throttle.wait("ben", "192.0.2.2") > 0


def test_wrong_passwords_survive_a_restart_and_are_forgotten_in_time(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_700_000_000 * 10**9]
    throttle = Throttle(console.database, b"key", lambda: now[0])
    for n in range(ACCOUNT_RATE.tries):
        throttle.failed("ben", f"192.0.2.{n}")
    again = Throttle(console.database, b"key", lambda: now[0])
    assert again.wait("ben", "198.51.100.1") == ACCOUNT_RATE.seconds + 1
    assert again.wait("BEN", "198.51.100.1") > 0
    now[0] += 60 * 10**9
    assert again.wait("ben", "198.51.100.1") == ACCOUNT_RATE.seconds - 59
    again.succeeded("ben", "192.0.2.0")
    assert again.wait("ben", "198.51.100.1") == 0
    for n in range(ADDRESS_RATE.tries - 1):
        again.failed(f"zoe-{n}", "192.0.2.0")
    assert again.wait("ann", "192.0.2.0") > 0, "the failure of ben counts for its address"
    now[0] += ACCOUNT_RATE.seconds * 10**9 + 1
    assert again.wait("zoe", "192.0.2.0") == 0
    again.failed("zoe", "192.0.2.0")
    assert again.count() == 1
    monkeypatch.setattr("netwatch.console.sessions.MAX_FAILURES", 5)
    for n in range(8):
        again.failed(f"name-{n}", "192.0.2.9")
    assert again.count() == 5
    # A clock that was wrong must not lock anybody out once it is right.
    now[0] -= 7200 * 10**9
    assert again.wait("name-7", "192.0.2.9") == 0
    again.failed("ben", "192.0.2.1")
    assert again.count() == 1


def test_what_was_typed_as_a_name_is_not_in_the_database(console: Console) -> None:
    console.throttle.failed("my secret pass-phrase", "192.0.2.77")
    with console.database.reading() as connection:
        rows = connection.execute(select(tables.failure)).all()
    assert len(rows) == 1
    assert "secret" not in str(rows)
    assert "192.0.2.77" not in str(rows)


def test_a_database_of_the_version_before_keeps_its_accounts_and_audit(
    sample_store: Path, tmp_path: Path
) -> None:
    options = copied(sample_store, tmp_path)
    path = Path(options.path, FILE)
    with sqlite3.connect(path) as old:
        for name in ("session", "purpose", "failure"):
            old.execute(f"DROP TABLE console_{name}")
        old.execute(
            "CREATE TABLE console_session (token TEXT PRIMARY KEY, account TEXT NOT NULL, source"
            " TEXT NOT NULL, role TEXT NOT NULL, address TEXT NOT NULL, created BIGINT NOT NULL,"
            " used BIGINT NOT NULL, purpose TEXT NOT NULL, subject TEXT NOT NULL, purpose_until"
            " BIGINT NOT NULL)"
        )
        old.execute("CREATE INDEX ix_console_session_account ON console_session (account)")
        old.execute("PRAGMA user_version = 1")
    old.close()
    with sqlite3.connect(path) as old:
        old.execute("DROP TABLE console_foreign_name")
    old.close()
    for _ in range(2):
        database = open_console(options)
        accounts, sessions = Accounts(database), Sessions(database, 60, 60)
        assert {each.name for each in accounts.all()} == set(NAMES.values())
        assert sessions.find(sessions.begin("ben", "local", "analyst", "")) is not None
        database.close()
    with sqlite3.connect(path) as old:
        old.execute("DROP TABLE console_foreign_name")
        old.execute("PRAGMA user_version = 2")
        insert = "INSERT INTO console_session VALUES (?, ?, ?, 'analyst', '', 1, 1)"
        old.execute(insert, ("one", "oidc:maria", "oidc"))
        old.execute(insert, ("two", "ben", "local"))
    old.close()
    database = open_console(options)
    with database.reading() as connection:
        rows = connection.exec_driver_sql("SELECT token FROM console_session ORDER BY token").all()
    assert [token for (token,) in rows if token in ("one", "two")] == ["two"]
    assert ForeignNames(database).note("oidc:x", "maria") == ""
    database.close()
    with sqlite3.connect(path) as new:
        new.execute("PRAGMA user_version = 99")
    new.close()
    with pytest.raises(ConfigError, match="another version"):
        open_console(options)


def test_the_database_has_no_token_and_no_password(console: Console) -> None:
    visitor = Visitor(console)
    visitor.sign_in("ben")
    token = visitor.client.cookies[SESSION]
    console.close()
    with sqlite3.connect(f"{console.store.path}/console.sqlite") as database:
        dump = "\n".join(database.iterdump())
    assert token not in dump
    assert PASSWORD not in dump
    assert hashlib.sha256(token.encode()).hexdigest() in dump
    assert "$argon2id$" in dump


def test_cookies_with_tls_are_for_this_host_alone(console: Console) -> None:
    visitor = Visitor(console, is_secure=True)
    cookie = visitor.sign_in("ben").headers["set-cookie"]
    assert cookie.startswith("__Host-netwatch=")
    assert "; Path=/; HttpOnly; SameSite=Lax; Secure" in cookie
    assert "Domain" not in cookie
    assert "max-age" in visitor.get("/incidents").headers["strict-transport-security"]


def test_cookies_without_tls_are_not_read_by_script(console: Console) -> None:
    cookie = Visitor(console).sign_in("ben").headers["set-cookie"]
    assert cookie.startswith("netwatch=")
    assert "HttpOnly; SameSite=Lax" in cookie


@pytest.mark.parametrize("token", ["", "x", "a" * 43, "é", "%00", "a" * 5000])
def test_a_forged_cookie_is_nobody(token: str, console: Console) -> None:
    visitor = Visitor(console)
    answer = visitor.get("/incidents", headers={"Cookie": f"{SESSION}={token}".encode()})
    assert answer.status_code == 303


def test_the_hash_in_the_database_is_no_token(console: Console) -> None:
    visitor = Visitor(console)
    visitor.sign_in("ben")
    key = hashlib.sha256(visitor.client.cookies[SESSION].encode()).hexdigest()
    answer = Visitor(console).get("/incidents", headers={"Cookie": f"{SESSION}={key}"})
    assert answer.status_code == 303


def test_a_cookie_is_of_no_use_after_signing_out(visit: Callable[[str], Visitor]) -> None:
    visitor = visit("analyst")
    stolen = visitor.client.cookies[SESSION]
    assert visitor.post("/sign-out", {}).headers["location"] == "/sign-in"
    again = visitor.get("/incidents", headers={"Cookie": f"{SESSION}={stolen}"})
    assert again.status_code == 303


def test_signing_in_gives_a_new_token(console: Console) -> None:
    visitor = Visitor(console)
    visitor.sign_in("ben")
    first = visitor.client.cookies[SESSION]
    # Somebody signs in where somebody is signed in: the session before ends.
    fields = {"csrf": csrf_of(visitor.get("/account").text), "name": "dora", "password": PASSWORD}
    assert visitor.send("/sign-in", fields).status_code == 303
    assert visitor.client.cookies[SESSION] != first
    assert visitor.get("/audit").status_code == 200
    other = Visitor(console)
    assert other.get("/account", headers={"Cookie": f"{SESSION}={first}"}).status_code == 303


def test_signing_out_everywhere_ends_all_sessions_of_the_account_alone(
    visit: Callable[[str], Visitor],
) -> None:
    one, two, other = visit("analyst"), visit("analyst"), visit("dpo")
    assert one.post("/account/sign-out-everywhere", {}).status_code == 303
    assert two.get("/incidents").status_code == 303
    assert other.get("/audit").status_code == 200


def test_sessions_end_when_they_are_idle_and_at_the_latest_after_a_time(
    make_console: Callable[[ConsoleOptions], Console],
) -> None:
    console = make_console(ConsoleOptions(idle=600, absolute=3600))
    now = [time.time_ns()]
    console.sessions._now = lambda: now[0]
    visitor, other = Visitor(console), Visitor(console)
    visitor.sign_in("ben")
    other.sign_in("dora")
    for _ in range(6):
        now[0] += 590 * 10**9
        assert visitor.get("/incidents").status_code == 200
    assert other.get("/audit").status_code == 303
    now[0] += 590 * 10**9
    assert visitor.get("/incidents").status_code == 303


@pytest.mark.parametrize("change", ["role", "password", "remove"])
def test_a_change_of_the_account_ends_its_sessions(
    change: str, console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("analyst")
    if change == "role":
        console.accounts.set_role("ben", "auditor")
    elif change == "password":
        console.accounts.set_password("ben", "another pass-phrase")
    else:
        console.accounts.remove("ben")
    assert visitor.get("/incidents").status_code == 303
    assert visitor.sign_in("ben").status_code == (303 if change == "role" else 401)


def test_a_form_without_its_token_or_of_another_person_is_refused(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor, other = visit("analyst"), visit("dpo")
    theirs = csrf_of(other.get("/account").text)
    ours = csrf_of(visitor.get("/account").text)
    for fields in ({}, {"csrf": ""}, {"csrf": theirs}, {"csrf": "é"}, {"csrf": ours[:-1]}):
        assert visitor.send("/account/sign-out-everywhere", fields).status_code == 403
    for origin in ("", "null", "http://evil.example", "https://127.0.0.1:8477", "http://127.0.0.1"):
        answer = visitor.send("/account/sign-out-everywhere", {"csrf": ours}, origin)
        assert answer.status_code == 403, origin
    assert visitor.get("/incidents").status_code == 200
    assert (
        Visitor(console).send("/sign-in", {"name": "ben", "password": PASSWORD}).status_code == 403
    )


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"a" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"{}", "application/json", 415),
        (b"--x", "multipart/form-data; boundary=x", 415),
        (b"&".join(b"a=1" for _ in range(500)), "application/x-www-form-urlencoded", 400),
        (b"\xff\xfe=%ff%00", "application/x-www-form-urlencoded", 403),
    ],
)
def test_bodies_that_are_no_form(
    body: bytes, kind: str, status: int, visit: Callable[[str], Visitor]
) -> None:
    visitor = visit("analyst")
    headers = {"Content-Type": kind, "Origin": visitor.origin}
    answer = visitor.client.post("/purpose", content=body, headers=headers)
    assert answer.status_code == status
    assert "<h1>" in answer.text


def test_the_password_is_changed_by_who_knows_it(
    console: Console, visit: Callable[[str], Visitor]
) -> None:
    visitor, elsewhere = visit("analyst"), visit("analyst")
    new = "quite another pass-phrase"
    fields = {"current": PASSWORD, "new": new, "again": new}
    for wrong in (
        {"current": "not this one"}, {"again": "a typing mistake"},
        {"new": "short", "again": "short"},
        {"new": "ben ben ben ben", "again": "ben ben ben ben"},
    ):  # fmt: skip
        answer = visitor.post("/account/password", fields | wrong)
        assert answer.status_code == 422
        assert 'role="alert"' in answer.text
    assert visitor.post("/account/password", fields).status_code == 303
    assert visitor.get("/account").status_code == 200
    assert elsewhere.get("/account").status_code == 303
    assert Visitor(console).sign_in("ben", new).status_code == 303


@pytest.mark.parametrize("code", ["en", "fr", "nl", "de"])
def test_the_language_is_chosen_by_address_and_kept(code: str, console: Console) -> None:
    visitor = Visitor(console)
    assert f'<html lang="{code}">' in visitor.get(f"/sign-in?lang={code}").text
    assert f'<html lang="{code}">' in visitor.get("/sign-in").text


def test_the_browser_chooses_the_language_where_nobody_did(console: Console) -> None:
    answer = Visitor(console).get("/sign-in", headers={"Accept-Language": "xx, nl-BE;q=0.8, en"})
    assert '<html lang="nl">' in answer.text


def test_sessions_of_a_proxy_need_its_header(
    make_console: Callable[[ConsoleOptions], Console],
) -> None:
    import ipaddress

    from netwatch.config.console_section import ProxyOptions

    proxy = ProxyOptions(
        (ipaddress.ip_network("192.0.2.10"),), "X-Remote-User", "X-Remote-Groups",
        {"security": "analyst"},
    )  # fmt: skip
    console = make_console(replace(ConsoleOptions(), proxy=proxy))
    headers = {"X-Remote-User": "maria", "X-Remote-Groups": "staff, security",
               "X-Forwarded-For": "203.0.113.9, 198.51.100.7"}  # fmt: skip
    through = Visitor(console, peer="192.0.2.10")
    assert through.get("/incidents", headers=headers).headers["location"] == "/incidents"
    assert through.get("/incidents", headers=headers).status_code == 200
    # The cookie alone is not enough, and neither is another person's header.
    assert through.get("/incidents").status_code == 303
    signed = list(console.audit.entries())[-1]
    assert (signed.account, signed.address) == ("proxy:maria", "198.51.100.7")
    around = Visitor(console, peer="192.0.2.11")
    assert "/sign-in" in around.get("/incidents", headers=headers).headers["location"]
    # A header that the proxy let through beside its own is void.
    twice = [*headers.items(), ("X-Remote-User", "root"), ("X-Remote-Groups", "security")]
    answer = Visitor(console, peer="192.0.2.10").get("/incidents", headers=twice)
    assert "/sign-in" in answer.headers["location"]
    without_role = headers | {"X-Remote-Groups": "staff"}
    assert (
        "/sign-in"
        in Visitor(console, peer="192.0.2.10")
        .get("/incidents", headers=without_role)
        .headers["location"]
    )


def test_a_proxy_that_signs_nobody_in_says_where_clients_are(
    make_console: Callable[[ConsoleOptions], Console],
) -> None:
    import ipaddress

    from netwatch.config.console_section import ProxyOptions

    proxy = ProxyOptions((ipaddress.ip_network("127.0.0.1"),), "X-Remote-User", "X-Remote-Groups")
    console = make_console(replace(ConsoleOptions(), proxy=proxy))
    assert not console.options.signs_in_elsewhere
    headers = {
        "X-Remote-User": "maria",
        "X-Remote-Groups": "analyst",
        "X-Forwarded-For": "10.0.0.7",
    }
    visitor = Visitor(console)
    assert "/sign-in" in visitor.get("/incidents", headers=headers).headers["location"]
    visitor.client.headers.update(headers)
    assert visitor.sign_in("ben", "wrong").status_code == 401
    assert visitor.sign_in("ben").status_code == 303
    found = [(each.action, each.address) for each in console.audit.entries()]
    assert found[-2:] == [("sign-in failed", "10.0.0.7"), ("sign-in", "10.0.0.7")]


def test_names_of_the_roles_are_accounts(console: Console) -> None:
    assert [each.name for each in console.accounts.all()] == sorted(NAMES.values())
