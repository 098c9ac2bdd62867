"""Sections of a configuration in whose place a command takes others."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from netwatch.config.layers import Layers
from netwatch.config.sections import TopKeys
from netwatch.core.file_keys import know_keys
from netwatch.core.user_yaml import Fields, YamlSequence
from netwatch.rules.documents import read_document
from netwatch.rules.load import BUILTIN


@dataclass(frozen=True, slots=True)
class Replacements:
    """`signatures` are sources in place of ``signatures``; `bans` is a file whose ``bans`` and
    ``exemptions`` are taken in place of those of the configuration. Paths count from the current
    folder. What is empty replaces nothing."""

    signatures: Sequence[str] = ()
    bans: str = ""

    def replace_in(self, layers: Layers) -> None:
        """Put what replaces sections into the layers of a configuration."""
        if self.signatures:
            self._replace_signatures(layers)
        if self.bans:
            layers.replaced["bans"] = layers.replaced["exemptions"] = self._ban_fields(layers.local)

    def _replace_signatures(self, layers: Layers) -> None:
        fields = layers.local
        sources = YamlSequence(fields.line_of("signatures"))
        for source in self.signatures:
            sources.append(source if source == BUILTIN else str(Path(source).absolute()))
            sources.lines.append(sources.line)
        fields.mapping["signatures"] = sources
        layers.replaced["signatures"] = fields

    def _ban_fields(self, fields: Fields) -> Fields:
        """The fields that have the bans, in place of those of a configuration."""
        mapping = read_document(Path(self.bans), fields.problems)
        if mapping is None:
            fields.problems.raise_if_any()
        assert mapping is not None
        replaced = Fields(mapping, self.bans, fields.problems, "the file of bans")
        if not replaced.has("bans"):
            replaced.add_problem(None, "the file of bans needs 'bans': expected a list of bans")
        # It may be the whole configuration of another site, of which the other sections do not
        # matter.
        know_keys(TopKeys, replaced)
        replaced.reject_unknown()
        return replaced


NOTHING_REPLACED = Replacements()
"""The configuration as it is written."""
