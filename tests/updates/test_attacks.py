"""Sets that must be refused: each attack on a repository, from a server and from a folder."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from support.sets import DAY, Publisher, served

from netwatch.core.exchange import Limits
from netwatch.updates.client import MAX_METADATA_BYTES
from netwatch.updates.set_format import SetError
from netwatch.updates.store import SetStore
from netwatch.updates.update import Mode, update

Serve = Callable[[Path], str]


@pytest.fixture(params=["server", "folder"])
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    """What makes a repository available, and returns where it is."""
    with ExitStack() as stack:
        if request.param == "server":
            yield lambda folder: stack.enter_context(served(folder))
        else:
            yield str


def refused(publisher: Publisher, source: str) -> str:
    """The reason why an update from `source` is refused, after which nothing has changed."""
    store = SetStore(publisher.options().folder)
    before = store.read_state()
    with pytest.raises(SetError) as caught:
        update(publisher.options(), source)
    assert store.read_state() == before
    assert not list((store.folder / "sets").glob("incoming*"))
    return str(caught.value)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"!")


def timestamp(folder: Path) -> Path:
    return folder / "metadata" / "timestamp.json"


def test_a_set_is_installed_and_replaced(publisher: Publisher, serve: Serve) -> None:
    publisher.publish("one.example")
    source = serve(publisher.folder)
    assert update(publisher.options(), source).outcome == "installed"
    assert update(publisher.options(), source).outcome == "current"
    publisher.publish("two.example")
    checked = update(publisher.options(), source, Mode(only_check=True))
    assert (checked.outcome, checked.offered) == ("newer", 2)
    result = update(publisher.options(), source)
    assert result.installed is not None
    assert (result.outcome, result.installed.version) == ("installed", 2)
    found = SetStore(publisher.options().folder).open_current()
    assert found is not None
    assert "two.example" in (found[1] / "apps" / "clips.yaml").read_text()


def test_a_forged_set_is_refused(publisher: Publisher, serve: Serve, tmp_path: Path) -> None:
    other = Publisher(tmp_path / "other")
    other.publish("evil.example")
    assert "not signed by the keys of the root (forged)" in refused(publisher, serve(other.folder))


def test_a_set_signed_by_the_right_role_with_a_wrong_key_is_refused(
    publisher: Publisher, serve: Serve, tmp_path: Path
) -> None:
    publisher.publish("one.example")
    update(publisher.options(), str(publisher.folder))
    stolen = Publisher(tmp_path / "other")
    # All but the key of the targets are those of the publisher.
    for role in ("root", "snapshot", "timestamp"):
        for path in [*stolen.keys.folder.glob(f"{role}-*")]:
            path.unlink()
        for path in publisher.keys.folder.glob(f"{role}-*"):
            shutil.copy2(path, stolen.keys.folder)
    shutil.rmtree(stolen.folder)
    shutil.copytree(publisher.folder, stolen.folder)
    root = json.loads((stolen.folder / "metadata" / "1.root.json").read_text())
    key = next(stolen.keys.folder.glob("targets-*.pem"))
    signer = stolen.keys.signer("targets", _key_ids(stolen, key))
    root["signed"]["keys"][signer.public_key.keyid] = signer.public_key.to_dict()
    root["signed"]["roles"]["targets"]["keyids"] = [signer.public_key.keyid]
    (stolen.folder / "metadata" / "1.root.json").write_text(json.dumps(root))
    stolen.publish("evil.example")
    assert "(forged)" in refused(publisher, serve(stolen.folder))


def _key_ids(publisher: Publisher, key: Path) -> list[str]:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    loaded = load_pem_private_key(key.read_bytes(), None)
    return [CryptoSigner(loaded).public_key.keyid]


def test_an_older_state_is_refused(publisher: Publisher, serve: Serve) -> None:
    publisher.publish("one.example")
    old = publisher.copy("old")
    publisher.publish("two.example")
    update(publisher.options(), str(publisher.folder))
    assert "older than what was seen before (rollback)" in refused(publisher, serve(old))


def test_an_older_set_is_refused_without_the_memory_of_tuf(
    publisher: Publisher, serve: Serve
) -> None:
    publisher.publish("one.example")
    old = publisher.copy("old")
    publisher.publish("two.example")
    update(publisher.options(), str(publisher.folder))
    shutil.rmtree(publisher.options().folder / "metadata")
    reason = refused(publisher, serve(old))
    assert "set 1 is older than set 2, which was in use (rollback)" in reason


def test_other_content_of_the_same_version_is_refused(publisher: Publisher, serve: Serve) -> None:
    publisher.publish("one.example")
    empty = publisher.copy("empty")
    update(publisher.options(), str(publisher.folder))
    for path in (empty / "metadata").iterdir():
        if path.name != "1.root.json":
            path.unlink()
    publisher.folder = empty
    publisher.publish("two.example")
    shutil.rmtree(publisher.options().folder / "metadata")
    assert "expected a new version for new content" in refused(publisher, serve(empty))


def test_an_expired_set_is_refused(publisher: Publisher, serve: Serve) -> None:
    publisher.publish(ago=100 * DAY, life=90 * DAY, timestamp_life=14 * DAY)
    assert "past its expiry" in refused(publisher, serve(publisher.folder))


def test_a_set_whose_manifest_alone_has_expired_is_refused(
    publisher: Publisher, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish(life=-DAY, timestamp_life=DAY)
    monkeypatch.setattr("tuf.api.metadata.Signed.is_expired", lambda *_: False)
    assert "set 1 expired at" in refused(publisher, serve(publisher.folder))


def test_a_frozen_timestamp_is_refused(publisher: Publisher, serve: Serve) -> None:
    publisher.publish("one.example", ago=20 * DAY, timestamp_life=14 * DAY)
    frozen = publisher.copy("frozen")
    publisher.publish("two.example")
    reason = refused(publisher, serve(frozen))
    assert "past its expiry, so an old state may be served (freeze)" in reason
    assert update(publisher.options(), str(publisher.folder)).offered == 2


def test_an_expired_timestamp_is_renewed_by_its_key_alone(
    publisher: Publisher, serve: Serve
) -> None:
    publisher.publish(ago=20 * DAY)
    source = serve(publisher.folder)
    assert "(freeze)" in refused(publisher, source)
    for path in publisher.keys.folder.iterdir():
        if not path.name.startswith("timestamp-"):
            path.unlink()
    publisher.repository().refresh(14 * DAY)
    assert update(publisher.options(), source).outcome == "installed"


@pytest.mark.parametrize("kind", ["targets", "snapshot"])
def test_metadata_of_two_states_are_refused(publisher: Publisher, serve: Serve, kind: str) -> None:
    publisher.publish("one.example")
    publisher.publish("two.example")
    metadata = publisher.folder / "metadata"
    shutil.copy(metadata / f"1.{kind}.json", metadata / f"2.{kind}.json")
    assert "a file is not the one that was signed" in refused(publisher, serve(publisher.folder))


def test_an_archive_of_another_set_is_refused(publisher: Publisher, serve: Serve) -> None:
    publisher.publish("one.example")
    (old,) = (publisher.folder / "targets").glob("*.set.tar.gz")
    content = old.read_bytes()
    publisher.publish("two.example")
    for path in (publisher.folder / "targets").glob("*.set.tar.gz"):
        path.write_bytes(content)
    reason = refused(publisher, serve(publisher.folder))
    assert "a file is not the one that was signed" in reason or "larger" in reason


def test_a_signed_manifest_with_the_archive_of_another_set_is_refused(
    publisher: Publisher, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Mix-and-match by somebody who has the key of the targets: the manifest still decides."""
    from netwatch.updates import repository

    publisher.publish("one.example")
    monkeypatch.setattr(repository, "pack", lambda files: b"x" * 10)
    original = repository.TargetFile.from_data

    def from_data(name: str, data: bytes, hashes: list[str]) -> object:
        return original(name, b"y" * 10 if name == "set.tar.gz" else data, hashes)

    monkeypatch.setattr(repository.TargetFile, "from_data", from_data)
    manifest = publisher.publish("two.example")
    assert manifest.archive.length == 10
    (path,) = (publisher.folder / "targets").glob(f"{manifest.archive.sha256}.*")
    import hashlib

    other = path.with_name(f"{hashlib.sha256(b'y' * 10).hexdigest()}.set.tar.gz")
    other.write_bytes(b"y" * 10)
    reason = refused(publisher, serve(publisher.folder))
    assert "set.tar.gz is not the one that set.json names" in reason


@pytest.mark.parametrize(
    "missing",
    [
        "metadata/timestamp.json",
        "metadata/2.snapshot.json",
        "metadata/2.targets.json",
        "targets/*.set.json",
        "targets/*.set.tar.gz",
    ],
)
def test_an_upload_that_is_not_complete_is_refused(
    publisher: Publisher, serve: Serve, missing: str
) -> None:
    publisher.publish("one.example")
    update(publisher.options(), str(publisher.folder))
    publisher.publish("two.example")
    half = publisher.copy("half")
    paths = sorted(half.glob(missing))
    assert paths
    for path in paths:
        path.unlink()
    reason = refused(publisher, serve(half))
    assert "a file is missing, perhaps because the upload is not complete" in reason
    assert update(publisher.options(), serve(publisher.folder)).outcome == "installed"


@pytest.mark.parametrize("cut", ["metadata/2.snapshot.json", "targets/*.set.tar.gz"])
def test_a_file_that_was_uploaded_in_part_is_refused(
    publisher: Publisher, serve: Serve, cut: str
) -> None:
    publisher.publish("one.example")
    publisher.publish("two.example")
    for path in publisher.folder.glob(cut):
        path.write_bytes(path.read_bytes()[:-5])
    assert "a file is not the one that was signed" in refused(publisher, serve(publisher.folder))


def test_an_upload_before_its_timestamp_changes_nothing(publisher: Publisher, serve: Serve) -> None:
    publisher.publish("one.example")
    old = timestamp(publisher.folder).read_bytes()
    publisher.publish("two.example")
    timestamp(publisher.folder).write_bytes(old)
    assert update(publisher.options(), serve(publisher.folder)).offered == 1


@pytest.mark.parametrize(
    "name", ["metadata/timestamp.json", "metadata/1.snapshot.json", "metadata/1.targets.json"]
)
def test_endless_metadata_are_refused(publisher: Publisher, serve: Serve, name: str) -> None:
    publisher.publish()
    with (publisher.folder / name).open("ab") as file:
        file.write(b" " * (MAX_METADATA_BYTES + 1))
    assert "a file is larger than it may be" in refused(publisher, serve(publisher.folder))


def test_a_target_that_is_too_large_is_not_downloaded(
    publisher: Publisher, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish()
    monkeypatch.setattr("netwatch.updates.client.MAX_ARCHIVE_BYTES", 100)
    reason = refused(publisher, serve(publisher.folder))
    assert "set.tar.gz: expected at most 100 bytes" in reason


def test_an_archive_that_unpacks_without_end_is_refused(
    publisher: Publisher, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"apps/clips.yaml": b"#" * 3_000_000, "bans/clips.yaml": b"#"}
    publisher.publish(files=files)
    monkeypatch.setattr("netwatch.updates.set_format.MAX_SET_FILES", 2)
    monkeypatch.setattr("netwatch.updates.set_format.MAX_SET_BYTES", 1_000_000)
    assert "expected" in refused(publisher, serve(publisher.folder))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("apps/clips.yaml", "app: clips\n", "apps/clips.yaml:1"),
        (
            "apps/clips.yaml",
            "app: clips\nname: Clips\nvendor: maker\ncategory: video\n"
            "domains: [{suffix: akamaized.net, role: exclusive, sources: [observed]}]\n",
            "[shared-zone]",
        ),
        *(
            (
                "apps/clips.yaml",
                "app: clips\nname: Clips\nvendor: maker\ncategory: video\n"
                f"domains: [{{suffix: {name}, role: exclusive, sources: [observed]}}]\n",
                f"apps/clips.yaml:5: suffix {name} is in ",
            )
            for name in (
                *("microsoft.com", "windowsupdate.com", "europa.eu", "gov.be", "corp.internal"),
            )
        ),
        (
            "apps/clips.yaml",
            "app: clips\nname: Clips\nvendor: maker\ncategory: video\n"
            "domains: [{suffix: clips.example, role: exclusive, sources: [observed]}]\n"
            "tests: {match: [other.example]}\n",
            "[example-not-matched]",
        ),
        (
            "apps/clips.yaml",
            "app: clips\nname: Clips\nvendor: maker\ncategory: video\n"
            "domains: [{suffix: tiktokcdn-us.com, role: exclusive, sources: [observed]}]\n",
            "[embedded-host]",
        ),
        ("bans/city-clips-2023.yaml", "id: city-clips-2023\napps: [none]\n", "bans/city-clips"),
    ],
    ids=["form", "lint", *"12345", "example", "embedded", "ban"],
)
def test_a_set_with_problems_is_refused(
    publisher: Publisher, serve: Serve, name: str, text: str, expected: str
) -> None:
    publisher.publish("one.example")
    update(publisher.options(), str(publisher.folder))
    from support.sets import signatures

    from netwatch.updates.update import read_examined

    files = read_examined(signatures(publisher.place / "signatures")) | {name: text.encode()}
    publisher.publish(files=files)
    reason = refused(publisher, serve(publisher.folder))
    assert "set 2 is not installed, because it has problems:\n" in reason
    assert expected in reason


def test_a_set_for_a_later_release_is_refused(publisher: Publisher, serve: Serve) -> None:
    publisher.publish(release="999.0.0")
    assert "needs netwatch 999.0.0 or newer" in refused(publisher, serve(publisher.folder))


def test_a_set_of_the_future_is_refused(publisher: Publisher, serve: Serve) -> None:
    publisher.publish(ago=-2 * DAY)
    assert "expected the clock of this machine" in refused(publisher, serve(publisher.folder))


def test_a_set_that_the_configuration_cannot_use_is_refused(
    publisher: Publisher, serve: Serve
) -> None:
    from netwatch.core.errors import Problem

    publisher.publish()
    problem = Problem("netwatch.yaml", 3, 0, "unknown app 'clips'")
    with pytest.raises(SetError, match="unknown app 'clips'"):
        update(publisher.options(), serve(publisher.folder), Mode(examine=lambda folder: [problem]))
    assert SetStore(publisher.options().folder).read_state().current is None


def test_a_server_that_is_not_there(publisher: Publisher) -> None:
    publisher.publish()
    with served(publisher.folder) as url:
        pass
    assert "it cannot be reached" in refused(publisher, url)


def test_a_server_that_never_ends(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher.publish()
    monkeypatch.setattr("netwatch.updates.client.UPDATES", Limits(-1.0))
    with served(publisher.folder) as url:
        assert "not complete after" in refused(publisher, url)


def test_a_root_of_somebody_else_is_never_taken(publisher: Publisher, tmp_path: Path) -> None:
    """Trust on first use would take the first root that the repository has."""
    other = Publisher(tmp_path / "other")
    other.publish()
    publisher.root.unlink()
    assert "cannot be read" in refused(publisher, str(other.folder))


def test_what_is_no_root_is_refused(publisher: Publisher) -> None:
    publisher.publish()
    publisher.root.write_text("{}")
    assert "its metadata are not valid" in refused(publisher, str(publisher.folder))


def test_rotated_keys_are_followed(publisher: Publisher, serve: Serve) -> None:
    publisher.publish("one.example")
    update(publisher.options(), str(publisher.folder))
    publisher.repository().rotate(["root", "targets"], 14 * DAY)
    publisher.repository().rotate(["timestamp", "snapshot"], 14 * DAY)
    source = serve(publisher.folder)
    assert update(publisher.options(), source).outcome == "current"
    publisher.publish("two.example")
    assert update(publisher.options(), source).outcome == "installed"


def test_a_revoked_key_signs_nothing_more(publisher: Publisher, serve: Serve) -> None:
    publisher.publish("one.example")
    stolen = publisher.copy("stolen")
    publisher.repository().rotate(["targets", "timestamp"], 14 * DAY)
    update(publisher.options(), str(publisher.folder))
    # The thief has the old keys, and hides that they were revoked.
    thief = publisher.folder
    publisher.folder = stolen
    publisher.publish("evil.example")
    publisher.folder = thief
    assert "(forged)" in refused(publisher, serve(stolen))


def test_a_gap_of_a_few_seconds_is_no_expiry(publisher: Publisher) -> None:
    publisher.publish(life=timedelta(hours=1), timestamp_life=timedelta(hours=1))
    assert update(publisher.options(), str(publisher.folder)).outcome == "installed"


def test_an_archive_of_a_repository(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish()
    for name, inside in (("a.tar", "."), ("b.tar", "repository")):
        tar = tmp_path / name
        cwd = publisher.folder if inside == "." else publisher.folder.parent
        assert os.system(f"tar -cf {tar} -C {cwd} {inside}") == 0
        assert update(publisher.options(), str(tar)).offered == 1
    (tmp_path / "c.tar.gz").write_bytes(b"\x1f\x8b" + b"0" * 100)
    assert "expected a folder or a tar archive" in refused(publisher, str(tmp_path / "c.tar.gz"))
    assert "found nothing" in refused(publisher, str(tmp_path / "none"))
