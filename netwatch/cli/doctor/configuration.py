"""Does netwatch.yaml, or a file that it names, have mistakes; can this machine capture what it
configures, and reach the outputs? Which set of signatures is installed, how old is it, what does
the repository have, and how long is the root of trust valid?"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.cli.doctor import finding
from netwatch.cli.doctor.finding import ANSWER_SECONDS, Finding, bad, ok, reason, warn, within
from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.core.private_files import PrivateFolder
from netwatch.core.text import quantity

if TYPE_CHECKING:
    from netwatch.config.layers import Updates
    from netwatch.updates.options import UpdateOptions
    from netwatch.updates.set_format import Installed


def check(args: argparse.Namespace) -> Iterator[Finding]:
    """All mistakes at once, the warnings of outputs, and notes on possible surprises."""
    from netwatch.config import load

    try:
        config = load(args.config, with_secrets=True)
    except ConfigError as error:
        problems = tuple(str(problem) for problem in error.problems)
        yield bad("configuration", f"{quantity(len(problems), 'mistake')}:", *problems)
        return
    yield ok("configuration", f"{config.path or 'built-in defaults'}: no mistakes")
    for output in config.outputs:
        for warning in output.warnings():
            yield warn("configuration", str(warning))
    for note in config.notes:
        yield ok("configuration", f"note: {note}")


def check_packet_loop(args: argparse.Namespace) -> Iterator[Finding]:
    """Are the loops that read every packet compiled?"""
    from netwatch.capture import framing
    from netwatch.dissect.loop import loop

    if framing.COMPILED and loop.COMPILED:
        yield ok("packet loop", "compiled")
    else:
        from netwatch.core.installing import REMEDY, why_interpreted

        cause = why_interpreted()
        text = "interpreted, a hundred times slower than compiled"
        yield bad("packet loop", f"{text}: {cause}" if cause else text, REMEDY)


def check_privileges(args: argparse.Namespace) -> Iterator[Finding]:
    """Does this process have the privilege to capture?"""
    from netwatch.capture import interfaces

    if interfaces.can_capture():
        yield ok("privileges", "CAP_NET_RAW: interfaces can be opened")
    else:
        text = "CAP_NET_RAW is missing: no interface can be opened; grant it by one of"
        yield bad("privileges", text, *interfaces.grant_instructions())


def check_interfaces(args: argparse.Namespace) -> Iterator[Finding]:
    """Can each interface be opened with the default source?"""
    from netwatch.capture import interfaces
    from netwatch.capture.block import default_source

    source = default_source()
    if not interfaces.can_capture():
        for name in args.interface:
            yield bad(name, "cannot be tried without CAP_NET_RAW")
        return
    states = {}
    if sys.platform == "linux":
        with interfaces.open_query_socket() as query_socket:
            states = {
                name: interfaces.query_state(query_socket, name)
                for name in interfaces.interface_names()
            }
    wanted = args.interface or [name for name, state in states.items() if state and state.up]
    if not wanted:
        todo = "give one with -i, or set one up: ip link set IFACE up"
        yield bad("interfaces", "no interface is up", todo)
    for name in wanted:
        yield _try_interface(name, source, states.get(name))


def _try_interface(name: str, source: str, state: object) -> Finding:
    from netwatch.capture import interfaces
    from netwatch.capture.block import LIVE_SOURCES

    try:
        LIVE_SOURCES[source]([name]).close()
    except NetwatchError as error:
        return bad(name, str(error).removeprefix(f"{name}: "))
    if not isinstance(state, interfaces.InterfaceState):
        return ok(name, f"capture works ({source})")
    if not state.up:
        todo = f"ip link set {name} up"
        return bad(name, "capture works, but the interface is down", todo)
    link = "link up" if state.running else "no link"
    properties = f"LINKTYPE {state.link_type}, MTU {state.mtu}, {link}"
    return ok(name, f"capture works ({source}): {properties}")


def check_logs(args: argparse.Namespace) -> Iterator[Finding]:
    """Can each log be read, and which format does it have?"""
    if args.paths:
        from netwatch.logs.live.feed import examine

        for path in args.paths:
            is_ok, text, todo = examine(path)
            yield Finding(path, "ok" if is_ok else "bad", text, todo)


def check_outputs(args: argparse.Namespace) -> Iterator[Finding]:
    """The outputs of the configuration; for a sensor the centre of its fleet is one."""
    from concurrent.futures import ThreadPoolExecutor

    from netwatch.config import load_fleet, load_outputs
    from netwatch.delivery import attempt
    from netwatch.fleet import with_centre

    try:
        outputs, outbox = load_outputs(args.config)
        outputs = with_centre(outputs, load_fleet(args.config), args.config or "")
    except ConfigError:
        return  # The check of the configuration has reported it.
    if not outputs:
        return
    yield _outbox(outbox.folder)
    # In parallel, so that a receiver that hangs does not delay the others.
    with ThreadPoolExecutor(len(outputs)) as pool:
        results = pool.map(attempt.check_connection, outputs)
        for output, (is_ok, text) in zip(outputs, results, strict=True):
            yield Finding(f"output {output.name}", "ok" if is_ok else "bad", text)


def _outbox(folder: Path) -> Finding:
    """Can the outbox be written by this user, and by nobody else?"""
    from netwatch.core.owned_database import identify
    from netwatch.delivery.outbox_file import FILE, KIND, folder_warning

    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return bad("outbox", f"{folder}: no permission to write to {existing}")
    try:
        identify(folder / FILE, KIND)
    except NetwatchError as error:
        return bad("outbox", str(error))
    if warning := folder_warning(folder):
        return bad("outbox", warning)
    return ok("outbox", f"{folder} can be written")


ROOT_DAYS = 30
"""Days before the end of the root of trust from which to warn: until then its publisher must sign a
new one, and all subscribers must fetch it."""

_INSTALL = "netwatch signatures update installs the newest set"


def check_updates(args: argparse.Namespace) -> Iterator[Finding]:
    """The updates of the configuration, if it has them."""
    from netwatch.cli.signature_update import describe_builtin
    from netwatch.config import load_updates
    from netwatch.updates.update import require_tuf

    updates = finding.configured(load_updates, args)
    if updates is None:
        return
    yield _installed(updates, describe_builtin(updates.installed))
    yield finding.writable("sets", updates.options.folder)
    try:
        require_tuf("updates")
    except ConfigError as error:
        yield bad("set", reason(error))
        return
    yield _root(updates.options)
    if updates.options.url:
        yield _repository(updates.options, updates.installed)


def _installed(updates: "Updates", described: str) -> Finding:
    """Which set is in use?"""
    installed, now = updates.installed, datetime.now(UTC)
    text = f"builtin is {described}"
    if installed is None:
        return bad("set", text, _INSTALL)
    if installed.is_expired(now):
        return bad("set", f"expired: {text}", _INSTALL)
    age = quantity(max(0, (now - installed.created).days), "day")
    text += f", made {age} ago"
    return warn("set", text, _INSTALL) if installed.expires_soon(now) else ok("set", text)


def _root(options: "UpdateOptions") -> Finding:
    """How long is the root of trust valid: the newest fetched one, otherwise the
    configuration's?"""
    from tuf.api.exceptions import RepositoryError
    from tuf.api.metadata import Metadata, Root

    from netwatch.updates.store import SetStore

    fetched = SetStore(options.folder).metadata / "root.json"
    path = fetched if fetched.exists() else options.root
    try:
        root = Metadata[Root].from_bytes(path.read_bytes()).signed
    except (OSError, ValueError, RepositoryError) as error:
        why = getattr(error, "strerror", None) or "expected the root of a repository of TUF"
        return bad("root", f"{path}: {why}")
    left = root.expires - datetime.now(UTC)
    text = f"version {root.version}, valid until {root.expires:%Y-%m-%d}"
    if left <= timedelta():
        return bad("root", f"expired: {text}", "its publisher has to sign a new root")
    if left < timedelta(days=ROOT_DAYS):
        return warn("root", text, "its publisher has to sign a new root")
    return ok("root", text)


def _repository(options: "UpdateOptions", installed: "Installed | None") -> Finding:
    """Does the repository answer with metadata that can be trusted, and is its set newer?"""
    try:
        offered = within(2 * ANSWER_SECONDS, lambda: _offered(options))
    except NetwatchError as error:
        return bad("repository", reason(error))
    if installed is not None and offered > installed.version:
        return warn("repository", f"{options.url} has set {offered}", _INSTALL)
    return ok("repository", f"{options.url} answers, its newest set is {offered}")


def _offered(options: "UpdateOptions") -> int:
    """The version of the repository's set, verified as in an update, with the previously trusted
    metadata; nothing is kept. Raises `NetwatchError`."""
    from netwatch.updates.client import Repository
    from netwatch.updates.store import SetStore

    trusted = SetStore(options.folder).metadata
    with PrivateFolder() as place:
        metadata, scratch = place / "metadata", place / "scratch"
        scratch.mkdir()
        try:
            if trusted.is_dir():
                shutil.copytree(trusted, metadata)
            else:
                metadata.mkdir()
            root = options.root.read_bytes()
        except (OSError, shutil.Error) as error:
            raise NetwatchError(f"{trusted}: cannot be read: {error}") from None
        repository = Repository(options.url, root, metadata, proxy=options.proxy)
        with closing(repository):
            manifest, _ = repository.manifest(scratch)
        return manifest.version
