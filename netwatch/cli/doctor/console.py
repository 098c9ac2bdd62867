"""Can the console be served, can users sign in, and are all texts for people there in every
language?

Catalogues are compiled when they are used. A text missing in a language is shown in English, so a
catalogue that is missing, damaged or of another version is noticed here and not by its readers.
"""

import argparse
import errno
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import netwatch
from netwatch.cli.doctor import finding
from netwatch.cli.doctor.finding import ANSWER_SECONDS, Finding, bad, ok, reason, warn, within
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.text import quantity

if TYPE_CHECKING:
    from babel.messages.catalog import Message

    from netwatch.config.console_section import ConsoleOptions, OidcOptions, ProxyOptions
    from netwatch.store.options import StoreOptions

_ANSWER_BYTES = 64 << 10

PACKAGES = ("language", "explain", "charts", "report", "console")
"""The packages that have catalogues, in their folder ``locale``."""

_SHOWN = 3


def check(args: argparse.Namespace) -> Iterator[Finding]:
    """The console of the configuration, if it has one."""
    from netwatch.config import load_console, load_store
    from netwatch.console import require_extra, require_oidc
    from netwatch.core.addresses import is_loopback
    from netwatch.store.options import StoreOptions, default_path

    found = finding.configured(lambda path: (load_console(path), load_store(path)), args)
    options, store = found or (None, None)
    if options is None:
        return
    try:
        require_extra("console")
        if options.oidc is not None:
            require_oidc("console")
    except ConfigError as error:
        yield bad("console", reason(error))
        return
    yield _accounts(options, store or StoreOptions(default_path()))
    if options.tls.certificate and options.tls.key:
        host = urlsplit(options.url).hostname or ""
        yield finding.pair("console TLS", options.tls.certificate, options.tls.key, host)
    elif not is_loopback(options.host):
        text = f"{options.host} is not an address of loopback, so that 'serve' refuses to start"
        yield bad("console TLS", text, "give it 'tls' under 'console', or a proxy before it")
    yield _address(options)
    if options.proxy is not None:
        yield _proxy(options.proxy)
    elif options.hides_addresses:
        text = f"all users of {options.url} count as one address, in the audit and for passwords"
        yield warn("proxy", text, "give the proxy's address as 'addresses' of 'proxy'")
    if options.oidc is not None:
        yield from _provider(options.oidc)


def _proxy(proxy: "ProxyOptions") -> Finding:
    """Does only the proxy have an address whose headers are trusted to identify users?"""
    from netwatch.config.console_section import wide_addresses

    listed = ", ".join(map(str, proxy.addresses))
    wide = wide_addresses(proxy)
    if not wide:
        named = "the signed-in user" if proxy.roles else "the addresses of clients"
        return ok("proxy", f"{listed} may name {named}")
    text = f"every machine in {', '.join(map(str, wide))} can {proxy.power}"
    return warn("proxy", text, "give 'addresses' under 'proxy' only the address of the proxy")


def _accounts(options: "ConsoleOptions", store: "StoreOptions") -> Finding:
    """Can anybody sign in?"""
    from netwatch.console.database import FILE, account_counts

    if not store.catalogue and "://" not in store.path:
        place = finding.writable("accounts", Path(store.path), (FILE, f"{FILE}-wal", f"{FILE}-shm"))
        if place.level == "bad":
            return place
    try:
        counts = within(ANSWER_SECONDS, lambda: account_counts(store, ANSWER_SECONDS - 1))
    except NetwatchError as error:
        return bad("accounts", reason(error))
    if counts:
        listed = ", ".join(f"{count} {role}" for role, count in sorted(counts.items()))
        return ok("accounts", f"local accounts: {listed}")
    if options.signs_in_elsewhere:
        return ok("accounts", "no local accounts; users sign in at the provider")
    todo = "netwatch users add NAME --role analyst"
    return bad("accounts", "there are none, so no one can sign in", todo)


def _address(options: "ConsoleOptions") -> Finding:
    """Is the address free, or does a console answer there?"""
    place = f"{options.host}:{options.port}"
    try:
        found = within(
            ANSWER_SECONDS,
            lambda: socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0],
        )
    except (NetwatchError, OSError, UnicodeError) as error:
        return bad("console", f"{place}: {getattr(error, 'strerror', None) or error}")
    try:
        with socket.socket(found[0], socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(found[4])
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            text = f"{place}: {error.strerror}"
            return bad("console", text, "is it an address of this machine, and a port above 1023?")
    else:
        return ok("console", f"{place} is free: netwatch serve listens there")
    try:
        is_ours = within(ANSWER_SECONDS, lambda: _is_console(options, str(found[4][0])))
    except (NetwatchError, OSError):
        is_ours = False
    if is_ours:
        return ok("console", f"a console answers at {place}")
    return bad("console", f"{place} is in use by another program", "choose another 'listen'")


def _is_console(options: "ConsoleOptions", address: str) -> bool:
    """Whether the server at the address serves the sign-in page. Nothing secret is sent, so the
    certificate is not verified: its name need not match the address."""
    plain = socket.create_connection((address, options.port), timeout=ANSWER_SECONDS)
    with plain:
        connection: socket.socket = plain
        if options.tls.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            connection = context.wrap_socket(plain)
        with connection:
            host = urlsplit(options.url).netloc or f"{options.host}:{options.port}"
            request = f"GET /sign-in HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            answer = b""
            while len(answer) < _ANSWER_BYTES and (more := connection.recv(_ANSWER_BYTES)):
                answer += more
    return b"netwatch-form" in answer


def _provider(options: "OidcOptions") -> Iterator[Finding]:
    """Does the provider answer, with keys, and can the secret of this console be read?"""
    from netwatch.console.oidc import ProviderClient

    if options.secret is not None:
        try:
            options.secret.value()
        except NetwatchError as error:
            yield bad("sign-in", f"client_secret: {error}")
    try:
        within(ANSWER_SECONDS, lambda: ProviderClient(options).discovered())
    except NetwatchError as error:
        yield bad("sign-in", f"{options.issuer}: {reason(error)}")
    except OSError as error:
        yield bad("sign-in", f"{options.ca_file}: {error.strerror}")  # The authorities' file.
    else:
        yield ok("sign-in", f"{options.issuer} answers, and has keys")
    if not options.roles:
        text = "no group has a role, so no one can sign in by OpenID Connect"
        yield bad("sign-in", text, "fill in 'roles' under 'oidc'")


def check_languages(args: argparse.Namespace) -> Iterator[Finding]:
    """The catalogues of every language except English, the language of the source."""
    from netwatch.config import load_console
    from netwatch.language.language import LANGUAGES

    yield from check_catalogues(Path(netwatch.__file__).parent, LANGUAGES[1:])
    console = finding.configured(load_console, args)
    if console is not None:
        yield ok(
            "languages",
            f"the console is in '{console.language}' unless the user has chosen another",
        )


def check_catalogues(folder: Path, codes: tuple[str, ...]) -> Iterator[Finding]:
    """The catalogues of the packages in `folder` for languages with these `codes`: each can be
    compiled, and has all texts of the others."""
    missing: list[str] = []
    problems: list[str] = []
    texts = 0
    for package in PACKAGES:
        translated: dict[str, set[str]] = {}
        every: set[str] = set()
        for code in codes:
            path = folder / package / "locale" / code / "LC_MESSAGES" / "netwatch.po"
            try:
                messages = _messages(path, code)
            except (OSError, ValueError) as error:
                problems.append(f"{path}: {getattr(error, 'strerror', None) or error}")
                continue
            every.update(map(_key, messages))
            translated[code] = {_key(message) for message in messages if _is_done(message)}
        texts += len(every)
        missing += [
            f"{code}: {text!r} in {package}"
            for code, found in translated.items()
            for text in sorted(every - found)
        ]
    if problems:
        yield bad("languages", problems[0], *problems[1:], "install netwatch again")
    if missing:
        more = (f"and {len(missing) - _SHOWN} more",) if len(missing) > _SHOWN else ()
        count = quantity(len(missing), "text")
        yield warn("languages", f"{count} not translated", *missing[:_SHOWN], *more)
    if not problems and not missing:
        yield ok("languages", f"en, {', '.join(codes)}: each has all {texts:,} texts")


def _messages(path: Path, code: str) -> "list[Message]":
    """The messages of a catalogue, which can be compiled. Raises `OSError` and `ValueError`."""
    import io

    from babel.messages.mofile import write_mo
    from babel.messages.pofile import PoFileError, read_po

    try:
        with path.open("rb") as stream:
            catalogue = read_po(stream, locale=code, abort_invalid=True)
    except PoFileError as error:
        raise ValueError(str(error)) from None
    write_mo(io.BytesIO(), catalogue)
    return [message for message in catalogue if message.id]


def _key(message: "Message") -> str:
    """The text of the source; of one with a number, the first form."""
    return message.id if isinstance(message.id, str) else message.id[0]


def _is_done(message: "Message") -> bool:
    """Whether a message has a reviewed translation, in all its forms."""
    forms = [message.string] if isinstance(message.string, str) else list(message.string or ())
    return bool(forms) and all(forms) and not message.fuzzy
