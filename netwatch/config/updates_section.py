"""``updates:`` of netwatch.yaml, and the set that ``builtin`` stands for.

With ``updates`` in the configuration, the installed set takes the place of the files that netwatch
ships: both for the source ``builtin`` and for the packs of ``bans``. Without, nothing changes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from netwatch.core.user_yaml import Fields
from netwatch.language.sentences import sentence
from netwatch.rules.load import use_builtin

if TYPE_CHECKING:
    from netwatch.updates.options import UpdateOptions
    from netwatch.updates.store import Installed


@dataclass(frozen=True, slots=True)
class Updates:
    """How sets are updated, and which is installed: None where none is, and where the set is one
    that is only being examined. `state_file` changes with the installed set."""

    options: "UpdateOptions"
    installed: "Installed | None" = None

    @property
    def state_file(self) -> Path:
        """The file that changes when another set is installed."""
        from netwatch.updates.store import STATE

        return self.options.folder / STATE


def read_updates(
    fields: Fields, base: Path, notes: list[str], candidate: Path | None = None
) -> Updates | None:
    """Choose what ``builtin`` stands for from now on: the installed set where ``updates`` is
    configured, else the shipped files. The set in the folder `candidate` takes the place of the
    installed one."""
    use_builtin(candidate, examined=candidate is not None)
    if fields.value("updates") is None:
        return None
    # Not at the top, because few configurations need it.
    from netwatch.updates.options import read_update_options

    options = read_update_options(fields, base)
    if options is None:
        return None
    if candidate is not None:
        return Updates(options)
    from netwatch.updates.set_format import SetError, time_text
    from netwatch.updates.store import SetStore

    try:
        found = SetStore(options.folder).open_current()
    except SetError as error:
        fields.add_problem("updates", f"'updates': {error}")
        return Updates(options)
    if found is None:
        notes.append(sentence("note-no-set", folder=str(options.folder)))
        return Updates(options)
    installed, folder = found
    use_builtin(folder)
    now = datetime.now(UTC)
    if installed.is_expired(now):
        notes.append(
            sentence(
                "note-set-expired",
                version=str(installed.version),
                moment=time_text(installed.expires),
            )
        )
    elif installed.expires_soon(now):
        moment = time_text(installed.expires)
        notes.append(sentence("note-set-expires", version=str(installed.version), moment=moment))
    return Updates(options, installed)
