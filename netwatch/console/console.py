"""What all requests to a console share: its configuration, the store, accounts and the audit."""

import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Self

from netwatch.charts.render import Renderer
from netwatch.config import Config
from netwatch.config.console_section import ConsoleOptions
from netwatch.console.accounts import Accounts
from netwatch.console.audit import Audit
from netwatch.console.database import open_console
from netwatch.console.lists import SavedFilters
from netwatch.console.period_reports import PeriodReports
from netwatch.console.sessions import Sessions, Throttle
from netwatch.console.tables import PSEUDONYM_KEY, read_secret
from netwatch.core.errors import NetwatchError
from netwatch.explain.subject import zone_of_ban
from netwatch.store.catalogue import Catalogue
from netwatch.store.device_facts import DeviceFactReader
from netwatch.store.options import StoreOptions

if TYPE_CHECKING:
    from netwatch.console.oidc import Provider


class Console:
    """A console over a store, for one process; it is a context that closes it. Raises `ConfigError`
    and `NetwatchError` if the store cannot be opened. `now` is in ns; `report` says what went
    wrong, which browsers are not told."""

    def __init__(
        self,
        config: Config,
        store: StoreOptions,
        options: ConsoleOptions | None = None,
        now: Callable[[], int] = time.time_ns,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.report = report
        self.config = config
        self.store = store
        self.options = options or config.console or ConsoleOptions()
        self.now = now
        self.catalogue = Catalogue.open(store)
        try:
            self.device_facts = DeviceFactReader(self.catalogue, store)
            self.database = open_console(store)
        except BaseException:
            self.catalogue.close()
            raise
        self.accounts = Accounts(self.database, now)
        self.sessions = Sessions(self.database, self.options.idle, self.options.absolute, now)
        self.audit = Audit(self.database, now)
        self.names = self.audit.names
        self.filters = SavedFilters(self.database)
        self.pseudonym_key = read_secret(self.database, PSEUDONYM_KEY)
        self.throttle = Throttle(self.database, self.pseudonym_key, now)
        self.provider = self._provider()
        self.renderer = Renderer()
        self.reports = PeriodReports(self.catalogue, store, config)
        self.zone_of = lru_cache(maxsize=256)(partial(zone_of_ban, config=config))

    def warm(self) -> None:
        """Begin what the first visitors would wait for: the worker of pictures, and the reports of
        the pages whose address has no period. Meant for a thread at the start of a service."""
        try:
            self.reports.warm(self.now())
            self.renderer.warm()
        except NetwatchError as error:
            self.report(str(error))

    def close(self) -> None:
        """Close the connections, and end the workers that render pictures and collect reports."""
        self.reports.close()
        self.renderer.close()
        self.database.close()
        self.device_facts.close()
        self.catalogue.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _provider(self) -> "Provider | None":
        if self.options.oidc is None:
            return None
        from netwatch.console.oidc import Provider

        return Provider(self.options.oidc, self.database, self.now)

    @property
    def signs_in_elsewhere(self) -> bool:
        """Whether somebody without a local account can sign in."""
        return self.options.oidc is not None or self.options.proxy is not None
