"""Whether a set is good enough to judge by: read, linted and tested before it is installed.

A signature proves who made a set, not that it is right. So what `signatures lint` and `signatures
test` find wrong, and what is wrong in a ban, keeps a set out.
"""

import contextvars
from pathlib import Path

from netwatch.core.errors import Problem
from netwatch.core.user_yaml import Problems
from netwatch.rules.bans import read_pack
from netwatch.rules.lint import lint_set
from netwatch.rules.load import BUILTIN, read_signatures, use_builtin

MAX_SHOWN_PROBLEMS = 20
"""Problems of a set that are shown."""


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
