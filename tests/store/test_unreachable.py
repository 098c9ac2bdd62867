"""A bucket that does not answer is an error that is said, not a crash."""

from collections.abc import Callable
from typing import Any

import pytest
from support.ports import free_port

from netwatch.core.errors import NetwatchError
from netwatch.store.fact_files import FactFiles

CALLS: dict[str, Callable[[FactFiles], Any]] = {
    "write": lambda files: files.write("a/b", lambda stream: stream.write(b"x") and None),
    "open": lambda files: files.open("a/b"),
    "remove": lambda files: files.remove("a/b"),
    "walk": lambda files: list(files.walk("a")),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_is_not_there(call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    s3fs = pytest.importorskip("s3fs")
    # Each call is tried again some times, which takes seconds.
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(NetwatchError, match=r"s3://bucket/x/a.*Could not connect"):
        CALLS[call](FactFiles("s3://bucket/x"))
    s3fs.S3FileSystem.clear_instance_cache()
