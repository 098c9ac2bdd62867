"""Replaces the configuration of a running capture, without missing a packet.

A changed configuration is read in a thread, alongside the running capture. It is only used as a
whole and without mistakes; otherwise its mistakes are reported, and the one in use stays in use.
The workers begin to use a new configuration with their next block, and open incidents stay open.
What was opened at the start (outputs, outbox, metrics endpoint) needs a restart.

Another thread checks for a newer set of signatures and bans. A failed check changes nothing: the
set in use stays in use, the failure is logged and counted, and the next check follows. An installed
set is read like a changed configuration, without missing a packet.
"""

import importlib
import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from netwatch.config import Config, examine_set, load, load_store
from netwatch.config.layers import note_held
from netwatch.core.errors import NetwatchError
from netwatch.live.events import Listener, Note, Reloaded, ReloadRefused
from netwatch.live.findings_receiver import FindingsReceiver
from netwatch.live.messages import Reload
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.worker_pool import WorkerPool
from netwatch.updates.options import UpdateOptions
from netwatch.updates.store import Held
from netwatch.updates.update import Mode, UpdateResult, require_tuf, update, weigh
from netwatch.watch.snapshot import UpdateStatus

FILES_LIMIT = 10_000
"""Files to watch for changes; further files of large folders are not watched."""

Fingerprint = tuple[tuple[str, int, int, int], ...]
"""For each file its path, modification time in ns, size and inode."""

MODULES = ("netwatch.updates.client", "netwatch.rules.lint", "publicsuffixlist")
"""Modules that an update needs."""

POLL_INTERVAL = 1.0
"""Seconds between two looks whether a check is due."""

STOP_TIMEOUT = 5.0
"""Seconds that a check in progress has at the end. It may be killed at any time."""

_NS = 1_000_000_000


class Reloader:
    """Reads the configuration at `path`, as `netwatch.config.load` finds it.

    `current` is the configuration in use. Changes of its files are found by comparing
    modification times, sizes and inodes. So that no half-written file is read, a change
    counts only once the files are the same in two successive calls of `has_changed`.
    """

    def __init__(
        self, path: str | None, current: Config, read: Callable[[str | None], Config] = load
    ) -> None:
        self._path = path
        self._load = read
        self._files = current.files
        self._last_read = fingerprint(current.files)
        self._last_seen = self._last_read
        self._thread: threading.Thread | None = None
        self._start_again = False
        self._result: Config | NetwatchError | None = None

    def has_changed(self) -> bool:
        """Whether the files differ from those last read and have stopped changing."""
        now = fingerprint(self._files)
        is_stable, self._last_seen = now == self._last_seen, now
        return is_stable and now != self._last_read

    @property
    def is_reading(self) -> bool:
        """Whether a configuration is being read."""
        return self._thread is not None

    def start(self) -> None:
        """Start to read; if a read is in progress, another one follows it."""
        if self._thread is not None:
            self._start_again = True
            return
        self._last_read = self._last_seen = fingerprint(self._files)
        self._thread = threading.Thread(target=self._read, name="reload", daemon=True)
        self._thread.start()

    def poll(self) -> Config | NetwatchError | None:
        """The configuration that has been read, or its mistakes; None while nothing new has
        been read."""
        if self._thread is None or self._thread.is_alive():
            return None
        self._thread = None
        result, self._result = self._result, None
        if isinstance(result, Config) and result.files != self._files:
            # From now on newly named files are watched too.
            self._files = result.files
            self._last_read = self._last_seen = fingerprint(result.files)
        if self._start_again:
            self._start_again = False
            self.start()
        return result

    def _read(self) -> None:
        try:
            self._result = self._load(self._path)
        except NetwatchError as error:
            self._result = error
        except OSError as error:
            self._result = NetwatchError(f"{error.filename}: {error.strerror}")
        except Exception as error:
            # A defect of netwatch. Unless it is reported, a reload would end silently.
            self._result = NetwatchError(
                f"the configuration cannot be read: {type(error).__name__}: {error}"
            )


def fingerprint(files: Sequence[str]) -> Fingerprint:
    """The state of files, and of the YAML files in folders; missing files are left out."""
    states = []
    for given in files:
        for path in _expand(given):
            try:
                status = os.stat(path)  # noqa: PTH116 - there may be thousands of files
            except OSError:
                continue
            states.append((path, status.st_mtime_ns, status.st_size, status.st_ino))
            if len(states) >= FILES_LIMIT:
                return tuple(states)
    return tuple(states)


def _expand(path: str) -> Iterator[str]:
    """The path itself; for a folder of signatures also the files that are read from it."""
    yield path
    for folder in (Path(path), Path(path, "apps")):
        try:
            with os.scandir(folder) as entries:
                yield from sorted(
                    entry.path for entry in entries if entry.name.endswith((".yaml", ".yml"))
                )
        except OSError:
            continue


class ConfigUpdate:
    """Applies what `reloader` has read.

    `config` is the configuration in use. `applied` and `refused` count reloads,
    `last_applied` is the wall-clock time of the last one in seconds, None for never.
    """

    def __init__(
        self,
        config: Config,
        reloader: Reloader,
        *,
        pool: WorkerPool,
        receiver: FindingsReceiver,
        incidents: OpenIncidents,
        emit: Listener,
    ) -> None:
        self.config = config
        self.applied = self.refused = 0
        self.last_applied: float | None = None
        self._reloader = reloader
        self._pool = pool
        self._receiver = receiver
        self._incidents = incidents
        self._emit = emit
        self._tried_by = ""

    def try_reload(self, user: str) -> None:
        """Read the configuration once more, as `user` to whom the capture now belongs, so that it
        is known from the start if a later change could not be read. It is already in use."""
        self._tried_by = user
        self._reloader.start()

    def poll(self) -> bool:
        """Apply or refuse a configuration that has been read; True if a reload ended and
        no other has begun."""
        result = self._reloader.poll()
        if result is None:
            return False
        user, self._tried_by = self._tried_by, ""
        if isinstance(result, NetwatchError):
            self.refused += 1
            if user:
                text = f"user '{user}' cannot read the configuration: no change of it will count"
                self._emit(Note(text))
            self._emit(ReloadRefused(str(result)))
        elif user and result.version == self.config.version:
            result.geo.close()
        else:
            self._apply(result)
        return not self._reloader.is_reading

    def _apply(self, config: Config) -> None:
        previous, self.config = self.config, config
        self.applied += 1
        self.last_applied = time.time()
        self._receiver.add_config(self.applied, config.sensor)
        self._pool.broadcast(Reload(self.applied, config))
        if _needs_restart(previous, config):
            self._emit(Note("changes of outputs, spool or metrics apply only after a restart"))
        if (previous.updates is None) != (config.updates is None):
            self._emit(Note("checks for updates begin and end only with a restart"))
        self._incidents.reload(config.quiet_gap, config.geo, config.client_limit)
        config.geo.damaged += previous.geo.damaged
        previous.geo.close()
        self._emit(Reloaded(config.version, config.catalog.version))
        for text in config.notes:
            self._emit(Note(text, warning=False))


def _needs_restart(previous: Config, config: Config) -> bool:
    """Whether something that is only opened at the start differs."""
    return (previous.outputs, previous.outbox, previous.metrics) != (
        config.outputs,
        config.outbox,
        config.metrics,
    )


class UpdateChecker:
    """Checks as often as the configuration in use says, the first time at once.

    `config` returns the configuration in use, whose path is `path` (None if `load` finds it).
    `reload` is called after a set was installed, `emit` gets notes; both from the thread.
    """

    def __init__(
        self,
        path: str | None,
        config: Callable[[], Config],
        *,
        reload: Callable[[], None],
        emit: Listener,
    ) -> None:
        self._path = path
        self._config = config
        self._reload = reload
        self._emit = emit
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="updates", daemon=True)
        self._last_check: float | None = None
        self._failures = 0
        self._problem = ""
        self._held: Held | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, without waiting for a server."""
        self._stopping.set()
        self._thread.join(STOP_TIMEOUT)

    def status(self) -> UpdateStatus:
        """The results of the checks so far, and the set in use; may be called from any thread."""
        return update_status(self._config(), self._last_check, self._failures, self._problem)

    def _run(self) -> None:
        due = time.monotonic()
        last: UpdateOptions | None = None
        while not self._stopping.wait(POLL_INTERVAL):
            updates = self._config().updates
            options = updates.options if updates is not None else None
            if options != last:
                due, last = time.monotonic(), options
            if options is None or not options.every or time.monotonic() < due:
                continue
            self.check(options)
            # Not all at the same time, if many sensors were started at once.
            due = time.monotonic() + options.every / _NS * random.uniform(0.9, 1.1)

    def check(self, options: UpdateOptions) -> None:
        """Check now; never raises."""
        try:
            mode = Mode(
                examine=partial(examine_set, self._path),
                weigh=partial(weigh, self._path) if load_store(self._path) else None,
                once=True,
            )
            result = update(options, mode=mode)
        except Exception as error:
            # Whatever it is, the capture continues.
            expected = isinstance(error, NetwatchError)
            self._failures += 1
            self._problem = str(error) if expected else f"{type(error).__name__}: {error}"
            self._emit(Note(f"no update of the signatures: {self._problem}"))
        else:
            self._last_check, self._problem = time.time(), ""
            self._tell(result)

    def _tell(self, result: UpdateResult) -> None:
        if result.outcome == "installed" and result.installed is not None:
            self._emit(Note(f"installed {result.installed.describe()}", warning=False))
            self._reload()
        elif result.held is not None and result.held != self._held:
            self._emit(Note(note_held(result.held)))
        self._held = result.held


def update_status(
    config: Config, last_check: float | None = None, failures: int = 0, problem: str = ""
) -> UpdateStatus:
    """The set that `config` has in use, and the results of checks for a newer one."""
    installed, updates = config.installed, config.updates
    held = updates.held if updates is not None else None
    return UpdateStatus(
        version=installed.version if installed is not None else None,
        expires=installed.expires.timestamp() if installed is not None else None,
        interval=updates.options.every / _NS if updates is not None else 0.0,
        last_check=last_check,
        failures=failures,
        problem=problem,
        held_devices=held.devices if held is not None else 0,
        held=note_held(held) if held is not None else "",
    )


def prepare(config: Config) -> None:
    """Import what checks need, before privileges are dropped. Raises `ConfigError` if checks are
    configured and python-tuf is not installed."""
    if config.updates is not None and config.updates.options.every:
        require_tuf("'updates: every'")
        for module in MODULES:
            importlib.import_module(module)
