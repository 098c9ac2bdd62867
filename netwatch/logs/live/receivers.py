"""Receives logs that are sent: all sockets of a capture, in one loop that never waits for a sender.

Everybody who reaches a socket may send, so all is bounded: connections in all and of one address,
the length of a record, the time until a connection is used, and what is read at a time. What was
refused or dropped is counted.
"""

import contextlib
import ipaddress
import os
import selectors
import socket
import ssl
import stat
import struct
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from netwatch.core.errors import NetwatchError
from netwatch.flow_export.known_exporters import Exporters
from netwatch.logs.live.source import FLOW_RECORDS, UNIX, Batch, Frames, ReceiverAddress

RECEIVE_BUFFER = 8 << 20
"""Bytes of datagrams that the kernel keeps while nobody reads; more than ``net.core.rmem_max`` only
as root."""

BACKLOG = 128
"""Connections that wait to be accepted."""

_SO_MEMINFO = 55
_MEMINFO = struct.Struct("=9I")
_USED = 0
_SIZE = 1
_DROPS = 8
_SO_RCVBUFFORCE = 33

MAX_CONNECTIONS = 256
"""Connections at a time, in all."""

MAX_OF_ADDRESS = 64
"""Connections of one address that is not of loopback."""

BEGIN_SECONDS = 60.0
"""Seconds in which a connection has to bring its first record."""

IDLE_SECONDS = 4 * 3600.0
"""Seconds that a connection may then be idle. A sender notices an end only with a record that it
loses, so this is long; connections that are idle give way earlier if there are too many."""

EVICTION_IDLE = 60.0
"""Seconds that a connection has to be idle to give way to another one."""

DATAGRAM = 1 << 16
"""Bytes of a datagram."""

DATAGRAMS = 512
"""Datagrams that are read at a time."""

MAX_REST = 0.1
"""Seconds after flow records in which more of them gather, so that what a turn costs is shared."""

NAPS = 5
"""Naps of a rest, which ends after one in which much has come."""

NAP_RATE = 800_000_000
"""Bytes a second that may come in a nap: so much the kernel keeps even if it comes that fast."""

RECEIVE_SIZE = 1 << 16
RECEIVES = 8
"""Bytes that are read of a connection at a time, and how often before others are looked at."""

MAX_REFUSED = 8
"""Senders of flow records that are none of the exporters, of which the address is said."""

_TIDY_SECONDS = 1.0


def open_socket(address: ReceiverAddress) -> socket.socket:
    """A socket that listens at an address, without blocking. Raises `NetwatchError`."""
    try:
        opened = _unix(address) if address.path else _internet(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise NetwatchError(f"{address.text}: cannot listen: {reason}") from None
    opened.setblocking(False)
    return opened


def tls_context(address: ReceiverAddress) -> ssl.SSLContext:
    """The certificate of a receiver over TLS. Raises `NetwatchError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(address.certificate, address.key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise NetwatchError(f"{address.text}: the certificate cannot be read: {reason}") from None
    return context


def _identity(path: str) -> tuple[int, int]:
    """Device and inode of the file of a Unix socket."""
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _internet(address: ReceiverAddress) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    is_udp = address.scheme.frames is None
    opened = socket.socket(family, socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM)
    try:
        if is_udp:
            _enlarge(opened)
        else:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((address.host, address.port))
        if not is_udp:
            opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        raise
    return opened


def _enlarge(opened: socket.socket) -> None:
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except OSError:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)


def _unix(address: ReceiverAddress) -> socket.socket:
    _remove_stale(address)
    opened = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777)
    try:
        # Nobody can connect before the file has its permissions.
        opened.bind(address.path)
        if address.group is not None:
            os.chown(address.path, -1, address.group)
        os.chmod(address.path, address.mode)  # noqa: PTH101
        opened.listen(BACKLOG)
    except BaseException:
        opened.close()
        raise
    finally:
        os.umask(before)
    return opened


def _remove_stale(address: ReceiverAddress) -> None:
    """Remove the socket that an earlier run has left. Raises `NetwatchError` if somebody listens
    there, or where it is something else."""
    try:
        status = os.lstat(address.path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode) or status.st_uid != os.geteuid():
        raise NetwatchError(f"{address.text}: there is a file that is not a socket of this user")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(address.path)
        except ConnectionRefusedError:
            os.unlink(address.path)  # noqa: PTH108
            return
    raise NetwatchError(f"{address.text}: another process listens there")


class _Connection:
    """A connection, what divides it, and when it was opened and last heard of (monotonic s)."""

    __slots__ = ("address", "frames", "last", "peer", "since", "socket", "too_long")

    def __init__(
        self,
        connected: socket.socket,
        address: ReceiverAddress,
        frames: Frames,
        peer: str,
        now: float,
    ) -> None:
        self.socket = connected
        self.address = address
        self.frames = frames
        self.peer = peer
        self.since = self.last = now
        self.too_long = 0

    def is_overdue(self, now: float) -> bool:
        """Whether nothing useful came for too long."""
        if not self.frames.has_begun:
            return now - self.since > BEGIN_SECONDS
        return now - self.last > IDLE_SECONDS


class Receivers:
    """Listens at `addresses`. Flow records are taken of `exporters`, which may be replaced, and of
    anybody if that is None. Raises `NetwatchError` if that is not possible.

    `events` counts what went wrong, by name. `dropped` datagrams were dropped by the kernel.
    `notes` are sentences, which the caller may remove.
    """

    def __init__(
        self, addresses: Sequence[ReceiverAddress], exporters: Exporters | None = None
    ) -> None:
        self.events = Counter[str]()
        self.notes: list[str] = []
        self.exporters = exporters
        self._refused: set[str] = set()
        self._sockets: list[tuple[ReceiverAddress, socket.socket]] = []
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._identities: dict[str, tuple[int, int]] = {}
        self._connections: dict[int, _Connection] = {}
        self._received: list[Batch] = []
        self._counts = Counter[str]()
        self._selector: selectors.BaseSelector | None = None
        self._next_tidy = 0.0
        # How long a nap is in which flow records gather before the next turn, s.
        self._nap = 0.0
        try:
            for address in addresses:
                if address.scheme.is_tls:
                    self._contexts[address.text] = tls_context(address)
                self._sockets.append((address, open_socket(address)))
                if address.path:
                    self._identities[address.path] = _identity(address.path)
                self._note_strangers(address)
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._connections)

    @property
    def dropped(self) -> int:
        """Datagrams that the kernel dropped because they were not read in time."""
        return sum(info[_DROPS] for info in self._memory())

    @property
    def ports(self) -> list[int]:
        """The ports that are listened at, for addresses with port 0."""
        return [opened.getsockname()[1] for address, opened in self._sockets if address.host]

    def poll(self, timeout: float, now: float) -> list[Batch]:
        """What arrives within `timeout` s; `now` is the monotonic time in s."""
        selector = self._selector or self._select()
        rested = self._gather(timeout)
        for key, _ in selector.select(max(0.0, timeout - rested)):
            at = key.data
            if isinstance(at, _Connection):
                # It may have given way to another one just now.
                if at.socket.fileno() >= 0:
                    self._read(at, now)
            elif at.scheme.frames is None:
                self._read_datagrams(at, key.fileobj)
            else:
                self._accept(at, at.scheme.frames(), key.fileobj, now)
        if now >= self._next_tidy:
            self._next_tidy = now + _TIDY_SECONDS
            for connection in list(self._connections.values()):
                if connection.is_overdue(now):
                    self._drop(connection, "connection-idle")
        received, self._received = self._received, []
        return received

    def close(self) -> None:
        """Close all sockets and connections, and remove the files of Unix sockets."""
        self.detach()
        for path, identity in self._identities.items():
            with contextlib.suppress(OSError):
                if _identity(path) == identity:  # it is still the own one
                    os.unlink(path)  # noqa: PTH108

    def detach(self) -> None:
        """Close the descriptors of this process only, after a fork."""
        if self._selector is not None:
            self._selector.close()
            self._selector = None
        for connection in self._connections.values():
            connection.socket.close()
        self._connections.clear()
        for _, opened in self._sockets:
            opened.close()
        self._sockets.clear()

    def _gather(self, timeout: float) -> float:
        """Rest while flow records gather and the kernel has room for more of them, and tell for
        how long that was, s."""
        nap, self._nap = min(self._nap, timeout / NAPS), 0.0
        if nap <= 0:
            return 0.0
        rested = 0.0
        for _ in range(NAPS):
            time.sleep(nap)
            rested += nap
            if any(info[_USED] > info[_SIZE] // 4 for info in self._memory()):
                break
        return rested

    def _memory(self) -> Iterator[tuple[int, ...]]:
        """What the kernel says of the memory of each socket for datagrams."""
        for address, opened in self._sockets:
            if address.scheme.frames is None:
                found = opened.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
                yield _MEMINFO.unpack(found)

    def _select(self) -> selectors.BaseSelector:
        """The selector, which is not made before the fork: processes would share it."""
        self._selector = selectors.DefaultSelector()
        for address, opened in self._sockets:
            self._selector.register(opened, selectors.EVENT_READ, address)
        return self._selector

    def _add(self, address: ReceiverAddress, sender: str, records: Sequence[bytes]) -> None:
        """Number records of a sender, which its receiver has got."""
        if records:
            first = self._counts[address.text] + 1
            self._counts[address.text] += len(records)
            self._received.append(Batch(first, records, receiver=address, sender=sender))

    def _read_datagrams(self, address: ReceiverAddress, opened: object) -> None:
        assert isinstance(opened, socket.socket)
        is_text = address.scheme.format is None
        # Datagrams that come one behind the other from one sender, whose records are taken.
        records: list[bytes] = []
        accepted = ""
        for _ in range(DATAGRAMS):
            try:
                data, (sender, *_) = opened.recvfrom(DATAGRAM)
            except OSError:  # BlockingIOError, or an ICMP error for an earlier datagram
                if not is_text and records:
                    size = opened.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
                    self._nap = min(MAX_REST / NAPS, size / NAP_RATE)
                break
            if sender != accepted:
                if not self._accepts(address, sender):
                    continue
                self._add(address, accepted, records)
                accepted, records = sender, []
            record = data.rstrip(b"\r\n\0") if is_text else data
            if record:
                records.append(record)
        self._add(address, accepted, records)

    def _note_strangers(self, address: ReceiverAddress) -> None:
        """Say where flow records are taken of anybody who reaches this machine."""
        if address.scheme.format != FLOW_RECORDS or self.exporters is not None:
            return
        if not ipaddress.ip_address(address.host).is_loopback:
            self.notes.append(
                f"{address.text}: flow records of all senders are taken; 'exporters' in"
                " netwatch.yaml names yours"
            )

    def _accepts(self, address: ReceiverAddress, sender: str) -> bool:
        """Whether what a sender sends is taken; else it is counted."""
        if not address.accepts(sender):
            self.events["sender-refused"] += 1
            return False
        if self.exporters is None or address.scheme.format != FLOW_RECORDS:
            return True
        if self.exporters.of(sender) is not None:
            return True
        self.events["exporter-unknown"] += 1
        if sender not in self._refused and len(self._refused) < MAX_REFUSED:
            self._refused.add(sender)
            self.notes.append(
                f"{address.text}: {sender} is none of the 'exporters' of the configuration, and"
                " what it sends is refused"
            )
        return False

    def _accept(self, address: ReceiverAddress, frames: Frames, opened: object, now: float) -> None:
        assert isinstance(opened, socket.socket)
        try:
            connected, name = opened.accept()
        except OSError:
            return
        peer = name[0] if address.host else UNIX
        if address.host and not self._accepts(address, peer):
            connected.close()
            return
        if not self._has_room(peer, now):
            self.events["connection-refused"] += 1
            connected.close()
            return
        connected.setblocking(False)
        if address.host:
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        context = self._contexts.get(address.text)
        if context is not None:
            try:
                connected = context.wrap_socket(
                    connected, server_side=True, do_handshake_on_connect=False
                )
            except OSError:
                connected.close()
                return
        connection = _Connection(connected, address, frames, peer, now)
        self._connections[connected.fileno()] = connection
        assert self._selector is not None
        self._selector.register(connected, selectors.EVENT_READ, connection)

    def _has_room(self, peer: str, now: float) -> bool:
        """Whether there may be another connection; one that is of no use gives way to it."""
        of_peer = sum(each.peer == peer for each in self._connections.values())
        if not peer.startswith(("127.", "::1", UNIX)) and of_peer >= MAX_OF_ADDRESS:
            return False
        if len(self._connections) < MAX_CONNECTIONS:
            return True
        oldest = min(
            self._connections.values(), key=lambda each: (each.frames.has_begun, each.last)
        )
        if oldest.frames.has_begun and now - oldest.last < EVICTION_IDLE:
            return False
        self._drop(oldest, "connection-evicted")
        return True

    def _read(self, connection: _Connection, now: float) -> None:
        reads = 0
        # What TLS has decrypted already makes no socket readable.
        while reads < RECEIVES or _pending(connection.socket):
            reads += 1
            try:
                data = connection.socket.recv(RECEIVE_SIZE)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except ssl.SSLError:
                self._drop(connection, "tls-failed")
                return
            except OSError:
                data = b""
            if not data:
                self._take(connection, connection.frames.end())
                self._drop(connection, connection.frames.failure)
                return
            connection.last = now
            records, answer = connection.frames.feed(data)
            self._take(connection, records)
            failure = connection.frames.failure
            if not failure and answer and not _is_sent(connection.socket, answer):
                failure = "answer-not-taken"
            if failure:
                self._drop(connection, failure)
                return

    def _take(self, connection: _Connection, records: list[bytes]) -> None:
        self._add(connection.address, connection.peer, records)
        self.events["line-too-long"] += connection.frames.too_long - connection.too_long
        connection.too_long = connection.frames.too_long

    def _drop(self, connection: _Connection, reason: str = "") -> None:
        """Close a connection, for a reason that is counted if one is given."""
        if reason:
            self.events[reason] += 1
        del self._connections[connection.socket.fileno()]
        assert self._selector is not None
        self._selector.unregister(connection.socket)
        with contextlib.suppress(OSError):
            connection.socket.close()


def _pending(connected: socket.socket) -> int:
    return connected.pending() if isinstance(connected, ssl.SSLSocket) else 0


def _is_sent(connected: socket.socket, answer: bytes) -> bool:
    """Send an answer, which is so short that the buffer of every socket has room for it."""
    try:
        return connected.send(answer) == len(answer)
    except OSError:
        return False
