"""What is published is signed so that minisign, sha256sum and a reader of in-toto accept it."""

import json
import subprocess
from pathlib import Path

import pytest
from support.packaging_modules import packaging_modules
from support.programs import needs

(signing,) = packaging_modules("signing")

pytestmark = needs("minisign")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def new_key(folder: Path, name: str) -> tuple[Path, str]:
    """A pair of keys of minisign without a password: the secret one's file, and the public one."""
    public, secret = folder / f"{name}.pub", folder / f"{name}.key"
    subprocess.run(
        ["minisign", "-G", "-W", "-p", public, "-s", secret], check=True, capture_output=True
    )
    return secret, public.read_text().splitlines()[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "wheels"
    made.mkdir()
    (made / "netwatch_bans-0.2.0.tar.gz").write_bytes(b"source")
    (made / "netwatch_bans-0.2.0-py3-none-any.whl").write_bytes(b"wheel")
    return made


def verified(folder: Path, public: str) -> bool:
    """What a user checks, from another folder."""
    done = subprocess.run(
        ["minisign", "-V", "-P", public, "-m", folder / "SHA256SUMS"], cwd="/", capture_output=True
    )
    sums = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True
    )
    return done.returncode == 0 and sums.returncode == 0


def test_what_was_published_is_verified_and_what_was_changed_is_not(
    folder: Path, tmp_path: Path
) -> None:
    secret, public = new_key(tmp_path, "releaser")
    security = tmp_path / "SECURITY.md"
    security.write_text(f"# Security\n\nThe key:\n\n    {public}\n")
    signing.sign(folder, secret, security, COMMIT)
    assert verified(folder, public)
    first = (folder / "SHA256SUMS").read_bytes()
    signing.sign(folder, secret, security, COMMIT)
    assert verified(folder, public)
    assert (folder / "SHA256SUMS").read_bytes() == first
    (folder / "netwatch_bans-0.2.0.tar.gz").write_bytes(b"another")
    assert not verified(folder, public)
    assert not verified(folder, new_key(tmp_path, "stranger")[1])


def test_the_provenance_names_each_file_and_the_commit(folder: Path, tmp_path: Path) -> None:
    secret, public = new_key(tmp_path, "releaser")
    security = tmp_path / "SECURITY.md"
    security.write_text(f"    {public}\n")
    signing.sign(folder, secret, security, COMMIT)
    statement = json.loads((folder / "netwatch_bans-0.2.0.intoto.json").read_text())
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert {each["name"] for each in statement["subject"]} == {
        "netwatch_bans-0.2.0.tar.gz", "netwatch_bans-0.2.0-py3-none-any.whl"
    }  # fmt: skip
    for each in statement["subject"]:
        sum_ = subprocess.run(["sha256sum", folder / each["name"]], capture_output=True, text=True)
        assert sum_.stdout.split()[0] == each["digest"]["sha256"]
    (source,) = statement["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert source["digest"] == {"gitCommit": COMMIT}
    assert "netwatch_bans-0.2.0.intoto.json" in (folder / "SHA256SUMS").read_text()


def test_a_key_that_users_do_not_know_is_refused(folder: Path, tmp_path: Path) -> None:
    secret, _ = new_key(tmp_path, "releaser")
    security = tmp_path / "SECURITY.md"
    security.write_text(f"    {new_key(tmp_path, 'another')[1]}\n")
    with pytest.raises(signing.SigningError, match=r"is not the key whose public half"):
        signing.sign(folder, secret, security, COMMIT)
    assert not (folder / "SHA256SUMS.minisig").exists()
    security.write_text("# Security\n")
    with pytest.raises(signing.SigningError, match=r"SECURITY.md has no public key: run `minisign"):
        signing.sign(folder, secret, security, COMMIT)


def test_a_tree_with_changes_is_no_commit(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / "new").touch()
    with pytest.raises(signing.SigningError, match="the tree has changes"):
        signing.commit_of(tmp_path)
