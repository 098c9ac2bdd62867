"""Which apps hide names, for whoever counts stored flows (`netwatch.store.hour_counting.Hides`)."""

from netwatch.config import Config
from netwatch.core.addresses import ip_text
from netwatch.core.flow import BYPASS_CATEGORIES, NAME_STATUSES
from netwatch.engine.judge import Judge

CACHE_LIMIT = 65_536
"""Names whose category is remembered."""


class HidingApps:
    """The apps of a configuration that hide names. It can be sent to other processes."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._judge: Judge | None = None
        self._addresses: dict[str, int] = {}
        self._names: dict[str, int] = {}

    def __reduce__(self) -> tuple[type["HidingApps"], tuple[Config]]:
        return HidingApps, (self._config,)

    def by_name(self, name: str) -> int:
        """The category of the app that alone uses a name, as a place in `NAME_STATUSES`."""
        found = self._names.get(name)
        if found is None:
            if len(self._names) >= CACHE_LIMIT:
                self._names.clear()
            category = self._loaded().bypass_category(name)
            found = self._names[name] = NAME_STATUSES.index(category) if category else 0
        return found

    def by_address(self, address: str) -> int:
        """The same of the app that has a server at an address."""
        self._loaded()
        return self._addresses.get(address, 0)

    def _loaded(self) -> Judge:
        if self._judge is None:
            self._judge = Judge(self._config)
            self._addresses = {
                ip_text(packed): NAME_STATUSES.index(category)
                for packed, app in self._config.catalog.apps_by_address().items()
                for category in BYPASS_CATEGORIES
                if category == app.category
            }
        return self._judge
