"""The files of a store in Azure's and Google's object stores."""

import pytest
from support.clouds import Cloud

from netwatch.core.errors import ConfigError, NetwatchError
from netwatch.store import fact_files
from netwatch.store.fact_files import FactFiles


def test_files_in_a_bucket(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = cloud.new_bucket()
    files, path = FactFiles(f"{bucket}/store"), "observation/day/x.parquet"
    written = files.write(path, lambda stream: stream.write(b"content") and None)
    assert written.size == 7
    with files.open(path) as stream:
        assert stream.read() == b"content"
    now = fact_files.time.time()
    monkeypatch.setattr("netwatch.store.fact_files.time.time", lambda: now + 7200)
    ((found, age),) = files.walk("observation")
    assert found == path
    # What is left of a writer is swept by its age.
    assert 7100 < age < 7300
    files.remove(path)
    files.remove(path)
    assert not list(files.walk("observation"))
    with pytest.raises(NetwatchError, match=f"^{bucket}/store/{path}: no such object or folder$"):
        files.open(path).read()


def test_what_is_left_unfinished_is_not_there(cloud: Cloud) -> None:
    files = FactFiles(f"{cloud.new_bucket()}/store")

    def fill(stream: object) -> None:
        raise OSError(28, "no space left")

    with pytest.raises(NetwatchError, match=r"x: no space left$"):
        files.write("x", fill)
    assert not list(files.walk(""))


def test_a_url_that_names_no_bucket() -> None:
    with pytest.raises(ConfigError, match=r"^gs:///store: expected the name of a bucket$"):
        FactFiles("gs:///store")
