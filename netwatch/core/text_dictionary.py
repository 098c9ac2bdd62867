# cython: language_level=3, boundscheck=True, wraparound=False
"""A dictionary of texts: each distinct text is stored once, and has a number.

The packet loop adds to it without Python objects. Texts are bytes of any length; their meaning is
up to the user.
"""

import os

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.libc.string import memcmp, memcpy
    from cython.cimports.netwatch.core.buffers import hash_of
else:
    from netwatch.core.buffers import hash_of

from netwatch.core.buffers import Buffer, Octets, Words, zeroed

TEXTS = 8192
TEXT_BYTES = 262_144
"""Initial capacity of a dictionary: distinct texts, and bytes of them."""

# A slot of the hash table has the number of a text, and bits of its hash above it.
NUMBER = cython.declare(cython.longlong, 0xFFFFFFFF)
HASH_BITS = cython.declare(cython.longlong, 0x7FFFFFFF00000000)


@cython.cclass
class TextDictionary:
    """Distinct texts by their number.

    There are `texts` of them; number 0 is the empty one. The bytes of text `i` are
    ``octets[starts[i]:starts[i + 1]]``; `used` bytes are taken. A number is valid until
    `clear_texts`; `cleared` counts these.
    """

    def __init__(self) -> None:
        self.octets: Buffer = zeroed("B", 1)
        self.starts: Words = zeroed("q", 2)
        self.places: Words = zeroed("q", 1)
        self.slots: Words = zeroed("q", 2)
        self.mask = 1
        # Nobody can choose names that collide.
        self.salt = int.from_bytes(os.urandom(8)) >> 1
        self.texts = 1
        self.used = 0
        self.cleared = 0
        self._grow_octets(TEXT_BYTES)
        self._grow_texts(TEXTS)

    def clear_texts(self) -> None:
        """Forget all texts."""
        i: cython.Py_ssize_t
        for i in range(1, self.texts):
            self.slots[self.places[i]] = 0
        self.texts = 1
        self.used = 0
        self.cleared += 1

    def reserve_texts(self, texts: int, octets: int) -> None:
        """Grow if there is no room for so many more texts, or for so many bytes of them."""
        if self.texts + texts >= len(self.places):
            self._grow_texts(2 * (self.texts + texts))
        if self.used + octets > len(self.octets):
            self._grow_octets(2 * (self.used + octets))

    def number_anew(self) -> None:
        """Rebuild the hash table after `octets` and `starts` were written: each text keeps its
        number."""
        self._grow_texts(len(self.places))

    def text_of(
        self, data: Octets, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.longlong:
        """The number of the text in these bytes. There must be room for it."""
        i: cython.Py_ssize_t
        if size <= 0 or at < 0 or at + size > len(data) or self.used + size > len(self.octets):
            return 0
        if cython.compiled:
            memcpy(cython.address(self.octets[self.used]), cython.address(data[at]), size)
        else:
            for i in range(size):
                self.octets[self.used + i] = data[at + i]
        return self.add_text(size)

    def add_text(self, size: cython.Py_ssize_t) -> cython.longlong:
        """The number of the text in the `size` bytes that were written after the `used` ones."""
        hash_: cython.longlong
        place: cython.Py_ssize_t
        found: cython.longlong
        at: cython.Py_ssize_t = self.used
        if size <= 0 or at + size > len(self.octets):
            return 0
        if cython.compiled:
            hash_ = hash_of(cython.address(self.octets[at]), size, self.salt)
        else:
            hash_ = hash_of(self.octets, at, size, self.salt)
        place = hash_ & self.mask
        hash_ &= HASH_BITS
        found = self.slots[place]
        while found != 0:
            if found & HASH_BITS == hash_ and self._is(found & NUMBER, at, size):
                return found & NUMBER
            place = (place + 1) & self.mask
            found = self.slots[place]
        found = self.texts
        self.slots[place] = hash_ | found
        self.places[found] = place
        self.starts[found] = at
        self.used = at + size
        self.starts[found + 1] = self.used
        self.texts += 1
        return found

    def number_of(self, octets: bytes) -> int:
        """The number of a text by its bytes, for which room is made."""
        self.reserve_texts(1, len(octets))
        return self.text_of(octets, 0, len(octets))

    def number_of_text(self, text: str) -> int:
        """The number of a text of ASCII characters."""
        return self.number_of(text.encode("ascii"))

    def text(self, number: int) -> str:
        """A text by its number; not for addresses."""
        return self.packed(number).decode("ascii")

    def packed(self, number: int) -> bytes:
        """The bytes of a text by its number."""
        return bytes(self.octets[self.starts[number] : self.starts[number + 1]])

    def _is(
        self, text: cython.Py_ssize_t, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether a text equals the `size` bytes at `at` of `octets`."""
        start: cython.Py_ssize_t = self.starts[text]
        i: cython.Py_ssize_t
        if self.starts[text + 1] - start != size:
            return False
        if cython.compiled:
            i = memcmp(cython.address(self.octets[start]), cython.address(self.octets[at]), size)
            return i == 0
        i = 0
        while i < size and self.octets[start + i] == self.octets[at + i]:
            i += 1
        return i == size

    def _grow_octets(self, size: int) -> None:
        octets = zeroed("B", size)
        octets[: self.used] = self.octets[: self.used]
        self.octets = octets

    def _grow_texts(self, texts: int) -> None:
        """Make room for so many texts, in a hash table that is at most half full."""
        number: cython.Py_ssize_t
        size: cython.Py_ssize_t
        starts, places = zeroed("q", texts + 1), zeroed("q", texts)
        starts[: self.texts + 1] = self.starts[: self.texts + 1]
        self.starts = starts
        self.places = places
        slots = 4
        while slots < 2 * texts:
            slots *= 2
        self.slots = zeroed("q", slots)
        self.mask = slots - 1
        known, self.texts, self.used = self.texts, 1, 0
        # Each text is found where it already is, and gets its number again.
        for number in range(1, known):
            size = self.starts[number + 1] - self.starts[number]
            self.add_text(size)
