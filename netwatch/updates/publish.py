"""What is published as a set: a folder of signatures, after the examination that subscribers make
before they install it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from netwatch.core.errors import ConfigError
from netwatch.core.private_folder import PrivateFolder
from netwatch.updates.set_check import check_set
from netwatch.updates.set_format import read_folder

DEFAULT_LIFE = timedelta(days=90)
"""How long a set is valid unless its publisher says otherwise."""

DEFAULT_TIMESTAMP_LIFE = timedelta(days=14)
"""How long a timestamp is valid, and so for how long somebody on the way can hide newer sets."""


def read_examined(folder: Path) -> dict[str, bytes]:
    """The files of the set in `folder`. Raises `ConfigError` with its problems, and `SetError`
    where it has a file that no set may have."""
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
