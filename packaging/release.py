"""Makes a release of what is committed: version, changelog, commit and tag. Nothing is pushed.

`make release VERSION=0.2.0` runs this, then builds and signs what is published. The entries under
"Unreleased" of CHANGELOG.md become those of the version; a release without an entry is refused, as
is one from a tree with changes, or with a version that is not greater than the last one. Nothing is
written before `.ci/run` has passed.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_UNRELEASED = re.compile(r"^## \[Unreleased\].*$", re.MULTILINE)
_SECTION = re.compile(r"^## ", re.MULTILINE)
_PLACES = {
    "pyproject.toml": re.compile(r'^(version = ")([^"]+)(")$', re.MULTILINE),
    "netwatch/__init__.py": re.compile(r'^(__version__ = ")([^"]+)(")$', re.MULTILINE),
}
"""Where the version stands."""


class ReleaseError(Exception):
    """The release cannot be made; the text says why, and nothing was changed."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a release, or say why not and exit with status 1."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="the version, as MAJOR.MINOR.PATCH")
    args = parser.parse_args(arguments)
    try:
        release(ROOT, args.version, datetime.now(UTC).date().isoformat())
    except ReleaseError as error:
        sys.exit(f"release: {error}")
    print(f"The tag v{args.version} was made. When what follows was built and signed:")
    print("  git push --follow-tags")
    print("  python -m twine upload build/wheels/*.whl build/wheels/*.tar.gz")


def release(root: Path, version: str, day: str) -> None:
    """Write the version and the day (YYYY-MM-DD) into the files of a checkout, commit and tag.
    Raises `ReleaseError`."""
    wanted = _numbers(version)
    if _git(root, "status", "--porcelain"):
        raise ReleaseError("the tree has changes; commit them first")
    tags = _git(root, "tag", "--list", "v*").split()
    last = max((_numbers(tag[1:]) for tag in tags if _VERSION.fullmatch(tag[1:])), default=None)
    if last is not None and wanted <= last:
        raise ReleaseError(f"{version} is not greater than {'.'.join(map(str, last))}")
    changes = {
        path: _with_version(path, (root / path).read_text(encoding="utf-8"), version)
        for path in _PLACES
    }
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    changes["CHANGELOG.md"] = with_section(changelog, version, day)
    if subprocess.run(["bash", ".ci/run"], cwd=root, check=False).returncode:
        raise ReleaseError("`.ci/run` failed")
    if _git(root, "status", "--porcelain"):
        raise ReleaseError("the tree has changes since `.ci/run` began")
    for path, text in changes.items():
        (root / path).write_text(text, encoding="utf-8")
    _git(root, "commit", "--quiet", "--all", "--message", f"Release {version}")
    _git(root, "tag", "--annotate", f"v{version}", "--message", f"netwatch {version}")


def with_section(changelog: str, version: str, day: str) -> str:
    """The changelog, whose unreleased entries are those of a version now. Raises
    `ReleaseError`."""
    heading = _UNRELEASED.search(changelog)
    if heading is None:
        raise ReleaseError("CHANGELOG.md has no section [Unreleased]")
    following = _SECTION.search(changelog, heading.end())
    entries = changelog[heading.end() : following.start() if following else None]
    if not re.search(r"^- ", entries, re.MULTILINE):
        raise ReleaseError("CHANGELOG.md says nothing under [Unreleased]")
    new = f"## [Unreleased]\n\n## [{version}] - {day}"
    return changelog[: heading.start()] + new + changelog[heading.end() :]


def _with_version(path: str, text: str, version: str) -> str:
    changed, count = _PLACES[path].subn(rf"\g<1>{version}\g<3>", text, count=1)
    if not count:
        raise ReleaseError(f"{path} has no version")
    return changed


def _numbers(version: str) -> tuple[int, ...]:
    found = _VERSION.fullmatch(version)
    if found is None:
        raise ReleaseError(f"{version!r} is not a version like 0.2.0")
    return tuple(map(int, found.groups()))


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
