"""Squid as a forward proxy on loopback, with an access log of its own."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from support.loopback import HOST
from support.ports import free_port, is_listening
from support.programs import Process, search_path
from support.waiting import wait_until

_CONFIGURATION = """
http_port {host}:{port}
acl denied dstdomain {denied}
http_access deny denied
http_access allow all
hosts_file {folder}/hosts
dns_nameservers {host}
access_log stdio:{folder}/access.log squid
access_log stdio:{folder}/combined.log combined
cache_log {folder}/cache.log
cache_store_log none
pid_filename {folder}/squid.pid
coredump_dir {folder}
cache deny all
cache_mem 1 MB
memory_pools off
max_filedescriptors 1024
buffered_logs off
pinger_enable off
shutdown_lifetime 0 seconds
visible_hostname proxy.example.org
"""


class Squid(NamedTuple):
    """A running Squid: its port, and the files of its logs."""

    port: int
    access: Path
    combined: Path

    def wait_for_lines(self, count: int) -> None:
        """Wait until so many requests are in both logs."""

        def have_come() -> bool:
            return all(
                path.exists() and path.read_bytes().count(b"\n") >= count
                for path in (self.access, self.combined)
            )

        wait_until(have_come, f"{count} requests are logged")


@contextmanager
def squid(names: Iterable[str], denied: Iterable[str]) -> Iterator[Squid]:
    """Squid to which all `names` are this machine, and which denies requests for those in
    `denied`."""
    # Squid gives up the rights of root, so that its folder has to be open to all.
    folder = Path(tempfile.mkdtemp(prefix="squid-"))
    try:
        folder.chmod(0o777)
        port = free_port()
        (folder / "hosts").write_text("".join(f"{HOST} {name}\n" for name in names))
        configuration = folder / "squid.conf"
        configuration.write_text(
            _CONFIGURATION.format(host=HOST, port=port, denied=" ".join(denied), folder=folder)
        )
        for path in folder.iterdir():
            path.chmod(0o644)
        program = shutil.which("squid", path=search_path())
        command = [os.fspath(program or "squid"), "-N", "-f", os.fspath(configuration)]
        process = Process(command, lambda: is_listening(port), folder)
        try:
            yield Squid(port, folder / "access.log", folder / "combined.log")
        finally:
            process.end()
    finally:
        shutil.rmtree(folder)
