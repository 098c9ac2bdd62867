"""Replaces the configuration of a running capture, without missing a packet.

The workers begin to use a new configuration with their next block, and open incidents stay
open. What was opened at the start (outputs, outbox, metrics endpoint) needs a restart.
"""

import time

from netwatch.config import Config
from netwatch.core.errors import NetwatchError
from netwatch.live.events import Listener, Note, Reloaded, ReloadRefused
from netwatch.live.findings_receiver import FindingsReceiver
from netwatch.live.messages import Reload
from netwatch.live.open_incidents import OpenIncidents
from netwatch.live.reload import Reloader
from netwatch.live.worker_pool import WorkerPool


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
        """Read the configuration once more, as `user` to whom the capture belongs now, so that it
        is known from the start where a later change could not be read. It is in use already."""
        self._tried_by = user
        self._reloader.start()

    def poll(self) -> bool:
        """Apply or refuse a configuration that has been read; True where a reload ended and
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
            self._emit(
                Note("changes of outputs, spool or metrics take effect only after a restart")
            )
        if (previous.updates is None) != (config.updates is None):
            self._emit(Note("checks for updates begin and end only with a restart"))
        self._incidents.reload(config.quiet_gap, config.geo, config.client_limit)
        config.geo.damaged += previous.geo.damaged
        previous.geo.close()
        self._emit(Reloaded(config.version, config.catalog.version))
        for text in config.notes:
            self._emit(Note(text, warning=False))


def _needs_restart(previous: Config, config: Config) -> bool:
    """Whether something differs that is opened only at the start."""
    return (previous.outputs, previous.outbox, previous.metrics) != (
        config.outputs,
        config.outbox,
        config.metrics,
    )
