# cython: language_level=3, boundscheck=True, wraparound=False
"""ClientHellos: where their parts are.

`ClientHello` is the only reader of hellos (RFC 8446 section 4.1.2, and RFC 5246 section 7.4.1.2,
which has the same layout), whether TLS records, QUIC or DTLS carry them. It finds the parts and
notes deviations from the RFC, but builds nothing from them. In the packet loop a hello without
deviations is counted, or becomes a row of the observation batch (`fill_hello`).
`netwatch.protocols.tls` makes a message of any other hello, once its packets are reassembled.

By design, an observer cannot tell encrypted_client_hello (RFC 9849) from GREASE with certainty. A
client that has a key of its server sends an outer hello with the server's public name, and the real
hello encrypted in the extension. A client without a key sends an extension of the same layout
filled with random bytes, and the real name. `ClientHello.ech_class` describes what can be
concluded, and when the conclusion is wrong.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.dissect.loop.octets import Window

from netwatch.core.buffers import Buffer, Words, array, zeroed

MAX_HOST_NAMES = cython.declare(cython.Py_ssize_t, 64)
"""Entries of server_name that are read; RFC 6066 section 3 allows one."""
LONGEST = cython.declare(cython.Py_ssize_t, 255)
"""The longest server name that is read, in bytes: the maximum of a host name."""

# Deviations of a hello, as bits in the order of `DEVIATIONS` in `netwatch.protocols.tls`.
CUT = cython.declare(cython.int, 1)
ODD_NAME = cython.declare(cython.int, 2)
MANY_NAMES = cython.declare(cython.int, 4)
ODD_ALPN = cython.declare(cython.int, 8)
ODD_VERSIONS = cython.declare(cython.int, 16)
ODD_SIGNATURES = cython.declare(cython.int, 32)
ODD_LENGTH = cython.declare(cython.int, 64)
REPEATED = cython.declare(cython.int, 128)
TRAILING = cython.declare(cython.int, 256)
ODD_ECH = cython.declare(cython.int, 512)
INNER_ECH = cython.declare(cython.int, 1024)

ECH_CLASSES = ("present", "outer", "grease")
"""Results of `ClientHello.ech_class`, by number."""
ECH_PRESENT = cython.declare(cython.int, 0)
ECH_OUTER = cython.declare(cython.int, 1)
ECH_GREASE = cython.declare(cython.int, 2)

SERVER_NAME = cython.declare(cython.longlong, 0)
SIGNATURES = cython.declare(cython.longlong, 13)
ALPN = cython.declare(cython.longlong, 16)
VERSIONS = cython.declare(cython.longlong, 43)
ECH = cython.declare(cython.longlong, 0xFE0D)


@cython.final
@cython.cclass
class ClientHello(Window):
    """The parts of the last hello, each by its offset and size in bytes.

    `version` is its legacy_version, `first` and `stop` are where its extensions begin and where the
    last complete one ends. A missing part has the size 0; for `alpn`, `name` (the first one) and
    the lists of numbers it is the size of their content, for `ech` the size of the extension, whose
    offset is 0 if there is none. `places` has the offset and the size of each of the `names`, which
    is their number. `given` marks each ECH config_id for which a client received a configuration.
    `seen` marks the types of extensions while they are read.
    """

    def __init__(self, given: Buffer) -> None:
        Window.__init__(self)
        self.given = given
        self.seen: Buffer = zeroed("B", 65536)
        self.places: Words = array("q", bytes(8 * 2 * MAX_HOST_NAMES))
        self.version = self.first = self.stop = 0
        self.ciphers = self.ciphers_size = 0
        self.name = self.alpn = self.versions = self.signatures = 0
        self.clear()

    def clear(self) -> cython.void:
        """Forget the last hello."""
        self.deviations = 0
        self.names = 0
        self.name_size = 0
        self.alpn_size = 0
        self.versions_size = 0
        self.signatures_size = 0
        self.ech = 0
        self.ech_size = 0

    def is_plain(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether there is a hello at `at` that is complete before `end` and has no deviations. Its
        parts are then known."""
        return (
            end - at >= 4
            and self.data[at] == 1
            and self.read(at, end, False)
            and self.deviations == 0
        )

    def read(
        self, at: cython.Py_ssize_t, end: cython.Py_ssize_t, cookie: cython.bint
    ) -> cython.bint:
        """Read the hello whose handshake header is at `at`, up to `end`. With `cookie` it has a
        cookie after the session id, as in DTLS (RFC 6347 section 4.2.1, RFC 9147 section 5.3).
        False if the part before its extensions does not fit."""
        pos: cython.Py_ssize_t = at + 4
        size: cython.Py_ssize_t
        self.clear()
        self.stop = pos + self.u32(at) % 16777216
        if self.stop > end:
            self.stop = end
            self.deviations = CUT
        end = self.stop
        if pos + 35 > end:
            return False
        self.version = self.u16(pos)
        pos += 34
        pos += 1 + self.data[pos]
        if cookie and pos < end:
            pos += 1 + self.data[pos]
        if pos + 2 > end:
            return False
        self.ciphers = pos + 2
        self.ciphers_size = self.u16(pos)
        pos += 2 + self.ciphers_size
        if pos >= end:
            return False
        pos += 1 + self.data[pos]
        # SSL 3.0 and TLS 1.0 have hellos without extensions.
        self.first = self.stop = pos
        if pos + 2 > end:
            return pos == end
        size = self.u16(pos)
        pos += 2
        self.first = pos
        if size < end - pos:
            self.deviations |= TRAILING
            end = pos + size
        elif size > end - pos and self.deviations & CUT == 0:
            self.deviations |= ODD_LENGTH
        self.read_extensions(pos, end)
        return True

    def read_extensions(self, pos: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.void:
        """Read the complete extensions from `pos` to `end`; a body that does not fit is skipped. Of
        repeated extensions other than server_name, the last one that fits counts."""
        kind: cython.longlong
        size: cython.Py_ssize_t
        while pos + 4 <= end:
            kind = self.u16(pos)
            size = self.u16(pos + 2)
            if pos + 4 + size > end:
                break
            if self.seen[kind]:
                self.deviations |= REPEATED
            self.seen[kind] = 1
            self.deviations |= self.read_extension(kind, pos + 4, size)
            pos += 4 + size
        if pos != end and self.deviations & CUT == 0:
            self.deviations |= ODD_LENGTH
        self.stop = pos
        pos = self.first
        while pos < self.stop:
            self.seen[self.u16(pos)] = 0
            pos += 4 + self.u16(pos + 2)
        if self.ech:
            self.deviations |= self.read_ech()

    def read_extension(
        self, kind: cython.longlong, at: cython.Py_ssize_t, size: cython.Py_ssize_t
    ) -> cython.int:
        """Read the body of an extension; returns its deviations."""
        pos: cython.Py_ssize_t
        if kind == SERVER_NAME:
            return self.read_names(at, size)
        if kind == ALPN:
            # The protocols follow their length (RFC 7301 section 3.1).
            pos = 2
            while pos < size:
                pos += 1 + self.data[at + pos]
            if pos > size > 2:
                return ODD_ALPN
            self.alpn = at + 2
            self.alpn_size = max(size - 2, 0)
        elif kind == VERSIONS:
            if size == 0 or self.data[at] >= size:
                return ODD_VERSIONS
            self.versions = at + 1
            self.versions_size = self.data[at]
        elif kind == SIGNATURES:
            if size < 2 or 2 + self.u16(at) > size:
                return ODD_SIGNATURES
            self.signatures = at + 2
            self.signatures_size = self.u16(at)
        elif kind == ECH:
            self.ech = at
            self.ech_size = size
        return 0

    def read_names(self, at: cython.Py_ssize_t, size: cython.Py_ssize_t) -> cython.int:
        """Read the body of server_name (RFC 6066 section 3); returns its deviations."""
        odd: cython.int = 0
        pos: cython.Py_ssize_t = at + 2
        end: cython.Py_ssize_t = at + size
        length: cython.Py_ssize_t
        if size <= 2 or self.u16(at) != size - 2:
            odd = ODD_NAME
        while pos < end:
            # Only the layout of host_name is specified, but OpenSSL and NSS read a two-byte length
            # for every type, and clients that send other types write one.
            length = self.u16(pos + 1) if pos + 3 <= end else size
            if pos + 3 + length > end:
                return odd | ODD_NAME
            if self.data[pos] != 0 or length > LONGEST or self.names == MAX_HOST_NAMES:
                odd |= ODD_NAME
            else:
                self.places[2 * self.names] = pos + 3
                self.places[2 * self.names + 1] = length
                self.names += 1
                if self.names > 1:
                    odd |= MANY_NAMES
                else:
                    self.name = pos + 3
                    self.name_size = length
            pos += 3 + length
        return odd

    def read_ech(self) -> cython.int:
        """How encrypted_client_hello deviates from the layout of an outer hello, with a key and a
        payload (RFC 9849 section 5). An inner one must not be sent unencrypted."""
        size: cython.Py_ssize_t = self.ech_size
        pos: cython.Py_ssize_t
        if size and self.data[self.ech] == 1:
            return INNER_ECH
        if size < 11 or self.data[self.ech] != 0:
            return ODD_ECH
        pos = 8 + self.u16(self.ech + 6)
        if pos + 2 >= size or pos + 2 + self.u16(self.ech + pos) != size:
            return ODD_ECH
        return 0

    def newest(self, datagrams: cython.bint) -> cython.longlong:
        """The newest offered version; DTLS versions (`datagrams`) have decreasing numbers."""
        newest: cython.longlong = -1
        number: cython.longlong
        at: cython.Py_ssize_t = self.versions
        end: cython.Py_ssize_t = self.versions + self.versions_size - 1
        while self.versions_size > 1 and at < end:
            number = self.u16(at)
            if not is_grease(number) and (newest < 0 or (number < newest) == datagrams):
                newest = number
            at += 2
        return self.version if newest < 0 else newest

    def config_id(self) -> cython.Py_ssize_t:
        """The config_id in an outer encrypted_client_hello; -1 if there is none."""
        if self.ech_size > 5 and self.data[self.ech] == 0:
            return self.data[self.ech + 5]
        return -1

    def may_be_known(self) -> cython.bint:
        """Whether any client received an ECH configuration with the config_id of the hello. Whether
        it was this client must be looked up; GREASE has any config_id."""
        number: cython.Py_ssize_t = self.config_id()
        return number >= 0 and self.given[number] != 0

    def ech_class(self, public: cython.bint, named: cython.bint) -> cython.int:
        """What encrypted_client_hello means for the name, if the hello is `named`; `public` means
        that it has one of `ECH_PUBLIC_NAMES`.

        Outer, the unencrypted name is not the real one. This is the result
        - for a public name; only wrong for a client that visits such a name itself;
        - without a key, as RFC 9849 section 5 requires in the second hello after a
          HelloRetryRequest, and as GREASE never is (section 6.2);
        - for BoringSSL, if cipher suite, key or payload differ from its GREASE; wrong for another
          client that looks like BoringSSL.

        GREASE, the unencrypted name is the real one. This is the result for BoringSSL with any
        other name, if cipher suite, key and payload have the sizes of its GREASE, whose payload has
        one of four sizes. It is wrong for an outer hello with an unknown public name whose payload
        happens to have one of the four sizes, as with a short real hello.

        Present, neither can be concluded, or the extension is invalid. NSS (Firefox), for example,
        encrypts a real hello under a random key as GREASE, which has the same sizes as an outer
        hello.
        """
        if self.deviations & (ODD_ECH | INNER_ECH):
            return ECH_PRESENT
        if public or self.u16(self.ech + 6) == 0:
            return ECH_OUTER
        if not self.is_boringssl():
            return ECH_PRESENT
        if not self.is_ech_grease():
            return ECH_OUTER
        return ECH_GREASE if named else ECH_PRESENT

    def is_boringssl(self) -> cython.bint:
        """Whether the client is BoringSSL (Chromium and related clients). Its first cipher suite is
        a GREASE value. Over QUIC there is none, but it has application_settings, which no other
        client sends (draft-vvv-tls-alps)."""
        kind: cython.longlong
        pos: cython.Py_ssize_t = self.first
        if self.ciphers_size < 2:
            return False
        if is_grease(self.u16(self.ciphers)):
            return True
        while pos < self.stop:
            kind = self.u16(pos)
            if kind == 17513 or kind == 17613:
                return True
            pos += 4 + self.u16(pos + 2)
        return False

    def is_ech_grease(self) -> cython.bint:
        """Whether encrypted_client_hello has the sizes of BoringSSL's GREASE."""
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
