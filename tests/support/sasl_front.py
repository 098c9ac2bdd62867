"""A proxy in front of a Kafka broker that authenticates clients with SASL.

It implements SaslHandshake and SaslAuthenticate of the Kafka protocol (KIP-43, KIP-152), and in
the latter PLAIN (RFC 4616) and SCRAM (RFC 5802, RFC 7677).
"""

import base64
import contextlib
import hashlib
import hmac
import secrets
import socket
import struct
import threading

from support.receivers import Listener

API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE = 18, 17, 36
UNSUPPORTED_SASL_MECHANISM, SASL_AUTHENTICATION_FAILED = 33, 58
HASHES = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
ITERATIONS = 4096


class RefusedError(Exception):
    """The client is not authenticated."""


class SaslFront:
    """Listens on `port` and forwards to the broker on the port `target`. `users` maps users to
    passwords. `authenticated` has those who authenticated, with the mechanism."""

    def __init__(self, target: int, users: dict[str, str]) -> None:
        self._target = target
        self._users = users
        self.authenticated: set[tuple[str, str]] = set()
        self._open: set[socket.socket] = set()
        self._listener = Listener(self._serve)
        self.port = self._listener.port

    def _serve(self, client: socket.socket) -> None:
        with (
            contextlib.suppress(OSError),
            client,
            socket.create_connection(("127.0.0.1", self._target), 5) as server,
        ):
            self._open |= {client, server}
            try:
                if self._authenticate(client, server):
                    back = threading.Thread(target=copy, args=(server, client), daemon=True)
                    back.start()
                    copy(client, server)
                    back.join()
            finally:
                self._open -= {client, server}

    def _authenticate(self, client: socket.socket, server: socket.socket) -> bool:
        """Answer requests until the client is authenticated or rejected; whether it is."""
        mechanism, steps = "", None
        while request := frame(client):
            key, version, correlation, named = struct.unpack_from(">hhih", request)
            body = request[10 + max(0, named) :]
            if key == API_VERSIONS:
                server.sendall(struct.pack(">i", len(request)) + request)
                answer = frame(server)
            elif key == SASL_HANDSHAKE:
                mechanism = body[2:].decode()
                known = mechanism == "PLAIN" or mechanism in HASHES
                offered = b"".join(map(string, ["PLAIN", *HASHES]))
                error = 0 if known else UNSUPPORTED_SASL_MECHANISM
                answer = struct.pack(">ihi", correlation, error, 1 + len(HASHES)) + offered
                steps = self._steps(mechanism) if known else None
                if steps:
                    next(steps)
            elif key == SASL_AUTHENTICATE and steps is not None:
                error, why, reply, done = 0, struct.pack(">h", -1), b"", False
                try:
                    reply = steps.send(body[4:])
                except RefusedError:
                    error, why = SASL_AUTHENTICATION_FAILED, string("Authentication failed")
                except StopIteration as end:
                    user, reply = end.value
                    done = True
                answer = struct.pack(">ih", correlation, error) + why
                answer += struct.pack(">i", len(reply)) + reply + (bytes(8) if version else b"")
            else:
                return False
            client.sendall(struct.pack(">i", len(answer)) + answer)
            if key == SASL_AUTHENTICATE and (error or done):
                if done:
                    self.authenticated.add((user, mechanism))
                return done
        return False

    def _steps(self, mechanism: str):
        """Yields the answer to each message of the client; returns the user and the last answer."""
        if mechanism == "PLAIN":
            _, user, password = (yield b"").decode().split("\0")
            if self._users.get(user) != password:
                raise RefusedError
            return user, b""
        algorithm = HASHES[mechanism]
        first = (yield b"").decode().removeprefix("n,,")
        asked = dict(part.split("=", 1) for part in first.split(","))
        salt, nonce = secrets.token_bytes(16), asked["r"] + secrets.token_hex(12)
        challenge = f"r={nonce},s={base64.b64encode(salt).decode()},i={ITERATIONS}"
        final = (yield challenge.encode()).decode()
        bare, _, proof = final.rpartition(",p=")
        password = self._users.get(asked["n"], secrets.token_hex(16)).encode()
        salted = hashlib.pbkdf2_hmac(algorithm, password, salt, ITERATIONS)
        both = f"{first},{challenge},{bare}".encode()
        key = hmac.digest(salted, b"Client Key", algorithm)
        signature = hmac.digest(hashlib.new(algorithm, key).digest(), both, algorithm)
        expected = bytes(a ^ b for a, b in zip(key, signature, strict=True))
        if not hmac.compare_digest(expected, base64.b64decode(proof)) or f",r={nonce}" not in bare:
            raise RefusedError
        ours = hmac.digest(hmac.digest(salted, b"Server Key", algorithm), both, algorithm)
        return asked["n"], b"v=" + base64.b64encode(ours)

    def end(self) -> None:
        """Close all connections."""
        self._listener.end()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def string(text: str) -> bytes:
    """A STRING of the protocol."""
    return struct.pack(">h", len(text)) + text.encode()


def frame(source: socket.socket) -> bytes:
    """The next request or response; empty at the end of the stream."""
    head = source.recv(4, socket.MSG_WAITALL)
    size = struct.unpack(">i", head)[0] if len(head) == 4 else 0
    return source.recv(size, socket.MSG_WAITALL) if size else b""


def copy(source: socket.socket, target: socket.socket) -> None:
    """Forward all data and the end of the stream."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
