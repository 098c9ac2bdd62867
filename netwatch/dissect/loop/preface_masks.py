# cython: language_level=3, boundscheck=True, wraparound=False
"""The rarer protocol masks: what precedes a hello, what answers it, and its older relatives.

As in `netwatch.dissect.loop.protocol_masks`, each looks at a few bytes and returns a kind of
`layout` or 0. STARTTLS needs no mask: the hello after it starts a segment.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.buffers import Octets

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.octets import Window

FIRST_BYTES = bytes(
    byte in b"\x04\x05\r\x12\x14\x15\x16 " or 65 <= byte <= 90 for byte in range(256)
)
"""For each byte, 1 if a stream that matches a mask other than DNS may begin with it: SOCKS, version
2 of the PROXY protocol, TDS, TLS records, the SSLRequest of MySQL, and capital letters."""


@cython.final
@cython.cclass
class PrefaceMasks(Window):
    """The masks of PROXY, SOCKS, ServerHello, HTTP/2, DTLS and Google's QUIC."""

    def __init__(self) -> None:
        self.first_bytes: Octets = FIRST_BYTES

    if not cython.compiled:
        # as `Window.u16`

        def possible(self, at: int) -> bool:
            """Whether a stream that matches a mask may begin with the byte at `at`: this alone
            rules out most payloads."""
            return self.first_bytes[self.data[at]] != 0

    def proxy(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where the bytes after a prefix start: a PROXY protocol header, version 1 or 2 (HAProxy's
        proxy-protocol.txt), the SSLRequest of a MySQL client that sent its ClientHello in the same
        segment, or the header of a TDS packet; `at` if there is none of these."""
        i: cython.Py_ssize_t = at + 8
        if end - at < 15:
            return at
        if self.u32(at) == 0x50524F58 and self.u16(at + 4) == 0x5920:
            while i < end and i - at < 107:
                if self.data[i] == 10:
                    return i + 1
                i += 1
        elif (
            end - at >= 16
            and self.u32(at) == 0x0D0A0D0A
            and self.u32(at + 4) == 0x000D0A51
            and self.u32(at + 8) == 0x5549540A
            and self.data[at + 12] >> 4 == 2
        ):
            i = at + 16 + self.u16(at + 14)
            return min(i, end)
        elif (
            end - at > 36
            and self.u32(at) == 0x20000001
            and self.data[at + 5] & 8
            and self.data[at + 36] == 22
        ):
            return at + 36
        elif self.tds_hello(at, end):
            return at + 8
        return at

    def tds_hello(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a TDS pre-login packet, as sent to SQL Server, has a ClientHello after its header
        of eight bytes (MS-TDS sections 2.2.3.1 and 2.2.6.5): type 18, the status "end of message",
        and a length that the TLS record fits into."""
        return (
            end - at > 13
            and self.data[at] == 18
            and self.data[at + 1] & 1 == 1
            and self.data[at + 7] == 0
            and self.data[at + 8] == 22
            and self.data[at + 9] == 3
            and self.data[at + 13] == 1
            and self.u16(at + 2) >= 13 + self.u16(at + 11)
        )

    def socks(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """A request of SOCKS 4a or 5 (RFC 1928 section 4) for a host name, with or without a
        greeting before it. It is so short that only the letters of the name distinguish it from
        data."""
        size: cython.Py_ssize_t = end - at
        if size < 11:
            return 0
        if self.data[at] == 4:
            # Address 0.0.0.x with x not 0, user id, 0, host name, 0.
            if not 1 <= self.data[at + 1] <= 2 or self.u32(at + 4) >> 8 or size > 8 + 512:
                return 0
            if self.data[at + 7] == 0 or self.data[end - 1] != 0:
                return 0
            at += 8
            while at < end and self.data[at] != 0:
                at += 1
            return layout.KIND_SOCKS if self.letters(at + 1, end - 1) else 0
        if self.data[at] != 5:
            return 0
        if self.data[at + 2] != 0 or self.data[at + 3] != 3 or self.data[at + 4] + 7 != size:
            at += 2 + self.data[at + 1]
        if (
            at + 11 <= end
            and self.data[at] == 5
            and 1 <= self.data[at + 1] <= 3
            and self.data[at + 2] == 0
            and self.data[at + 3] == 3
            and end - at == 7 + self.data[at + 4]
            and self.letters(at + 5, end - 2)
        ):
            return layout.KIND_SOCKS
        return 0

    def letters(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether there are at least three bytes, all letters, digits, ``-``, ``_`` or dots."""
        c: cython.int
        if end - at < 3:
            return False
        while at < end:
            c = self.data[at]
            if not (97 <= c <= 122 or 65 <= c <= 90 or 45 <= c <= 57 or c == 95) or c == 47:
                return False
            at += 1
        return True

    def server_hello(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """A TLS record that starts a ServerHello (RFC 5246 section 7.4.1.3), unless that
        selects TLS 1.3, which encrypts the certificate."""
        pos: cython.Py_ssize_t
        stop: cython.Py_ssize_t
        if (
            end - at < 47
            or self.data[at] != 22
            or self.data[at + 1] != 3
            or self.data[at + 5] != 2
            or self.data[at + 6] != 0
        ):
            return 0
        stop = min(end, at + 9 + self.u16(at + 7))
        pos = at + 9 + 34
        pos += 1 + self.data[pos] + 3 + 2
        while pos + 6 <= stop:
            if self.u16(pos) == 43 and self.u16(pos + 4) == 0x0304:
                return 0
            pos += 4 + self.u16(pos + 2)
        return layout.KIND_TLS_SERVER

    def http2(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """The preface of an HTTP/2 client in clear text (RFC 9113 section 3.4), as far as it
        differs from any HTTP/1 request."""
        if end - at < 8 or self.u32(at) != 0x50524920 or self.u32(at + 4) != 0x2A204854:
            return 0
        return layout.KIND_HTTP2

    def dtls(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """A DTLS record of epoch 0 with a ClientHello or a fragment of one (RFC 6347
        section 4.3, RFC 9147 section 5.2)."""
        if (
            end - at < 25
            or self.data[at] != 22
            or self.data[at + 1] != 0xFE
            or self.data[at + 2] < 0xFC
            or self.u16(at + 3) != 0
            or self.data[at + 13] != 1
        ):
            return 0
        return layout.KIND_DTLS

    def gquic(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.int:
        """A packet of Google's QUIC that contains its version, Q0xx: with a long header, or with
        the public header of versions before Q044, whose connection id has eight bytes or none."""
        first: cython.int
        if end - at < 24:
            return 0
        first = self.data[at]
        if first & 0x80:
            at += 1
        elif first & 1 and first & 0x0A != 2:
            at += 9 if first & 8 else 1
        else:
            return 0
        return layout.KIND_GQUIC if self.u16(at) == 0x5130 else 0
