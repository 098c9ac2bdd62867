# cython: language_level=3, boundscheck=True, wraparound=False
"""Rows of the observation batch for ClientHellos of TLS and QUIC without deviations.

A row is the same as from the message of such a hello (`netwatch.protocols.tls`). What a hello
reveals about its flow is the same as in `netwatch.coverage.flow_visibility.message_name_status` for
names that are not a bypass. If the consumer knows such names it must be asked, so all hellos of
interest go to the parsers.
"""

from array import array
from itertools import accumulate

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.client_hello import ClientHello
    from cython.cimports.netwatch.dissect.loop.hello_fingerprints import HelloFingerprints
    from cython.cimports.netwatch.dissect.loop.observation_rows import ObservationRows
else:
    from netwatch.core import observation_columns as columns
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.client_hello import ClientHello
    from netwatch.dissect.loop.hello_fingerprints import HelloFingerprints
    from netwatch.dissect.loop.observation_rows import ObservationRows

from netwatch.core.buffers import Buffer, Words
from netwatch.core.protocol_numbers import ECH_PUBLIC_NAMES, TLS_VERSIONS
from netwatch.dissect.loop.client_hello import ECH_CLASSES
from netwatch.dissect.quic.versions import ALL

MAX_PROTOCOLS = cython.declare(cython.Py_ssize_t, 16)
"""ALPN protocols of a hello that is read here, at most."""

TLS_SNI = cython.declare(cython.longlong, columns.EVIDENCE_TLS_SNI)
QUIC_SNI = cython.declare(cython.longlong, columns.EVIDENCE_QUIC_SNI)

NO_QUIC = cython.declare(cython.Py_ssize_t, -1)

ECH_OUTER = cython.declare(cython.int, 1)
"""A result of `ClientHello.ech_class`."""

_HOST_BYTES = b"abcdefghijklmnopqrstuvwxyz0123456789-_."


@cython.final
@cython.cclass
class HelloRows:
    """Writes the rows of hellos, while it is `active`.

    `texts` are texts of a fixed set, one after the other, which start at `places`: versions of
    QUIC, from `first_class` on classes of ECH, from `first_version` on versions of TLS, and from
    `first_id` on config_ids. `versions` has the numbers of versions of TLS and, from bit 16 on,
    their characters in a JA4. `public_names` are the names of outer hellos, each after its length.
    `lower` has the bytes of host names in lower case, 0 for any other.
    """

    def __init__(self, rows: ObservationRows, active: bool) -> None:
        self.rows = rows
        self.batch = rows.batch
        self.active = active
        self.fingerprints = HelloFingerprints()
        texts = [version.name for version in ALL]
        self.first_class = len(texts)
        texts += ECH_CLASSES
        self.first_version = len(texts)
        texts += [version.text for version in TLS_VERSIONS.values()]
        self.first_id = len(texts)
        texts += map(str, range(256))
        self.texts: Buffer = array("B", "".join(texts).encode())
        self.places: Words = array("q", accumulate(map(len, texts), initial=0))
        self.versions: Words = array(
            "q",
            [
                number | int.from_bytes(version.ja4.encode()) << 16
                for number, version in TLS_VERSIONS.items()
            ],
        )
        names = b"".join(bytes([len(name)]) + name.encode() for name in sorted(ECH_PUBLIC_NAMES))
        self.public_names: Buffer = array("B", names)
        lower = bytearray(256)
        for byte in _HOST_BYTES:
            lower[byte] = lower[ord(chr(byte).upper())] = byte
        self.lower: Buffer = array("B", lower)

    def add(
        self,
        hello: ClientHello,
        quic: cython.Py_ssize_t,
        flow: cython.longlong,
    ) -> cython.int:
        """What a hello whose parts are known, and which the packet at the cursor completed, reveals
        about its flow (``NAME_``) if it needs no parser: it shows no name, or there is a row for
        it; otherwise 0. `quic` is the number in `ALL` of a QUIC version, `NO_QUIC` for TLS; `flow`
        is the flow as rows call it."""
        version: cython.Py_ssize_t
        at: cython.Py_ssize_t
        name: cython.longlong
        raw: cython.longlong
        alpn: cython.longlong
        ech: cython.int = -1
        ech_text: cython.longlong
        config_id: cython.longlong
        ja4: cython.longlong = 0
        if not self.active or hello.may_be_known():
            return 0
        if hello.name_size == 0:
            return 0 if hello.ech else layout.NAME_NO_SNI
        version = self.version(hello)
        if version < 0 or not self.rows.can_add() or not self.are_plain(hello):
            return 0
        name = self.name(hello)
        if name < 0:
            return 0
        raw = self.raw_name(hello, name)
        if self.rows.fingerprints:
            self.fingerprints.write(hello, 116 if quic < 0 else 113, self.versions[version] >> 16)
            ja4 = self.batch.text_of(self.fingerprints.text, 0, len(self.fingerprints.text))
        alpn = self.alpn(hello)
        if hello.ech:
            ech = hello.ech_class(self.is_public(name), True)
        ech_text = 0 if ech < 0 else self.text(self.first_class + ech)
        config_id = 0 if ech < 0 else self.text(self.first_id + hello.config_id())
        at = self.rows.add(TLS_SNI if quic < 0 else QUIC_SNI, name, False, flow)
        self.batch.words[at + columns.WORD_RAW] = raw
        self.batch.words[at + columns.WORD_TLS_VERSION] = self.text(self.first_version + version)
        self.batch.words[at + columns.WORD_TLS_ALPN] = alpn
        self.batch.words[at + columns.WORD_TLS_JA4] = ja4
        self.batch.words[at + columns.WORD_TLS_ECH] = ech_text
        self.batch.words[at + columns.WORD_TLS_ECH_CONFIG_ID] = config_id
        if quic >= 0:
            self.batch.words[at + columns.WORD_QUIC_VERSION] = self.text(quic)
        return layout.NAME_ECH if ech == ECH_OUTER else layout.NAME_NAMED

    def text(self, number: cython.Py_ssize_t) -> cython.longlong:
        """A text of the table as a text of the batch."""
        start: cython.Py_ssize_t = self.places[number]
        return self.batch.text_of(self.texts, start, self.places[number + 1] - start)

    def version(self, hello: ClientHello) -> cython.Py_ssize_t:
        """The number in `versions` of the newest offered version; -1 if it is not there."""
        newest: cython.longlong = hello.newest(False)
        i: cython.Py_ssize_t
        for i in range(len(self.versions)):
            if self.versions[i] & 65535 == newest:
                return i
        return -1

    def name(self, hello: ClientHello) -> cython.longlong:
        """The name as a text, in lower case; -1 if it has bytes that are not allowed in a host
        name."""
        i: cython.Py_ssize_t
        byte: cython.int = 0
        at: cython.Py_ssize_t = self.batch.used
        for i in range(hello.name_size):
            byte = self.lower[hello.data[hello.name + i]]
            if byte == 0:
                return -1
            self.batch.octets[at + i] = byte
        if byte == 46:
            return -1
        return self.batch.add_text(hello.name_size)

    def raw_name(self, hello: ClientHello, name: cython.longlong) -> cython.longlong:
        """The name as a text, as spelled in the packet; 0 if that is `name`."""
        i: cython.Py_ssize_t
        start: cython.Py_ssize_t = self.batch.starts[name]
        for i in range(hello.name_size):
            if self.batch.octets[start + i] != hello.data[hello.name + i]:
                return self.batch.text_of(hello.data, hello.name, hello.name_size)
        return 0

    def are_plain(self, hello: ClientHello) -> cython.bint:
        """Whether there are few ALPN protocols, and all are visible ASCII without a backslash."""
        count: cython.Py_ssize_t = 0
        at: cython.Py_ssize_t = hello.alpn
        end: cython.Py_ssize_t
        while hello.alpn_size and at < hello.alpn + hello.alpn_size:
            end = at + 1 + hello.data[at]
            at += 1
            count += 1
            if count > MAX_PROTOCOLS:
                return False
            while at < end:
                if hello.data[at] < 0x21 or hello.data[at] > 0x7E or hello.data[at] == 0x5C:
                    return False
                at += 1
        return True

    def alpn(self, hello: ClientHello) -> cython.longlong:
        """The ALPN protocols as a list of texts."""
        entries: cython.longlong = 0
        start: cython.Py_ssize_t = self.batch.list_words
        at: cython.Py_ssize_t = hello.alpn
        while hello.alpn_size and at < hello.alpn + hello.alpn_size:
            self.batch.add_to_list(self.batch.text_of(hello.data, at + 1, hello.data[at]))
            at += 1 + hello.data[at]
            entries += 1
        return self.batch.list_since(start, entries)

    def is_public(self, name: cython.longlong) -> cython.bint:
        """Whether a name, a text of the batch, is one of the public names."""
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t = 0
        start: cython.Py_ssize_t = self.batch.starts[name]
        size: cython.Py_ssize_t = self.batch.starts[name + 1] - start
        while at < len(self.public_names):
            if self.public_names[at] == size:
                i = 0
                while i < size and self.public_names[at + 1 + i] == self.batch.octets[start + i]:
                    i += 1
                if i == size:
                    return True
            at += 1 + self.public_names[at]
        return False
