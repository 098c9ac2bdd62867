# cython: language_level=3, boundscheck=True, wraparound=False
"""The prefilter of ClientHellos: does a hello show a name of interest.

As with DNS messages (`netwatch.dissect.loop.prefilter_dns`), a hello that is not laid out as usual
goes to its parser.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.domain_filter import DomainFilter
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.domain_filter import DomainFilter
    from netwatch.dissect.loop.octets import Window

from netwatch.core.buffers import Octets, Words

MAX_EXTENSIONS = cython.declare(cython.Py_ssize_t, 64)
"""Extensions of a hello that is prefiltered."""


@cython.final
@cython.cclass
class HelloPrefilter(Window):
    """Compares the name in a ClientHello with a set of domains; `counts` as in `DnsPrefilter`."""

    def __init__(self, domains: DomainFilter, counts: Words) -> None:
        Window.__init__(self)
        self.domains = domains
        self.counts = counts
        self.types: Words = array("q", bytes(8 * MAX_EXTENSIONS))
        self.extensions = 0

    def set_data(self, data: Octets) -> None:
        """Read these bytes from now on."""
        self.data = data
        self.domains.set_data(data)

    def uninteresting(self, kind: cython.int, message: bytes) -> bool:
        """Whether a message that was put together by its reader shows nothing but a name of no
        interest: of `layout.KIND_TLS` a ClientHello in a TLS record, of `layout.KIND_QUIC` one
        from its handshake header on. If so the name is counted."""
        if not self.domains.domains.active:
            return False
        self.set_data(message)
        if kind == layout.KIND_TLS:
            return self.record_uninteresting(0, len(message))
        if kind == layout.KIND_QUIC and self.hello_uninteresting(0, len(message)):
            self.counts[layout.NAMES_QUIC_SNI] += 1
            return True
        return False

    def record_uninteresting(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a ClientHello that is whole in the one TLS record at `at` shows nothing but a
        name of no interest. If so the name is counted."""
        if end - at < 52 or self.data[at] != 22 or self.data[at + 1] != 3:
            return False
        if self.u16(at + 3) != 4 + self.u32(at + 5) % 16777216 or self.u16(at + 3) > 16384 + 2048:
            return False
        if not self.hello_uninteresting(at + 5, end):
            return False
        self.counts[layout.NAMES_TLS_SNI] += 1
        return True

    def hello_uninteresting(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a whole ClientHello (RFC 8446 section 4.1.2), whose handshake header is at
        `at`, is valid and has one server_name, of no interest."""
        pos: cython.Py_ssize_t = at + 4
        stop: cython.Py_ssize_t
        size: cython.Py_ssize_t
        first: cython.longlong
        found: cython.bint = False
        if not self.domains.domains.active or end - at < 47 or self.data[at] != 1:
            return False
        stop = pos + self.u32(at) % 16777216
        if stop > end or stop - at < 47:
            return False
        pos += 34
        pos += 1 + self.data[pos]
        if pos + 4 > stop:
            return False
        first = self.u16(pos + 2)
        pos += 2 + self.u16(pos)
        if pos >= stop:
            return False
        pos += 1 + self.data[pos]
        if pos + 2 > stop or pos + 2 + self.u16(pos) != stop:
            return False
        pos += 2
        if not self.distinct(pos, stop):
            return False
        while pos + 4 <= stop:
            size = self.u16(pos + 2)
            if self.u16(pos) == 0:
                found = self.name_uninteresting(pos, size)
                if not found:
                    return False
            elif not self.valid(self.u16(pos), pos + 4, size) or not self.name_is_real(
                first, pos, size
            ):
                return False
            pos += 4 + size
        return found

    def name_uninteresting(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.bint:
        """Whether the server_name extension at `at` is a list of one host_name (RFC 6066 section
        3), of no interest."""
        if (
            size < 6
            or self.u16(at + 4) != size - 2
            or self.data[at + 6] != 0
            or self.u16(at + 7) != size - 5
            or self.data[at + 3 + size] == 46
        ):
            return False
        self.domains.start_name()
        return self.domains.hash_name(at + 9, at + 4 + size, True) and self.domains.not_matched()

    def distinct(self, pos: cython.Py_ssize_t, stop: cython.Py_ssize_t) -> cython.bint:
        """Whether extensions fill the bytes up to `stop`, each of a different type."""
        count: cython.Py_ssize_t = 0
        i: cython.Py_ssize_t
        while pos + 4 <= stop:
            if count >= MAX_EXTENSIONS:
                return False
            self.types[count] = self.u16(pos)
            i = 0
            while i < count:
                if self.types[i] == self.types[count]:
                    return False
                i += 1
            count += 1
            pos += 4 + self.u16(pos + 2)
        self.extensions = count
        return pos == stop

    def valid(
        self, kind: cython.longlong, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether an extension of type `kind` that the parser reads is laid out as it expects."""
        pos: cython.Py_ssize_t
        if kind == 16:
            pos = 2
            while pos < size:
                pos += 1 + self.data[at + pos]
            return pos == size
        if kind == 43:
            return size > 0 and self.data[at] < size
        if kind == 13:
            return size >= 2 and 2 + self.u16(at) <= size
        if kind == 0xFE0D:
            if size < 11 or self.data[at] != 0:
                return False
            pos = 8 + self.u16(at + 6)
            if pos == 8 or pos + 2 >= size:
                return False
            return pos + 2 + self.u16(at + pos) == size
        return True

    def name_is_real(
        self, first: cython.longlong, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether the extension at `at`, of this size, leaves the name in clear the one that the
        client connects to: it is no encrypted_client_hello, or may be GREASE. The `first` cipher
        suite and some extensions tell which clients send GREASE (`netwatch.protocols.ech`)."""
        payload: cython.longlong
        boringssl: cython.bint = first & 0x0F0F == 0x0A0A and first >> 8 == first & 255
        i: cython.Py_ssize_t
        if self.u16(at) != 0xFE0D:
            return True
        for i in range(self.extensions):
            boringssl = boringssl or self.types[i] == 17513 or self.types[i] == 17613
        if not boringssl:
            return True
        # KDF HKDF-SHA256, and AEAD AES-128-GCM or ChaCha20Poly1305 (RFC 9180 section 7).
        if self.u16(at + 5) != 1 or (self.u16(at + 7) != 1 and self.u16(at + 7) != 3):
            return False
        if self.u16(at + 10) != 32:
            return False
        payload = size - 10 - 32
        return payload == 144 or payload == 176 or payload == 208 or payload == 240
