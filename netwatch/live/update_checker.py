"""Looks for a newer set of signatures and bans while a capture runs, in a thread beside it.

A check that fails changes nothing: the set in use stays in use, the failure is logged and counted,
and the next check follows. A set that was installed is read as a changed configuration is, without
missing a packet.
"""

import importlib
import random
import threading
import time
from collections.abc import Callable
from functools import partial

from netwatch.config import Config, examine_set, load_store
from netwatch.config.updates_section import note_held
from netwatch.core.errors import NetwatchError
from netwatch.live.events import Listener, Note
from netwatch.updates.options import UpdateOptions
from netwatch.updates.store import Held
from netwatch.updates.update import Mode, UpdateResult, require_tuf, update, weigh
from netwatch.watch.snapshot import UpdateStatus

MODULES = ("netwatch.updates.client", "netwatch.rules.lint", "publicsuffixlist")
"""Modules that an update needs."""

POLL_INTERVAL = 1.0
"""Seconds between two looks at whether a check is due."""

STOP_TIMEOUT = 5.0
"""Seconds that a check in progress has at the end. It may be killed at any time."""

_NS = 1_000_000_000


class UpdateChecker:
    """Checks as often as the configuration in use says, for the first time at once.

    `config` returns the configuration in use, whose path is `path` (None where `load` finds it).
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
        """What came of the checks so far, and the set in use; may be called from any thread."""
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
            # Not all at the same time, where many sensors were started at once.
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
            # Whatever it is, the capture goes on.
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
    """The set that `config` has in use, and what came of checks for a newer one."""
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
    """Import what checks need, before privileges are dropped. Raises `ConfigError` where checks are
    configured and python-tuf is not installed."""
    if config.updates is not None and config.updates.options.every:
        require_tuf("'updates: every'")
        for module in MODULES:
            importlib.import_module(module)
