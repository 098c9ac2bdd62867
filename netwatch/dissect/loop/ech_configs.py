# cython: language_level=3, boundscheck=True, wraparound=False
"""Lists of ECH configurations in DNS records, configuration by configuration."""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop.octets import Window
else:
    from netwatch.dissect.loop.octets import Window

ECH = cython.declare(cython.longlong, 0xFE0D)
"""The version of configurations whose layout is known."""


@cython.cclass
class EchConfigs(Window):
    """Reads an ECHConfigList (RFC 9849 section 4): a configuration has a public key behind three
    bytes, cipher suites, and a public name behind one byte.

    The next configuration is at `config`, the list ends at `config_end`. The public name of the
    one read last has `public_size` bytes at `public_at`.
    """

    def __init__(self) -> None:
        Window.__init__(self)
        self.config = 0
        self.config_end = 0
        self.public_at = 0
        self.public_size = 0

    def begin_configs(self, pos: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Begin to read the list at `pos`; false where it does not fill the bytes up to `end`."""
        self.config = pos + 2
        self.config_end = end
        return pos + 2 <= end and pos + 2 + self.u16(pos) == end

    def next_config(self) -> cython.bint:
        """Read a configuration; false at the end of the list, and where one is not valid."""
        pos: cython.Py_ssize_t = self.config
        stop: cython.Py_ssize_t
        if pos + 4 > self.config_end:
            return False
        stop = pos + 4 + self.u16(pos + 2)
        if stop > self.config_end:
            return False
        self.public_size = 0
        if self.u16(pos) == ECH:
            pos += 7
            if pos + 2 > stop:
                return False
            pos += 2 + self.u16(pos)
            if pos + 2 > stop:
                return False
            pos += 2 + self.u16(pos) + 1
            if pos + 1 > stop or pos + 1 + self.data[pos] > stop:
                return False
            self.public_at = pos + 1
            self.public_size = self.data[pos]
        self.config = stop
        return True

    def are_read(self) -> cython.bint:
        """Whether all configurations were read."""
        return self.config == self.config_end
