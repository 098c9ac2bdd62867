# cython: language_level=3, boundscheck=True, wraparound=False
"""Where the parts of a ClientHello are that is laid out as usual.

The prefilter compares the name that is found here, and the observation batch gets what else there
is. A hello that a parser would find anything odd in is not read, and goes to its parser.
"""

from array import array

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.dissect.loop.octets import Window

from netwatch.core.buffers import Buffer, Words

MAX_EXTENSIONS = cython.declare(cython.Py_ssize_t, 64)
"""Extensions of a hello that is read in the packet loop."""

SERVER_NAME = cython.declare(cython.longlong, 0)
SIGNATURES = cython.declare(cython.longlong, 13)
ALPN = cython.declare(cython.longlong, 16)
VERSIONS = cython.declare(cython.longlong, 43)
ECH = cython.declare(cython.longlong, 0xFE0D)


@cython.final
@cython.cclass
class HelloLayout(Window):
    """The parts of the hello that was read last, each by its offset and size in bytes.

    `version` is its legacy_version, `stop` the offset behind it, and `types` has the types of its
    `extensions`. A part that it does not have has the size 0; of `alpn`, `name` and the lists of
    numbers it is that of their content, of `ech` that of the extension. `given` says of each
    config_id of ECH whether a client was given a configuration with it.
    """

    def __init__(self, given: Buffer) -> None:
        Window.__init__(self)
        self.given = given
        self.types: Words = array("q", bytes(8 * MAX_EXTENSIONS))
        self.version = self.stop = 0
        self.ciphers = self.ciphers_size = 0
        self.name = self.alpn = self.versions = self.signatures = self.ech = 0
        self.clear()

    def clear(self) -> cython.void:
        """Forget the extensions of the hello before."""
        self.extensions = 0
        self.name_size = 0
        self.alpn_size = 0
        self.versions_size = 0
        self.signatures_size = 0
        self.ech_size = 0

    def read(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether the ClientHello (RFC 8446 section 4.1.2) whose handshake header is at `at` is
        whole before `end` and laid out as usual. Its parts are known then."""
        pos: cython.Py_ssize_t = at + 4
        self.clear()
        if end - at < 47 or self.data[at] != 1:
            return False
        self.stop = pos + self.u32(at) % 16777216
        if self.stop > end or self.stop - at < 47:
            return False
        self.version = self.u16(pos)
        pos += 34
        pos += 1 + self.data[pos]
        if pos + 4 > self.stop:
            return False
        self.ciphers = pos + 2
        self.ciphers_size = self.u16(pos)
        pos += 2 + self.ciphers_size
        if pos >= self.stop:
            return False
        pos += 1 + self.data[pos]
        if pos + 2 > self.stop or pos + 2 + self.u16(pos) != self.stop:
            return False
        return self.read_extensions(pos + 2)

    def read_extensions(self, pos: cython.Py_ssize_t) -> cython.bint:
        """Whether extensions fill the bytes from `pos` up to the end, each of a different type,
        and laid out as its parser expects."""
        kind: cython.longlong
        size: cython.Py_ssize_t
        i: cython.Py_ssize_t
        while pos + 4 <= self.stop:
            kind = self.u16(pos)
            size = self.u16(pos + 2)
            pos += 4
            if self.extensions >= MAX_EXTENSIONS or pos + size > self.stop:
                return False
            for i in range(self.extensions):
                if self.types[i] == kind:
                    return False
            self.types[self.extensions] = kind
            self.extensions += 1
            if not self.read_extension(kind, pos, size):
                return False
            pos += size
        return pos == self.stop

    def read_extension(
        self, kind: cython.longlong, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.bint:
        """Whether the body of an extension is laid out as its parser, if any, expects."""
        pos: cython.Py_ssize_t
        if kind == SERVER_NAME:
            # A list of one host_name (RFC 6066 section 3).
            if size < 6 or self.u16(at) != size - 2 or self.data[at + 2] != 0:
                return False
            self.name = at + 5
            self.name_size = size - 5
            return self.u16(at + 3) == size - 5
        if kind == ALPN:
            pos = 2
            while pos < size:
                pos += 1 + self.data[at + pos]
            self.alpn = at + 2
            self.alpn_size = size - 2
            return pos == size
        if kind == VERSIONS:
            if size == 0 or self.data[at] >= size:
                return False
            self.versions = at + 1
            self.versions_size = self.data[at]
        elif kind == SIGNATURES:
            if size < 2 or 2 + self.u16(at) > size:
                return False
            self.signatures = at + 2
            self.signatures_size = self.u16(at)
        elif kind == ECH:
            # An outer hello with a key and a payload (RFC 9849 section 5).
            if size < 11 or self.data[at] != 0:
                return False
            pos = 8 + self.u16(at + 6)
            if pos == 8 or pos + 2 >= size:
                return False
            self.ech = at
            self.ech_size = size
            return pos + 2 + self.u16(at + pos) == size
        return True

    def is_boringssl(self) -> cython.bint:
        """Whether the client is BoringSSL (`netwatch.protocols.ech`): its first cipher suite is
        GREASE, or it has application_settings."""
        i: cython.Py_ssize_t = 0
        if self.ciphers_size < 2:
            return False
        if is_grease(self.u16(self.ciphers)):
            return True
        while i < self.extensions and self.types[i] != 17513 and self.types[i] != 17613:
            i += 1
        return i < self.extensions

    def config_id(self) -> cython.Py_ssize_t:
        """The config_id in encrypted_client_hello; -1 without the extension."""
        return self.data[self.ech + 5] if self.ech_size else -1

    def may_be_known(self) -> cython.bint:
        """Whether a client was given an ECH configuration with the config_id of the hello. Each
        client has to be asked for; GREASE has any config_id."""
        return self.ech_size > 0 and self.given[self.config_id()] != 0

    def is_ech_grease(self) -> cython.bint:
        """Whether encrypted_client_hello has the sizes of BoringSSL's GREASE
        (`netwatch.protocols.ech`)."""
        at: cython.Py_ssize_t = self.ech
        payload: cython.longlong = self.ech_size - 10 - 32
        # KDF HKDF-SHA256, and AEAD AES-128-GCM or ChaCha20Poly1305 (RFC 9180 section 7).
        if self.u16(at + 1) != 1 or (self.u16(at + 3) != 1 and self.u16(at + 3) != 3):
            return False
        if self.u16(at + 6) != 32:
            return False
        return payload == 144 or payload == 176 or payload == 208 or payload == 240


def is_grease(number: cython.longlong) -> cython.bint:
    """Whether a number of 16 bits is reserved and without meaning (RFC 8701 section 2)."""
    return number & 0x0F0F == 0x0A0A and number >> 8 == number & 255
