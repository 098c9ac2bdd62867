"""Opens the sockets of receivers."""

import contextlib
import os
import socket
import ssl
import stat

from netwatch.core.errors import NetwatchError
from netwatch.logs.receiving.address import ReceiverAddress

RECEIVE_BUFFER = 8 << 20
"""Bytes of datagrams that the kernel keeps while nobody reads; more than ``net.core.rmem_max`` only
as root."""

BACKLOG = 128
"""Connections that wait to be accepted."""

SO_RXQ_OVFL = 40
"""Each datagram comes with the number of those that were dropped before it (socket(7))."""

_SO_RCVBUFFORCE = 33


def open_socket(address: ReceiverAddress) -> socket.socket:
    """A socket that listens at an address, without blocking. Raises `NetwatchError`."""
    try:
        opened = _unix(address) if address.path else _internet(address)
    except OSError as error:
        reason = error.strerror or str(error)
        raise NetwatchError(f"{address.text}: cannot be listened at: {reason}") from None
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


def remove_socket(path: str, identity: tuple[int, int]) -> None:
    """Remove the file of a Unix socket, if it is still the one with this device and inode."""
    with contextlib.suppress(OSError):
        status = os.lstat(path)
        if (status.st_dev, status.st_ino) == identity:
            os.unlink(path)  # noqa: PTH108


def identity_of(path: str) -> tuple[int, int]:
    """Device and inode of the file of a Unix socket."""
    status = os.lstat(path)
    return status.st_dev, status.st_ino


def _internet(address: ReceiverAddress) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    is_udp = address.scheme == "syslog+udp"
    opened = socket.socket(family, socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM)
    try:
        if is_udp:
            _enlarge(opened)
            opened.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
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
    """Remove the socket that an earlier run has left. Raises `NetwatchError` where somebody listens
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
