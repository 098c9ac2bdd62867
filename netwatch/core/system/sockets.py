"""What a system says of a connection."""

import socket
import struct
import sys


def unacknowledged_bytes(connection: socket.socket) -> int:
    """Bytes that the receiver's kernel has not acknowledged; 0 if our kernel cannot tell."""
    if sys.platform == "win32":
        return 0
    import fcntl
    import termios

    try:
        answer = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])
