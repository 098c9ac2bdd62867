"""The options of ``netwatch live``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netwatch.live.source_openers import FILE, LOGS
from netwatch.logs.options import LogOptions


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """The options of ``netwatch live``.

    `source` is a name of `netwatch.live.source_openers.SOURCE_NAMES`, `source_options` are
    passed to it. Where it reads logs, `interfaces` are paths and addresses of receivers, and
    `logs` is what the user said of logs. `config` is the path of the configuration, `output` that
    of the records; None is where `netwatch.config.load` looks, and standard output. `metrics` (host
    and port) overrides the address in the configuration.
    """

    interfaces: tuple[str, ...]
    source: str
    config: str | None = None
    fanout: int = 1
    source_options: Mapping[str, Any] = field(default_factory=dict)
    user: str | None = None
    format: str = "table"
    output: str | None = None
    state: str | None = None
    evidence: str | None = None
    metrics: tuple[str, int] | None = None
    logs: LogOptions = LogOptions()

    @property
    def reads_logs(self) -> bool:
        """Whether logs are read, not packets."""
        return self.source == LOGS

    @property
    def live(self) -> bool:
        """Whether what is read happens now: it does not come from a file with packets."""
        return self.source != FILE
