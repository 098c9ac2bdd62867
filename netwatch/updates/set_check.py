"""Whether a set is good enough to judge by: read, linted and tested before it is installed, or
published.

A signature proves who made a set, not that it is right. So what `signatures lint` and `signatures
test` find wrong, and what is wrong in a ban, keeps a set out. What is published is a folder of
signatures after the same examination.
"""

import contextvars
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from netwatch.core.errors import ConfigError, Problem
from netwatch.core.private_files import PrivateFolder
from netwatch.core.user_yaml import Problems
from netwatch.rules.bans import read_pack
from netwatch.rules.lint import lint_set
from netwatch.rules.load import BUILTIN, read_signatures, use_builtin
from netwatch.updates.set_format import read_folder

MAX_SHOWN_PROBLEMS = 20
"""Problems of a set that are shown."""

DEFAULT_LIFE = timedelta(days=90)
"""How long a set is valid unless its publisher says otherwise."""

DEFAULT_TIMESTAMP_LIFE = timedelta(days=14)
"""How long a timestamp is valid, and so for how long somebody on the way can hide newer sets."""


def check_set(folder: Path) -> list[Problem]:
    """The problems of the apps and bans in `folder`, in order of file and line; none where the set
    is good."""
    # In a context of its own, because the set is not in use yet.
    return contextvars.copy_context().run(_check, folder)


def _check(folder: Path) -> list[Problem]:
    use_builtin(folder, examined=True)
    problems = Problems()
    catalog = read_signatures([BUILTIN], folder, problems)
    if not catalog.signatures and not problems.found:
        problems.add(str(folder), 0, "expected apps, found none")
    bans = sorted((folder / "bans").glob("*.yaml")) if (folder / "bans").is_dir() else []
    for file in bans:
        read_pack(file, catalog, problems)
    return sorted({*problems.found, *lint_set(catalog)})


def problem_lines(problems: list[Problem]) -> str:
    """The first problems, one a line, and how many there are more."""
    lines = [str(problem) for problem in problems[:MAX_SHOWN_PROBLEMS]]
    if len(problems) > MAX_SHOWN_PROBLEMS:
        lines.append(f"and {len(problems) - MAX_SHOWN_PROBLEMS} more")
    return "\n".join(lines)


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
