# cython: language_level=3, boundscheck=True, wraparound=False
"""The prefilter of ClientHellos: does a hello show a name of interest.

As with DNS messages (`netwatch.dissect.loop.prefilter_dns`), a hello that is not laid out as usual
goes to its parser.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.domain_filter import DomainFilter
    from cython.cimports.netwatch.dissect.loop.hello_layout import HelloLayout
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.domain_filter import DomainFilter
    from netwatch.dissect.loop.hello_layout import HelloLayout
    from netwatch.dissect.loop.octets import Window

from netwatch.core.buffers import Buffer, Octets, Words


@cython.final
@cython.cclass
class HelloPrefilter(Window):
    """Compares the name in a ClientHello with a set of domains; `counts` as in `DnsPrefilter`.
    `hello` has the parts of the hello that was read last; `given` is its table."""

    def __init__(self, domains: DomainFilter, counts: Words, given: Buffer) -> None:
        Window.__init__(self)
        self.domains = domains
        self.counts = counts
        self.hello = HelloLayout(given)

    def set_data(self, data: Octets) -> None:
        """Read these bytes from now on."""
        self.data = data
        self.hello.set_data(data)
        self.domains.set_data(data)

    def uninteresting(self, kind: cython.int, message: bytes) -> bool:
        """Whether a message that was put together by its reader shows nothing but a name of no
        interest: of `layout.KIND_TLS` a ClientHello in a TLS record, of `layout.KIND_QUIC` one
        from its handshake header on. If so the name is counted."""
        if not self.domains.domains.active:
            return False
        self.set_data(message)
        if kind == layout.KIND_TLS and self.read_record(0, len(message)):
            counted = layout.NAMES_TLS_SNI
        elif kind == layout.KIND_QUIC and self.hello.read(0, len(message)):
            counted = layout.NAMES_QUIC_SNI
        else:
            return False
        if not self.name_uninteresting():
            return False
        self.counts[counted] += 1
        return True

    def read_record(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Whether a ClientHello that is whole in the one TLS record at `at` is laid out as usual;
        `hello` has its parts then."""
        if end - at < 52 or self.data[at] != 22 or self.data[at + 1] != 3:
            return False
        if self.u16(at + 3) != 4 + self.u32(at + 5) % 16777216 or self.u16(at + 3) > 16384 + 2048:
            return False
        return self.hello.read(at + 5, end)

    def name_uninteresting(self) -> cython.bint:
        """Whether the hello that was read last shows a name of no interest, and that name is the
        one that the client connects to: it has no encrypted_client_hello, or may be GREASE, with
        another config_id than a client was given."""
        end: cython.Py_ssize_t = self.hello.name + self.hello.name_size
        if (
            not self.domains.domains.active
            or self.hello.name_size == 0
            or self.data[end - 1] == 46
            or self.hello.may_be_known()
            or (
                self.hello.ech_size and self.hello.is_boringssl() and not self.hello.is_ech_grease()
            )
        ):
            return False
        return self.domains.hash_name(self.hello.name, end) and self.domains.not_matched()
