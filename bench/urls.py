"""Captures at URLs: the same office traffic from a folder, from an S3 server (moto) on this
machine, and from a copy that is fetched from there first.

The server takes CPU time of the machine as well, which is not counted: CPU seconds are those of the
measured command, and where there are two CPUs the wall-clock time is that of the server.
"""

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from alternate import alternate, table
from captures import Traffic, capture
from compare import Options
from measure import ENVIRONMENT, netwatch
from peers import CONFIG

FILES = 6
PACKETS = 60_000
"""Packets of a capture, some 50 MB, or fewer where less office traffic is measured."""

_SERVER = """
import logging, sys
from moto.server import main
logging.getLogger("werkzeug").setLevel(logging.ERROR)
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
"""
_UPLOAD = """
import sys, boto3
client = boto3.client("s3")
client.create_bucket(Bucket="bench")
for number in range(int(sys.argv[1])):
    client.upload_file(sys.argv[2], "bench", f"{number}.pcap")
"""
_COPY = """
import sys, boto3
client = boto3.client("s3")
for number in range(int(sys.argv[1])):
    body = client.get_object(Bucket="bench", Key=f"{number}.pcap")["Body"]
    with open(f"{sys.argv[2]}/{number}.pcap", "wb") as file:
        while piece := body.read(1 << 20):
            file.write(piece)
"""


@contextlib.contextmanager
def s3_server() -> Iterator[None]:
    """An S3 server in a process of its own, which measured commands find in their environment."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    before = dict(os.environ), dict(ENVIRONMENT)
    os.environ.update(settings)
    ENVIRONMENT.update(settings)
    server = subprocess.Popen([sys.executable, "-c", _SERVER, port], stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", int(port))):
                break
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()
        for environment, values in zip((os.environ, ENVIRONMENT), before, strict=True):
            environment.clear()
            environment.update(values)


def urls(options: Options) -> dict[str, Any]:
    """Measure a scan of each form."""
    path, _ = capture(Traffic("office", min(PACKETS, options.office)), options.work)
    folder, copied = options.work / "urls", options.work / "urls-copied"
    for each in (folder, copied):
        shutil.rmtree(each, ignore_errors=True)
        each.mkdir(parents=True)
    with s3_server():
        # In another process: the peak of a measured one includes that of this one at the fork.
        subprocess.run([sys.executable, "-c", _UPLOAD, str(FILES), str(path)], check=True)
        for number in range(FILES):
            shutil.copy(path, folder / f"{number}.pcap")
        scan = netwatch("scan", "-q", "-c", str(CONFIG), "--format", "jsonl")
        copy = shlex.join([sys.executable, "-c", _COPY, str(FILES), str(copied)])
        commands = {
            "from a folder": [*scan, str(folder)],
            "from S3": [*scan, "s3://bench/"],
            "from S3, one of them": [*scan, "s3://bench/0.pcap"],
            "fetched first": ["sh", "-c", f"{copy} && {shlex.join([*scan, str(copied)])}"],
        }
        found = alternate("urls", commands, options)
    size = FILES * path.stat().st_size
    for each in (folder, copied):
        shutil.rmtree(each)
    return {"size": size, "files": FILES, "commands": found}


def text(found: dict[str, Any]) -> str:
    """What was measured as text."""
    head = f"captures at URLs: {found['files']} files, {found['size'] / 1e6:.0f} MB"
    return f"{head}\n{table(found['commands'])}"
