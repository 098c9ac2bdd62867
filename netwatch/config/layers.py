"""The sections of a configuration, from the file or from what takes its place there."""

from dataclasses import dataclass, field
from pathlib import Path

from netwatch.core.user_yaml import Fields


@dataclass(slots=True)
class Layers:
    """The keys of the local file, above them those of one that was published to this sensor, and
    above both those in `replaced`, which a command takes from elsewhere."""

    local: Fields
    published: Fields | None = None
    replaced: dict[str, Fields] = field(default_factory=dict)

    def of(self, key: str) -> tuple[Fields, Path]:
        """The fields from which a key is read, and the folder from which its paths count."""
        found = self.local
        if key in self.replaced:
            found = self.replaced[key]
        elif self.published is not None and self.published.has(key):
            found = self.published
        return found, Path(found.file).parent

    def mapping(self) -> dict[str, object]:
        """All keys with their values, without those that are replaced."""
        published = {} if self.published is None else self.published.mapping
        return {**self.local.mapping, **published}
