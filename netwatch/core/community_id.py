# cython: language_level=3, boundscheck=True, wraparound=False
"""Community ID: an identifier of a flow that every tool computes alike.

This is version 1 of https://github.com/corelight/community-id-spec, for protocols with ports.
`community_id` is the definition. `CommunityIds` writes the ones for the rows of an observation
batch as text, without a Python object: the hashed message is always shorter than a block of SHA-1
(FIPS 180-4), which is computed here, and rows of one flow are computed once.
"""

import hashlib
import struct
from binascii import b2a_base64
from functools import lru_cache

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.core.instructions import netwatch_has_sha, netwatch_sha1
    from cython.cimports.netwatch.core.observation_batch import ObservationBatch
else:
    from netwatch.core import observation_columns as columns
    from netwatch.core.observation_batch import ObservationBatch

from netwatch.core.buffers import Buffer, Words, array, zeroed

_pack_seed = struct.Struct("!H").pack
_pack_proto_and_ports = struct.Struct("!BBHH").pack

CACHE_LIMIT = 4096
"""How many flows are cached: the messages of one flow arrive close together."""


@lru_cache(CACHE_LIMIT)
def community_id(src: bytes, dst: bytes, sport: int, dport: int, proto: int, seed: int = 0) -> str:
    """The Community ID of the flow between two endpoints, the same for both directions.

    Both addresses are packed (4 or 16 bytes), ports and `seed` are 16-bit integers, `proto` is
    the IP protocol number (6 for TCP, 17 for UDP, 132 for SCTP).
    """
    if (dst, dport) < (src, sport):
        src, dst, sport, dport = dst, src, dport, sport
    ports = _pack_proto_and_ports(proto, 0, sport, dport)
    digest = hashlib.sha1(_pack_seed(seed) + src + dst + ports, usedforsecurity=False).digest()
    return "1:" + b2a_base64(digest, newline=False).decode("ascii")


SIZE = cython.declare(cython.Py_ssize_t, 30)
"""Characters of a Community ID: ``1:`` and 20 bytes in base64."""

FLOWS = cython.declare(cython.Py_ssize_t, 4096)
LOW32 = cython.declare(cython.uint, 0xFFFFFFFF)
# The initial state of SHA-1, and the constant of each of its four parts.
H0 = cython.declare(cython.uint, 0x67452301)
H1 = cython.declare(cython.uint, 0xEFCDAB89)
H2 = cython.declare(cython.uint, 0x98BADCFE)
H3 = cython.declare(cython.uint, 0x10325476)
H4 = cython.declare(cython.uint, 0xC3D2E1F0)
K0 = cython.declare(cython.uint, 0x5A827999)
K1 = cython.declare(cython.uint, 0x6ED9EBA1)
K2 = cython.declare(cython.uint, 0x8F1BBCDC)
K3 = cython.declare(cython.uint, 0xCA62C1D6)

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


@cython.final
@cython.cclass
class CommunityIds:
    """Writes Community IDs of one batch after the other.

    `flows` caches the last flow in each of `FLOWS` slots: addresses, ports and protocol. Addresses
    are text numbers, valid until `forget`. If `native`, instructions of the processor hash.
    """

    def __init__(self) -> None:
        self.native = cython.compiled and netwatch_has_sha() != 0
        self.flows: Words = zeroed("q", 2 * FLOWS)
        self.ids: Buffer = zeroed("B", SIZE * FLOWS)
        self.alphabet: Buffer = bytearray(ALPHABET)
        self.message: Buffer = bytearray(64)
        self.schedule: Words = array("I", bytes(4 * 80))
        self.digest: Words = array("I", bytes(4 * 6))

    def forget(self) -> None:
        """Forget all flows: the next rows belong to another batch."""
        i: cython.Py_ssize_t
        for i in range(2 * FLOWS):
            self.flows[i] = 0

    def has_id(self, batch: ObservationBatch, row: cython.Py_ssize_t) -> cython.bint:
        """Whether a row has all addresses and ports: logs may lack some."""
        at: cython.Py_ssize_t = row * columns.WORDS
        return (
            batch.words[at + columns.WORD_CLIENT_IP] != 0
            and batch.words[at + columns.WORD_SERVER_IP] != 0
            and batch.words[at + columns.WORD_CLIENT_PORT] >= 0
            and batch.words[at + columns.WORD_SERVER_PORT] >= 0
        )

    def write(
        self, batch: ObservationBatch, row: cython.Py_ssize_t, out: Buffer, to: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Write a row's Community ID of 30 characters at `to`, and return where it ends. A client
        whose address is a pseudonym has none."""
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t = row * columns.WORDS
        client: cython.longlong = batch.words[at + columns.WORD_CLIENT_IP]
        server: cython.longlong = batch.words[at + columns.WORD_SERVER_IP]
        client_port: cython.longlong = batch.words[at + columns.WORD_CLIENT_PORT]
        server_port: cython.longlong = batch.words[at + columns.WORD_SERVER_PORT]
        protocol: cython.longlong = batch.words[at + columns.WORD_TRANSPORT]
        size: cython.Py_ssize_t = batch.starts[client + 1] - batch.starts[client]
        if size != 4 and size != 16:
            return to
        addresses: cython.longlong = client << 32 | server
        ports: cython.longlong = client_port << 32 | server_port << 8 | protocol
        place: cython.Py_ssize_t = (client * 31 + server * 17 + client_port * 7 + server_port) & (
            FLOWS - 1
        )
        if self.flows[2 * place] != addresses or self.flows[2 * place + 1] != ports:
            self._hash(self._fill(batch, client, server, client_port, server_port, protocol))
            self._encode(SIZE * place)
            self.flows[2 * place] = addresses
            self.flows[2 * place + 1] = ports
        if cython.compiled:
            memcpy(cython.address(out[to]), cython.address(self.ids[SIZE * place]), SIZE)
        else:
            for i in range(SIZE):
                out[to + i] = self.ids[SIZE * place + i]
        return to + SIZE

    def _fill(
        self,
        batch: ObservationBatch,
        client: cython.longlong,
        server: cython.longlong,
        client_port: cython.longlong,
        server_port: cython.longlong,
        protocol: cython.longlong,
    ) -> cython.Py_ssize_t:
        """Write the hash input to `message`: a seed of 0, both endpoints in their order, protocol
        and ports. Returns its size."""
        if self._is_behind(batch, client, client_port, server, server_port):
            client, server = server, client
            client_port, server_port = server_port, client_port
        self.message[0] = self.message[1] = 0
        at: cython.Py_ssize_t = self._address(batch, server, self._address(batch, client, 2))
        self.message[at] = protocol
        self.message[at + 1] = 0
        self.message[at + 2] = client_port >> 8
        self.message[at + 3] = client_port & 255
        self.message[at + 4] = server_port >> 8
        self.message[at + 5] = server_port & 255
        return at + 6

    def _is_behind(
        self,
        batch: ObservationBatch,
        one: cython.longlong,
        one_port: cython.longlong,
        other: cython.longlong,
        other_port: cython.longlong,
    ) -> cython.bint:
        """Whether the first endpoint is greater, by the bytes of its address and then its port."""
        i: cython.Py_ssize_t
        a: cython.Py_ssize_t = batch.starts[one]
        b: cython.Py_ssize_t = batch.starts[other]
        if one == other:
            return one_port > other_port
        size: cython.Py_ssize_t = batch.starts[one + 1] - a
        other_size: cython.Py_ssize_t = batch.starts[other + 1] - b
        for i in range(min(size, other_size)):
            if batch.octets[a + i] != batch.octets[b + i]:
                return batch.octets[a + i] > batch.octets[b + i]
        return size > other_size

    def _address(
        self, batch: ObservationBatch, text: cython.longlong, to: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Copy an address of at most 16 bytes, and return where it ends in `message`."""
        i: cython.Py_ssize_t
        start: cython.Py_ssize_t = batch.starts[text]
        size: cython.Py_ssize_t = min(batch.starts[text + 1] - start, 16)
        for i in range(size):
            self.message[to + i] = batch.octets[start + i]
        return to + size

    # All indices are below the sizes of these buffers; SHA-1 takes twice as long with checks.
    @cython.boundscheck(False)
    def _hash(self, size: cython.Py_ssize_t) -> None:
        """The SHA-1 of the first `size` bytes of `message` as five words of `digest`."""
        i: cython.Py_ssize_t
        a: cython.uint
        b: cython.uint
        c: cython.uint
        d: cython.uint
        e: cython.uint
        f: cython.uint
        w: cython.uint
        self.message[size] = 0x80
        for i in range(size + 1, 62):
            self.message[i] = 0
        self.message[62] = (size * 8) >> 8
        self.message[63] = (size * 8) & 255
        if cython.compiled and self.native:
            netwatch_sha1(cython.address(self.message[0]), cython.address(self.digest[0]))
            return
        for i in range(16):
            self.schedule[i] = (
                cython.cast(cython.uint, self.message[4 * i]) << 24
                | cython.cast(cython.uint, self.message[4 * i + 1]) << 16
                | cython.cast(cython.uint, self.message[4 * i + 2]) << 8
                | cython.cast(cython.uint, self.message[4 * i + 3])
            )
        for i in range(16, 80):
            w = (
                self.schedule[i - 3]
                ^ self.schedule[i - 8]
                ^ self.schedule[i - 14]
                ^ self.schedule[i - 16]
            )
            self.schedule[i] = (w << 1 | w >> 31) & LOW32
        a = H0
        b = H1
        c = H2
        d = H3
        e = H4
        for i in range(80):
            if i < 20:
                f = (d ^ (b & (c ^ d))) + K0
            elif i < 40:
                f = (b ^ c ^ d) + K1
            elif i < 60:
                f = (b & c | d & (b | c)) + K2
            else:
                f = (b ^ c ^ d) + K3
            w = ((a << 5 | a >> 27) + f + e + self.schedule[i]) & LOW32
            e = d
            d = c
            c = (b << 30 | b >> 2) & LOW32
            b = a
            a = w
        self.digest[0] = (a + H0) & LOW32
        self.digest[1] = (b + H1) & LOW32
        self.digest[2] = (c + H2) & LOW32
        self.digest[3] = (d + H3) & LOW32
        self.digest[4] = (e + H4) & LOW32

    @cython.boundscheck(False)
    def _encode(self, to: cython.Py_ssize_t) -> None:
        """Write ``1:`` and `digest` in base64 to `ids`."""
        i: cython.Py_ssize_t
        j: cython.Py_ssize_t
        group: cython.uint
        self.ids[to] = 49  # 1
        self.ids[to + 1] = 58  # :
        for i in range(7):
            group = 0
            for j in range(3 * i, 3 * i + 3):
                group = group << 8 | (self.digest[j >> 2] >> (24 - 8 * (j & 3)) & 255)
            for j in range(4):
                self.ids[to + 2 + 4 * i + j] = self.alphabet[group >> (18 - 6 * j) & 63]
        self.ids[to + 29] = 61  # =, since the last group has two bytes
