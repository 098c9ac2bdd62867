"""Starts the writer of a store, and says what became of the rows of a run."""

import contextlib
import ipaddress
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection
from typing import Self

from netwatch.capture.files import CaptureFile
from netwatch.config import Config
from netwatch.core.dataclass import dataclass
from netwatch.core.errors import NetwatchError
from netwatch.core.statistics import RunStatistics
from netwatch.engine.forking import begin_worker, forking
from netwatch.engine.record_facts import Recorder, WriterConnection
from netwatch.store import messages, writer
from netwatch.store.catalogue import ClientAddress, VersionHashes
from netwatch.store.observation_rows import ClientKey
from netwatch.store.options import StoreOptions

END_TIMEOUT = 600.0
"""How long to wait for a writer that says nothing when the run has ended, in s."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Where the facts of a run go: the address of the socket of its writer. It can be sent to other
    processes."""

    address: str

    def recorder(
        self, position: int, files: Sequence[CaptureFile], statistics: RunStatistics
    ) -> Recorder:
        """A recorder of the capture in `files`, which is at `position` of the run."""
        return Recorder(WriterConnection(self.address), position, files, statistics)


class FactsProcess:
    """The writer of a store for one run, in a process of its own. It is a context: at its end the
    writer is stopped. Raises `ConfigError` and `NetwatchError` where the store cannot be opened.

    `report` takes a sentence as soon as the writer fails; `failed` is true from then on.
    """

    def __init__(
        self,
        options: StoreOptions,
        command: str,
        config: Config,
        report: Callable[[str], None],
    ) -> None:
        self._report = report
        self._place = options.path
        self.failed = False
        self.stored = 0
        self._folder = tempfile.mkdtemp(prefix="netwatch-")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                self._start(listener, options, _description(command, config), config)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _start(
        self,
        listener: socket.socket,
        options: StoreOptions,
        run: writer.RunDescription,
        config: Config,
    ) -> None:
        address = os.path.join(self._folder, "facts")  # noqa: PTH118 - an address, not a path
        listener.bind(address)
        listener.listen(256)
        with forking() as context:
            self._control, theirs = context.Pipe()
            self._process = context.Process(
                target=_write,
                args=(
                    theirs,
                    self._control,
                    listener,
                    options,
                    run,
                    partial(_locate, config),
                    config.privacy.sealing.seal_claim if config.privacy is not None else None,
                ),
                name="netwatch-store",
                daemon=True,
            )
            self._process.start()
            theirs.close()
            del theirs
        answer = self._receive()
        if isinstance(answer, messages.Failed):
            self._stop()
            raise answer.error
        if answer is None:
            self._stop()
            raise NetwatchError(f"the writer of the store {self._place} died unexpectedly")
        self.recording = Recording(address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def poll(self) -> None:
        """Notice what the writer has said."""
        while not self.failed and self._control.poll():
            self._take(self._receive())

    def send(self, message: object) -> None:
        """Send a message of the run."""
        self.poll()
        if self.failed:
            return
        try:
            self._control.send(message)
        except OSError:
            self._take(self._receive())

    def end(self, recorded: int) -> messages.Ended | None:
        """End the run, of which so many rows were recorded; None where the writer has failed, which
        was reported."""
        self.send(messages.End())
        while not self.failed:
            answer = self._receive()
            if isinstance(answer, messages.Ended):
                self.stored = answer.rows
                after = self._receive()
                if isinstance(after, messages.Failed):
                    self._report(f"the store could not be compacted: {after.error}")
                self._process.join()
                return answer
            self._take(answer)
        lost = recorded - self.stored
        self._report(
            f"the store {self._place}: {lost} of {recorded} rows of this run were lost,"
            " and its captures are not complete there"
        )
        return None

    def _receive(self) -> object:
        """The next message of the writer; None where it has died."""
        try:
            return self._control.recv()
        except (EOFError, OSError):
            return None

    def _take(self, answer: object) -> None:
        if isinstance(answer, messages.Stored):
            self.stored = answer.rows
            return
        self.failed = True
        if isinstance(answer, messages.Failed):
            self._report(f"the store cannot be written to: {answer.error}")
            return
        self._process.join(1)
        self._report(
            f"the writer of the store {self._place} died unexpectedly"
            f" (exit status {self._process.exitcode})"
        )

    def _stop(self) -> None:
        self._control.close()
        # It writes what it has got, and ends by itself.
        self._process.join(END_TIMEOUT)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        shutil.rmtree(self._folder, ignore_errors=True)


def _write(
    control: Connection,
    other: Connection,
    listener: socket.socket,
    options: StoreOptions,
    run: writer.RunDescription,
    locate: writer.Locate,
    seal: writer.Seal | None,
) -> None:
    begin_worker()
    other.close()
    with contextlib.suppress(BrokenPipeError):
        writer.serve(control, listener, options, run, locate, seal)


def _description(command: str, config: Config) -> writer.RunDescription:
    sensor = config.sensor
    versions = None
    if command != "names":
        versions = VersionHashes(sensor.version, sensor.signatures, sensor.bans, sensor.policy)
    return writer.RunDescription(command, sensor.name, versions)


def _locate(config: Config, key: ClientKey) -> ClientAddress:
    """A client with the network that it is in; one of a class with pseudonyms is sealed."""
    found = writer.located(key)
    network = config.networks.find(key.ip, key.vlan) if key.ip else None
    name, kind = (network.name, network.device_class) if network is not None else (None, None)
    privacy = config.privacy
    if privacy is None or not (privacy.covers(kind) if kind else _may_be_anybody(key.ip)):
        return ClientAddress(found.ip, found.mac, name, kind)
    sealed = privacy.sealing.seal_client(name or "", found.ip or "", found.mac)
    return ClientAddress(None, None, name, kind, sealed.pseudonym, sealed.sealed)


def _may_be_anybody(ip: bytes) -> bool:
    """Whether an address says of no network: devices of all classes have such ones until they get
    another (``0.0.0.0``, ``::``), or beside it (``fe80::/10``, ``169.254.0.0/16``)."""
    if not ip:
        return True
    address = ipaddress.ip_address(ip)
    return address.is_unspecified or address.is_link_local
