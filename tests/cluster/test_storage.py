"""A ledger's objects are whole or not there, in a folder and in a bucket."""

import pickle
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.clouds import Cloud
from support.s3_faults import Fault

from netwatch.cluster.storage import MissingError, Storage, StorageError, open_storage, write

CONTENTS = (b"", b"x", b"ends with a carriage return\r", b"line\r\n", bytes(range(256)) * 300)
KINDS = ("folder", "azure", "google")


@pytest.fixture(params=KINDS)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return open_storage(str(tmp_path / "ledger"))
    cloud: Cloud = request.getfixturevalue(request.param)
    return open_storage(f"{cloud.new_bucket()}/a/ledger/")


def test_what_is_written_can_be_read(storage: Storage) -> None:
    began = time.time()
    for number, content in enumerate(CONTENTS):
        write(storage, f"results/b/{number}", content)
        assert storage.read(f"results/b/{number}") == content
        assert storage.read(f"results/b/{number}", 1, 1) == b""
    assert storage.read("results/b/3", 0, 5) == CONTENTS[3][:5]
    assert storage.read("results/b/4", 300, 700) == CONTENTS[4][300:700]
    found = {each.name: each for each in storage.objects("results")}
    assert {name: each.size for name, each in found.items()} == {
        f"results/b/{number}": len(content) for number, content in enumerate(CONTENTS)
    }
    assert all(abs(each.written - began) < 60 for each in found.values())
    write(storage, "results/b/1", b"another")
    assert storage.read("results/b/1") == b"another"
    storage.remove("results/b/1")
    storage.remove("results/b/1")
    with pytest.raises(MissingError, match=r"results/b/1: is not there$"):
        storage.read("results/b/1")
    assert len(list(storage.objects("results/"))) == len(CONTENTS) - 1
    assert not list(storage.objects("plans"))
    again: Storage = pickle.loads(pickle.dumps(storage))
    assert again.read("results/b/3") == CONTENTS[3]


def test_larger_than_what_is_sent_at_once(cloud: Cloud) -> None:
    storage, content = open_storage(cloud.new_bucket()), bytes(range(256)) * (6 << 12)
    with warnings.catch_warnings():
        # aiohttp would rather get more than a MB in pieces.
        warnings.simplefilter("ignore", ResourceWarning)
        write(storage, "x", content)
    assert storage.read("x") == content


def test_a_server_that_fails(cloud: Cloud, faults: Callable[..., None]) -> None:
    bucket = cloud.new_bucket()
    storage = open_storage(bucket)
    write(storage, "x", b"content")
    faults(cloud.fault("*", 503, times=2))
    assert storage.read("x") == b"content"
    faults(cloud.fault("*", 503))
    code = "ServerBusy" if cloud.name == "azure" else "503"
    expected = f"^{bucket}/x: cannot be read: the server answered {code}: made by a test$"
    with pytest.raises(StorageError, match=expected):
        storage.read("x")
    # The library alone makes a request again.
    assert cloud.proxy.faults[0].met == {"azure": 4, "google": 6}[cloud.name]
    denied = cloud.fault("*", 403, "AuthorizationFailure")
    faults(*(_with_method(denied, method) for method in ("PUT", "POST")))
    with pytest.raises(StorageError, match=f"^{bucket}/y: cannot be written: access is denied$"):
        write(storage, "y", b"content")
    faults()
    gone = open_storage(bucket.replace("archive", "gone"))
    with pytest.raises(StorageError, match=r"/y: cannot be written: there is no such bucket$"):
        write(gone, "y", b"content")
    assert not list(gone.objects(""))


def _with_method(fault: Fault, method: str) -> Fault:
    return replace(fault, method=method)
