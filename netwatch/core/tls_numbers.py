"""Numbers and names of TLS and QUIC that the parsers and the packet loop share.

Both read ClientHellos: the loop those that are laid out as usual, the parsers all others. What they
call a version, and what tells an encrypted hello from GREASE, is here alone.
"""

from typing import NamedTuple


class TlsVersion(NamedTuple):
    """A version of TLS or DTLS: its name, and its two characters in a JA4."""

    text: str
    ja4: str


TLS_VERSIONS = {
    0x0304: TlsVersion("1.3", "13"),
    0x0303: TlsVersion("1.2", "12"),
    0x0302: TlsVersion("1.1", "11"),
    0x0301: TlsVersion("1.0", "10"),
    0x0300: TlsVersion("ssl3", "s3"),
    0xFEFC: TlsVersion("dtls1.3", "d3"),
    0xFEFD: TlsVersion("dtls1.2", "d2"),
    0xFEFF: TlsVersion("dtls1.0", "d1"),
}
"""Versions by their number on the wire."""

QUIC_1, QUIC_2 = "1", "2"
"""The names of versions 1 (RFC 9000) and 2 (RFC 9369) of QUIC."""

ECH_PUBLIC_NAMES = frozenset(
    {
        "cloudflare-ech.com",  # of all sites with ECH at Cloudflare
        "public.tls-ech.dev",  # of a public test service
    }
)
"""Names that are only used in outer hellos: no service is visited under them."""
