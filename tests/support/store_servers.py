"""Servers for stores: PostgreSQL in a folder of the test, and an S3 server (moto) on loopback.

Both are started once a session. A test gets a database, or a bucket, of its own.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

_BINARIES = Path("/usr/lib/postgresql")
_UNPRIVILEGED = ("postgres", "nobody")


def _binaries() -> Path | None:
    """The folder of PostgreSQL's programs, of the newest version there is."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(_BINARIES.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else None


def _user() -> str | None:
    """The user as which PostgreSQL runs, which refuses root; None for this one."""
    if os.geteuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _UNPRIVILEGED if name in known)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URL of a PostgreSQL server, with ``{database}`` in place of the database."""
    binaries = _binaries()
    if binaries is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed")
    user = _user()
    folder = Path(tempfile.mkdtemp(prefix="netwatch-pg-", dir="/tmp"))
    if user is not None:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    data, log = folder / "data", folder / "log"

    def run(*command: str) -> None:
        done = subprocess.run(
            command, user=user, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            text = log.read_text(errors="replace") if log.exists() else ""
            pytest.fail(f"{command[0]}: {done.stdout}{done.stderr}{text}")

    run(str(binaries / "initdb"), "-D", str(data), "-U", "netwatch", "-A", "trust", "-E", "UTF8",
        "--locale=C", "--no-sync")  # fmt: skip
    options = f"-k {folder} -c listen_addresses= -c fsync=off -c shared_buffers=16MB"
    control = (str(binaries / "pg_ctl"), "-D", str(data), "-w", "-t", "60")
    # Its output goes to the log: a server that has the pipe would let this call wait for ever.
    start = subprocess.run(
        [*control, "-l", str(log), "-o", options, "start"],
        user=user,
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if start.returncode:
        pytest.fail(log.read_text(errors="replace"))
    try:
        yield f"postgresql://netwatch@/{{database}}?host={folder}"
    finally:
        run(*control, "-m", "immediate", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The URL of an empty database."""
    return new_database(postgres_server)


def new_database(postgres_server: str) -> str:
    """Create a database; its URL."""
    import psycopg

    name = f"store_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server.format(database="postgres"), autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
    return postgres_server.format(database=name)


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
