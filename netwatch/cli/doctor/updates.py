"""Sets of signatures: which is installed, how old it is, what the repository has, and how long the
root of trust is valid."""

import argparse
import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
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

ROOT_DAYS = 30
"""Days before the end of the root of trust from which to warn: until then its publisher must sign a
new one, and all subscribers must fetch it."""

_INSTALL = "netwatch signatures update installs the newest set"


def check(args: argparse.Namespace) -> Iterator[Finding]:
    """The updates of the configuration, if it has them."""
    from netwatch.cli.signature_update import describe_builtin
    from netwatch.config import load_updates
    from netwatch.updates.update import require_tuf

    try:
        updates = load_updates(args.config)
    except ConfigError:
        return  # The check of the configuration has reported it.
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
