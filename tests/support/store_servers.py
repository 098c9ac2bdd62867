"""Servers for stores: PostgreSQL in a folder of the test, and an S3 server (moto) on loopback.

Both are started once a session. A test gets a database, or a bucket, of its own.
"""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.postgres_server import PostgresServer, binaries, new_catalogue, new_database


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server, with ``{database}`` in place of the database."""
    programs = binaries()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed")
    server = PostgresServer(programs)
    server.start()
    yield server.url
    server.stop()
    server.remove()


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of an empty database."""
    return new_database(postgres_server)


@pytest.fixture(params=["sqlite", "postgresql"])
def catalogue_options(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A store in a folder whose catalogue, which is empty, is of either kind."""
    from netwatch.store.options import StoreOptions

    is_server = request.param == "postgresql"
    url = new_catalogue(request.getfixturevalue("postgres_server")) if is_server else ""
    return StoreOptions(str(tmp_path / "store"), url)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of an S3 server, which this process and those that it starts use."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    settings = {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        yield url
    server.stop()


@pytest.fixture
def s3_url(s3_server: str) -> str:
    """The URL of a store in an empty bucket."""
    assert s3_server
    return new_bucket()


def new_bucket() -> str:
    """Create a bucket; the URL of a store in it."""
    import s3fs

    bucket = f"store-{uuid.uuid4().hex[:12]}"
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir(bucket)
    return f"s3://{bucket}/netwatch"
