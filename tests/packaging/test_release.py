"""A release changes the version everywhere, gives the changelog its section, and is tagged."""

import subprocess
from pathlib import Path

import pytest
from support.packaging_modules import packaging_modules

(release,) = packaging_modules("release")

CHANGELOG = """# Changelog

## [Unreleased]: 0.1.0

### Added

- Something.

## [0.0.9] - 2026-01-01

- Less.
"""


def git(root: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *words],
        cwd=root, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "netwatch").mkdir()
    (tmp_path / "netwatch/__init__.py").write_text('"""Text."""\n\n__version__ = "0.1.0"\n')
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "0.1.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").write_text("test ! -e broken\n")
    (tmp_path / ".gitignore").write_text("broken\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "config", "user.name", "A")
    git(tmp_path, "config", "user.email", "a@example.org")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "Begin")
    return tmp_path


def test_release(checkout: Path) -> None:
    release.release(checkout, "0.2.0", "2026-12-01")
    assert git(checkout, "tag", "--list").split() == ["v0.2.0"]
    assert git(checkout, "log", "--format=%s").splitlines() == ["Release 0.2.0", "Begin"]
    assert git(checkout, "status", "--porcelain") == ""
    assert '__version__ = "0.2.0"' in (checkout / "netwatch/__init__.py").read_text()
    assert 'version = "0.2.0"' in (checkout / "pyproject.toml").read_text()
    text = (checkout / "CHANGELOG.md").read_text()
    assert "## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added\n\n- Something.\n" in text
    with pytest.raises(release.ReleaseError, match="says nothing under"):
        release.release(checkout, "0.3.0", "2026-12-02")
    with pytest.raises(release.ReleaseError, match=r"0\.2\.0 is not greater than 0\.2\.0"):
        release.release(checkout, "0.2.0", "2026-12-02")


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "1.0.0rc1", "", "1.0.0\n"])
def test_version_of_another_form_is_refused(checkout: Path, version: str) -> None:
    with pytest.raises(release.ReleaseError, match=r"is not a version like 0\.2\.0"):
        release.release(checkout, version, "2026-12-01")


def test_tree_with_changes_is_refused(checkout: Path) -> None:
    (checkout / "new").touch()
    with pytest.raises(release.ReleaseError, match="the tree has changes"):
        release.release(checkout, "0.2.0", "2026-12-01")
    assert git(checkout, "tag", "--list") == ""


def test_nothing_is_released_that_does_not_pass(checkout: Path) -> None:
    (checkout / "broken").touch()
    with pytest.raises(release.ReleaseError, match=r"`\.ci/run` failed"):
        release.release(checkout, "0.2.0", "2026-12-01")
    assert git(checkout, "tag", "--list") == ""
    assert git(checkout, "status", "--porcelain") == ""
