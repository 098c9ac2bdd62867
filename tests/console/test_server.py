"""The server as people start it: where it listens, slow clients, TLS, and its end."""

import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import trustme
from support.asked_stores import run
from support.console_server import HEAD_SECONDS, Served, served
from support.consoles import copied
from support.waiting import TIMEOUT


@pytest.fixture(scope="module")
def console(sample_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    store = copied(sample_store, tmp_path_factory.mktemp("served"))
    with served("--store-path", store.path) as running:
        yield running


def closes_within(connection: socket.socket, seconds: float) -> bool:
    """Whether the server closes a connection in this time."""
    connection.settimeout(seconds)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_it_answers_at_the_address_that_it_prints(console: Served) -> None:
    answer = httpx.get(f"{console.address}/sign-in", trust_env=False)
    assert answer.status_code == 200
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    "begin", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "]
)
def test_a_client_that_does_not_finish_its_request_is_closed(begin: bytes, console: Served) -> None:
    with closing(console.connect()) as connection:
        connection.sendall(begin)
        assert closes_within(connection, HEAD_SECONDS + 5)


def test_a_client_that_drips_is_closed_in_the_same_time(console: Served) -> None:
    with closing(console.connect()) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        begin = time.monotonic()
        while time.monotonic() - begin < HEAD_SECONDS + 5:
            try:
                connection.sendall(b"X-A: b\r\n")
            except OSError:
                break
            time.sleep(0.05)
        assert time.monotonic() - begin < HEAD_SECONDS + 5


def test_heads_that_are_too_large_are_refused(console: Served) -> None:
    with closing(console.connect()) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Large: " + b"a" * 40_000)
        assert closes_within(connection, HEAD_SECONDS + 5)


def test_heads_that_are_too_large_are_refused_when_they_arrive_in_one_piece(
    console: Served,
) -> None:
    for head in (b"GET /" + b"a" * 17_000, b"GET /sign-in?" + b"a=b&" * 5000, b"GET /sign-in"):
        fields = b"X-Large: " + b"a" * (17_000 if head.endswith(b"sign-in") else 10)
        with closing(console.connect()) as connection:
            connection.sendall(head + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + fields + b"\r\n\r\n")
            answer = connection.recv(65536)
        # Behind a slow loopback it arrives in pieces, which the server refuses by itself.
        assert answer.split()[1] in (b"431", b"400"), head[:20]


def test_bytes_that_are_no_http_are_refused(console: Served) -> None:
    for text in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/x\r\n\r\n", b"\0" * 100 + b"\r\n\r\n"):
        with closing(console.connect()) as connection:
            connection.sendall(text)
            assert closes_within(connection, HEAD_SECONDS + 5)
    assert httpx.get(f"{console.address}/sign-in", trust_env=False).status_code == 200


def test_more_connections_than_it_has_are_closed(console: Served) -> None:
    held = [console.connect() for _ in range(40)]
    try:
        closed = [each for each in held if closes_within(each, 0.02)]
        assert len(closed) >= 20
    finally:
        for each in held:
            each.close()
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        try:
            assert httpx.get(f"{console.address}/sign-in", trust_env=False).status_code == 200
            break
        except httpx.TransportError:
            time.sleep(0.1)
    else:
        pytest.fail("the server did not recover")


def test_it_ends_on_sigterm(sample_store: Path, tmp_path: Path) -> None:
    with served("--store-path", copied(sample_store, tmp_path).path) as running:
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(15) == 0


def test_it_says_how_to_add_an_account_where_there_is_none(
    sample_store: Path, tmp_path: Path
) -> None:
    store = copied(sample_store, tmp_path).path
    Path(store, "console.sqlite").unlink()
    for suffix in ("-wal", "-shm"):
        Path(store, f"console.sqlite{suffix}").unlink(missing_ok=True)
    with served("--store-path", store) as running:
        page = httpx.get(f"{running.address}/sign-in", trust_env=False).text
        assert "netwatch users add" in page
        running.process.send_signal(signal.SIGTERM)
        assert running.process.stderr is not None
        assert "netwatch users add NAME" in running.process.stderr.read()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, ssl.SSLContext]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return str(folder / "cert.pem"), str(folder / "key.pem"), context


def test_with_tls_cookies_are_of_this_host_alone(
    certificate: tuple[str, str, ssl.SSLContext], sample_store: Path, tmp_path: Path
) -> None:
    cert, key, context = certificate
    store = copied(sample_store, tmp_path).path
    with served("--store-path", store, "--tls-cert", cert, "--tls-key", key) as running:
        assert running.address.startswith("https://")
        answer = httpx.get(f"{running.address}/sign-in", verify=context, trust_env=False)
        assert answer.headers["set-cookie"].startswith("__Host-netwatch-form=")
        assert "max-age" in answer.headers["strict-transport-security"]
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, OSError)), running.connect() as connection:
            old.wrap_socket(connection)


def test_others_are_not_let_in_without_tls_and_an_account(
    sample_store: Path, tmp_path: Path, certificate: tuple[str, str, ssl.SSLContext]
) -> None:
    cert, key, _ = certificate
    store = copied(sample_store, tmp_path).path
    listen = ["serve", "--store-path", store, "--listen", "0.0.0.0:0"]
    without_tls = run(*listen)
    assert without_tls.status == 2
    assert "needs TLS" in without_tls.errors
    assert "needs an account" not in without_tls.errors
    for path in Path(store).glob("console.sqlite*"):
        path.unlink()
    without_account = run(*listen, "--tls-cert", cert, "--tls-key", key)
    assert without_account.status == 2
    assert "netwatch users add" in without_account.errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--listen", "nowhere"], "expected an address and port like 127.0.0.1:9477"),
        (["--tls-cert", "cert.pem"], "--tls-cert and --tls-key together"),
        (["--tls-cert", "/nothing.pem", "--tls-key", "/nothing.key"], "No such file"),
    ],
)
def test_mistakes_have_a_reason(
    arguments: list[str], message: str, sample_store: Path, tmp_path: Path
) -> None:
    done = run("serve", "--store-path", copied(sample_store, tmp_path).path, *arguments)
    assert done.status == 2
    assert message in done.errors


def test_a_store_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = run("serve", "--store-path", str(tmp_path / "none"))
    assert done.status == 1
    assert "there is no store" in done.errors


def test_a_port_that_is_taken_is_named(console: Served, sample_store: Path, tmp_path: Path) -> None:
    place = console.address.removeprefix("http://")
    done = run("serve", "--store-path", copied(sample_store, tmp_path).path, "--listen", place)
    assert done.status == 1
    assert "cannot listen" in done.errors


def test_accounts_are_managed_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    store = ["--store-path", str(tmp_path / "store")]

    def users(*arguments: str, password: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(f"{password}\n"))
        done = run("users", *arguments, *store)
        return done.status, done.output, done.errors

    good = "a long enough pass-phrase"
    add: Callable[..., tuple[int, str, str]] = lambda name, role, word: users(  # noqa: E731
        "add", name, "--role", role, "--password-stdin", password=word
    )
    assert users("list")[0] == 0
    assert add("maria", "analyst", good)[0] == 0
    for name, word, message in (
        ("maria", good, "exists already"), ("max", "short", "at least 12"),
        ("max", "a" * 20, "different characters"), ("max", "max-and-moritz!", "without the name"),
        ("a b", good, "cannot be the name"), ("max", "abc " * 100, "at most"),
    ):  # fmt: skip
        status, _, errors = add(name, "analyst", word)
        assert (status, message in errors) == (2, True), errors
    assert users("add", "max", "--role", "king", "--password-stdin", password=good)[0] == 2
    assert users("add", "max", "--role", "dpo", password=good)[0] == 2  # no terminal
    assert users("role", "maria", "dpo")[0] == 0
    assert "dpo" in users("list")[1]
    assert "did you mean 'maria'" in users("passwd", "mario", "--password-stdin")[2]
    assert users("passwd", "maria", "--password-stdin", password="quite another one")[0] == 0
    assert users("remove", "maria")[0] == 0
    assert users("remove", "maria")[0] == 2
    actions = [each["action"] for each in run("audit", "list", "--format", "jsonl", *store).records]
    assert actions == ["account added", "role changed", "password changed", "account removed"]
    assert (tmp_path / "store" / "console.sqlite").stat().st_mode & 0o077 == 0
