# cython: language_level=3, boundscheck=True, wraparound=False
"""SHA-256 (FIPS 180-4) that the packet loop can call, block by block.

It is our own because the loop does not hold the GIL, so it cannot use `hashlib`. It hashes little:
the input of QUIC keys (see `aes_gcm` for the gain), and of JA4.
"""

from array import array
from functools import lru_cache
from math import isqrt

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core.instructions import netwatch_has_sha, netwatch_sha256

from netwatch.core.buffers import Words


def _primes(count: int) -> list[int]:
    found: list[int] = []
    number = 2
    while len(found) < count:
        if all(number % prime for prime in found):
            found.append(number)
        number += 1
    return found


def _cube_root(number: int) -> int:
    """The integer part of a cube root."""
    root: int = round(number ** (1 / 3))
    while root**3 > number:
        root -= 1
    while (root + 1) ** 3 <= number:
        root += 1
    return root


@lru_cache(maxsize=1)
def _constants() -> tuple[list[int], list[int]]:
    """Constants of the rounds, and the state before any block (FIPS 180-4 sections 4.2.2 and
    5.3.3)."""
    primes = _primes(64)
    rounds = [_cube_root(prime << 96) & 0xFFFFFFFF for prime in primes]
    return rounds, [isqrt(prime << 64) & 0xFFFFFFFF for prime in primes[:8]]


@cython.final
@cython.cclass
class Sha256:
    """So many states of eight words, and blocks of sixteen; state 0 is the initial one. Words are
    as in the standard, most significant byte first. If `native`, instructions of the processor do
    the work."""

    def __init__(self, states: int, blocks: int) -> None:
        rounds, begin = _constants()
        self.constants: Words = array("I", rounds)
        self.schedule: Words = array("I", bytes(4 * 64))
        self.states: Words = array("I", begin + [0] * 8 * (states - 1))
        self.blocks: Words = array("I", bytes(4 * 16 * blocks))
        self.native = cython.compiled and netwatch_has_sha() != 0

    @cython.boundscheck(False)
    def compress(
        self, block: cython.Py_ssize_t, start: cython.Py_ssize_t, to: cython.Py_ssize_t
    ) -> cython.void:
        """A step of SHA-256 (FIPS 180-4 section 6.2.2): state `to` is state `start` after a block.
        All three are numbers in this class."""
        i: cython.Py_ssize_t
        w = self.schedule
        k = self.constants
        m: cython.uint = 0xFFFFFFFF
        state: cython.Py_ssize_t = 8 * start
        a: cython.uint
        b: cython.uint
        c: cython.uint
        d: cython.uint
        e: cython.uint
        f: cython.uint
        g: cython.uint
        h: cython.uint
        x: cython.uint
        y: cython.uint
        if cython.compiled and self.native:
            netwatch_sha256(
                cython.address(k[0]),
                cython.address(self.blocks[16 * block]),
                cython.address(self.states[state]),
                cython.address(self.states[8 * to]),
            )
            return
        for i in range(16):
            w[i] = self.blocks[16 * block + i]
        for i in range(16, 64):
            x = w[i - 15]
            y = w[i - 2]
            x = (((x >> 7) | (x << 25)) ^ ((x >> 18) | (x << 14)) ^ (x >> 3)) & m
            y = (((y >> 17) | (y << 15)) ^ ((y >> 19) | (y << 13)) ^ (y >> 10)) & m
            w[i] = (w[i - 16] + x + w[i - 7] + y) & m
        a = self.states[state]
        b = self.states[state + 1]
        c = self.states[state + 2]
        d = self.states[state + 3]
        e = self.states[state + 4]
        f = self.states[state + 5]
        g = self.states[state + 6]
        h = self.states[state + 7]
        for i in range(64):
            x = (((e >> 6) | (e << 26)) ^ ((e >> 11) | (e << 21)) ^ ((e >> 25) | (e << 7))) & m
            x = (h + x + ((e & f) ^ (~e & g)) + k[i] + w[i]) & m
            y = (((a >> 2) | (a << 30)) ^ ((a >> 13) | (a << 19)) ^ ((a >> 22) | (a << 10))) & m
            y = (y + ((a & b) ^ (a & c) ^ (b & c))) & m
            h = g
            g = f
            f = e
            e = (d + x) & m
            d = c
            c = b
            b = a
            a = (x + y) & m
        self.states[8 * to] = (self.states[state] + a) & m
        self.states[8 * to + 1] = (self.states[state + 1] + b) & m
        self.states[8 * to + 2] = (self.states[state + 2] + c) & m
        self.states[8 * to + 3] = (self.states[state + 3] + d) & m
        self.states[8 * to + 4] = (self.states[state + 4] + e) & m
        self.states[8 * to + 5] = (self.states[state + 5] + f) & m
        self.states[8 * to + 6] = (self.states[state + 6] + g) & m
        self.states[8 * to + 7] = (self.states[state + 7] + h) & m
