"""Installs a set: from a repository into the folder of sets, after examining everything.

A signature proves who made a set, not that it is right. So problems found by `signatures lint` and
`signatures test`, or in a ban, keep a set out; a folder of signatures is examined in the same way
before it is published. To see whom a set would have accused, the store is judged with it before it
is installed, in a process of its own (`netwatch.rejudge.newly_accused`), which yields to a capture,
and is killed if it takes too long.
"""

import contextlib
import contextvars
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Literal

from netwatch.core.errors import ConfigError, NetwatchError, Problem
from netwatch.core.installing import install_command
from netwatch.core.private_files import PrivateFolder
from netwatch.core.user_yaml import Problems, read_trusted_file
from netwatch.rules.bans import read_pack
from netwatch.rules.lint import lint_set
from netwatch.rules.load import BUILTIN, read_signatures, use_builtin
from netwatch.updates.options import UpdateOptions
from netwatch.updates.set_format import Installed, Manifest, SetError, read_folder, set_hash
from netwatch.updates.store import Held, SetStore, State

DAYS = 30
"""Days of the store that are judged with a set."""

WEIGH_SECONDS = 900
"""The time limit for this, in s."""

MAX_SHOWN_APPS = 5
"""Apps for which it is shown how many devices a set accuses."""

_WORKER = [sys.executable, "-P", "-m", "netwatch.rejudge.newly_accused"]

MAX_ROOT_BYTES = 256 << 10
"""Bytes of the trusted root's file."""

Examine = Callable[[Path], Sequence[Problem]]
"""Returns objections to the set in a folder besides its own errors, such as a configuration that
cannot be read with it."""


Outcome = Literal["installed", "newer", "current", "rolled-back", "held-back"]
"""The result of an update: a set was installed; there is a newer one; there is none; the newest was
rolled back; it accuses so many devices that somebody has to accept it."""

_ANYWAY = "netwatch signatures update --yes installs it"

MAX_SHOWN_PROBLEMS = 20
"""Problems of a set that are shown."""

DEFAULT_LIFE = timedelta(days=90)
"""How long a set is valid by default."""

DEFAULT_TIMESTAMP_LIFE = timedelta(days=14)
"""How long a timestamp is valid, and so for how long somebody on the path can hide newer sets."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """How many devices a set would have accused that the one in use did not, in total and by
    app."""

    devices: int
    apps: Mapping[str, int]

    def describe(self) -> str:
        """The apps with most devices, in words."""
        ranked = sorted(self.apps.items(), key=lambda counted: (-counted[1], counted[0]))
        return ", ".join(f"{app}: {count:,}" for app, count in ranked[:MAX_SHOWN_APPS])


Weigh = Callable[[Path, int], Weighed]
"""Weighs the set in a folder, which may accuse this many devices. Raises `SetError`."""


def weigh(configuration: str | None, folder: Path, most: int, anyway: str = _ANYWAY) -> Weighed:
    """Weigh the set in `folder` with the store of the configuration at a path. Raises `SetError` if
    the store cannot be judged; `anyway` says how to use the set without it."""
    command = [*_WORKER, configuration or "", str(folder), str(DAYS), str(most)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=WEIGH_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise _unasked(f"it took more than {WEIGH_SECONDS} s", anyway) from None
    except OSError as error:
        raise _unasked(error.strerror or "no process could be started", anyway) from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise _unasked(said or f"status {done.returncode}", anyway)
    content = json.loads(done.stdout)
    return Weighed(content["devices"], content["apps"])


def _unasked(reason: str, anyway: str) -> SetError:
    return SetError(
        f"the store cannot be asked whom the set would have accused: {reason}; {anyway} without"
        " asking"
    )


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """The result of an update. `installed` is the set in use afterwards, None if there is none.
    `offered` is the version in the repository, `held` why it is held back, if it is."""

    outcome: Outcome
    installed: Installed | None
    offered: int
    held: Held | None = None


def require_tuf(user: str) -> None:
    """Raise `ConfigError` if python-tuf is not installed; `user` is what needs it."""
    try:
        importlib.import_module("tuf.ngclient")
    except ImportError:
        message = f"{user} needs an extra: {install_command('updates')}"
        raise ConfigError.of("netwatch", message) from None


@dataclass(frozen=True, slots=True)
class Mode:
    """How an update is made. With `only_check` nothing is installed; with `again` even a set that
    was rolled back. `examine` may refuse a set.

    `weigh` returns whom a set would have accused; if these are more devices than the options allow,
    it is held back, unless it is `accepted`. With `once`, a set that is held back is not weighed
    again.
    """

    only_check: bool = False
    again: bool = False
    examine: Examine | None = None
    weigh: Weigh | None = None
    accepted: bool = False
    once: bool = False


_INSTALL = Mode()


def update(options: UpdateOptions, source: str = "", mode: Mode = _INSTALL) -> UpdateResult:
    """Install the set of the repository at `source`, by default the one in `options`, if it is
    newer than the one in use. Raises `SetError` if the set is refused; then the one in use
    stays."""
    # Not at the top, because it needs an extra.
    from netwatch.updates.client import Repository

    source = source or options.url
    store = SetStore(options.folder)
    with store.lock() as state, PrivateFolder() as scratch:
        root = _read_root(options.root)
        repository = Repository(source, root, store.metadata, proxy=options.proxy)
        with contextlib.closing(repository):
            manifest, raw = repository.manifest(scratch)
            outcome = _decide(source, manifest, set_hash(raw), state, mode)
            if outcome != "installed":
                return UpdateResult(outcome, state.current, manifest.version)
            held = state.held
            if mode.once and held is not None and _still_holds(held, set_hash(raw), options):
                return UpdateResult("held-back", state.current, manifest.version, held)
            files = repository.files(manifest, scratch)
        with store.incoming(files, raw) as incoming:
            _require_good(source, manifest, incoming, mode.examine)
            if mode.weigh is not None and not mode.accepted:
                weighed = mode.weigh(incoming, options.ask_above)
                if weighed.devices > options.ask_above:
                    held = Held(
                        manifest.version, set_hash(raw), weighed.devices, weighed.describe()
                    )
                    store.hold(state, held)
                    return UpdateResult("held-back", state.current, manifest.version, held)
            installed = store.install(incoming, manifest, raw, state)
        return UpdateResult(outcome, installed, manifest.version)


def _still_holds(held: Held, hash_: str, options: UpdateOptions) -> bool:
    """Whether the set with this hash was held back, and would be again."""
    return held.hash == hash_ and held.devices > options.ask_above


def _decide(source: str, manifest: Manifest, hash_: str, state: State, mode: Mode) -> Outcome:
    """What to do with the set in a repository; raises `SetError` unless it may follow those that
    were in use."""
    current = state.current
    if current is not None and current.hash == hash_:
        return "current"
    if manifest.version in state.rolled_back:
        return "installed" if mode.again else "rolled-back"
    if manifest.version > state.highest:
        return "newer" if mode.only_check else "installed"
    if current is not None and manifest.version == current.version:
        raise SetError(
            f"{source}: set {manifest.version} has other content than the installed set of the same"
            " version; expected a new version for new content"
        )
    raise SetError(
        f"{source}: set {manifest.version} is older than set {state.highest}, which was in use"
        " (rollback); expected a newer one, or another folder for another publisher"
    )


def _require_good(source: str, manifest: Manifest, folder: Path, examine: Examine | None) -> None:
    """Raise `SetError` with the problems of a set, if it has any."""
    problems = check_set(folder)
    if not problems and examine is not None:
        problems = list(examine(folder))
    if problems:
        lines = problem_lines(problems).replace(f"{folder}/", "")
        raise SetError(
            f"{source}: set {manifest.version} is not installed, because it has problems:\n{lines}"
        )


def rollback(options: UpdateOptions) -> Installed:
    """Return to the set that the one in use replaced. Raises `SetError` if there is none."""
    store = SetStore(options.folder)
    with store.lock() as state:
        return store.rollback(state)


def _read_root(path: Path) -> bytes:
    try:
        return read_trusted_file(path, MAX_ROOT_BYTES)
    except NetwatchError as error:
        raise SetError(f"{path} {error}") from None


def check_set(folder: Path) -> list[Problem]:
    """The problems of the apps and bans in `folder`, in order of file and line; none if the set is
    good."""
    # In a context of its own, because the set is not in use yet.
    return contextvars.copy_context().run(_check, folder)


def _check(folder: Path) -> list[Problem]:
    use_builtin(folder, examined=True)
    problems = Problems()
    catalog = read_signatures([BUILTIN], folder, problems)
    if not catalog.signatures and not problems.found:
        problems.add(str(folder), 0, "expected apps, found none")
    bans = sorted((folder / "bans").glob("*.yaml")) if (folder / "bans").is_dir() else []
    for file in bans:
        read_pack(file, catalog, problems)
    return sorted({*problems.found, *lint_set(catalog)})


def problem_lines(problems: list[Problem]) -> str:
    """The first problems, one per line, and how many more there are."""
    lines = [str(problem) for problem in problems[:MAX_SHOWN_PROBLEMS]]
    if len(problems) > MAX_SHOWN_PROBLEMS:
        lines.append(f"and {len(problems) - MAX_SHOWN_PROBLEMS} more")
    return "\n".join(lines)


def read_examined(folder: Path) -> dict[str, bytes]:
    """The files of the set in `folder`. Raises `ConfigError` with its problems, and `SetError` if
    it has a file that is not allowed in a set."""
    files = read_folder(folder)
    with PrivateFolder() as place:
        for name, data in files.items():
            path = place / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        problems = check_set(place)
    if problems:
        raise ConfigError(
            [
                replace(
                    problem,
                    file=problem.file.replace(str(place), str(folder), 1),
                    message=problem.message.replace(str(place), str(folder)),
                )
                for problem in problems
            ]
        )
    return files
