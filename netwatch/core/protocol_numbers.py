"""The numbers of DNS and TLS that the parsers and the packet loop share, with the names that IANA
has registered, and an ECH configuration as text.

DNS record types are from RFC 1035 section 3.2.2 and later, response codes from RFC 6895 section
2.3. The loop reads ClientHellos with the usual layout, the parsers read all others; both take the
names of versions, and what tells an encrypted hello from GREASE, from here. Of the public key of
ECH only a hash is stored, which is enough to tell keys apart.
"""

import hashlib
from typing import NamedTuple, Self

TYPES = {
    1: "A",
    2: "NS",
    5: "CNAME",
    6: "SOA",
    10: "NULL",
    12: "PTR",
    13: "HINFO",
    15: "MX",
    16: "TXT",
    17: "RP",
    18: "AFSDB",
    24: "SIG",
    25: "KEY",
    28: "AAAA",
    29: "LOC",
    32: "NB",
    33: "SRV",
    35: "NAPTR",
    36: "KX",
    37: "CERT",
    38: "A6",
    39: "DNAME",
    41: "OPT",
    42: "APL",
    43: "DS",
    44: "SSHFP",
    45: "IPSECKEY",
    46: "RRSIG",
    47: "NSEC",
    48: "DNSKEY",
    49: "DHCID",
    50: "NSEC3",
    51: "NSEC3PARAM",
    52: "TLSA",
    53: "SMIMEA",
    55: "HIP",
    59: "CDS",
    60: "CDNSKEY",
    61: "OPENPGPKEY",
    62: "CSYNC",
    63: "ZONEMD",
    64: "SVCB",
    65: "HTTPS",
    99: "SPF",
    108: "EUI48",
    109: "EUI64",
    249: "TKEY",
    250: "TSIG",
    251: "IXFR",
    252: "AXFR",
    255: "ANY",
    256: "URI",
    257: "CAA",
}

RCODES = {
    0: "NOERROR",
    1: "FORMERR",
    2: "SERVFAIL",
    3: "NXDOMAIN",
    4: "NOTIMP",
    5: "REFUSED",
    6: "YXDOMAIN",
    7: "YXRRSET",
    8: "NXRRSET",
    9: "NOTAUTH",
    10: "NOTZONE",
    11: "DSOTYPENI",
    16: "BADVERS",
    17: "BADKEY",
    18: "BADTIME",
    19: "BADMODE",
    20: "BADNAME",
    21: "BADALG",
    22: "BADTRUNC",
    23: "BADCOOKIE",
}
_KEY_ID_BYTES = 8


def type_text(number: int) -> str:
    """The name of a record type, ``TYPE123`` if it has none (RFC 3597 section 5)."""
    return TYPES.get(number) or f"TYPE{number}"


def rcode_text(number: int) -> str:
    """The name of a response code, ``RCODE12`` if it has none."""
    return RCODES.get(number) or f"RCODE{number}"


class EchConfig(NamedTuple):
    """What an ECHConfig (RFC 9849 section 4) reveals about the outer hellos that use it.

    They have `public_name` instead of the real name, and `config_id`. `key_id` is a hash of the
    public key (16 hex digits), `ttl` the time to live of its record (seconds).
    """

    public_name: str
    config_id: int
    key_id: str
    ttl: int

    @property
    def text(self) -> str:
        """``PUBLIC-NAME/CONFIG-ID/KEY-ID/TTL``."""
        return f"{self.public_name}/{self.config_id}/{self.key_id}/{self.ttl}"

    @classmethod
    def of(cls, text: str) -> Self:
        """The configuration written in `text`. Raises `ValueError` if it is not valid."""
        public_name, config_id, key_id, ttl = text.rsplit("/", 3)
        return cls(public_name, int(config_id), key_id, int(ttl))


def key_id(public_key: bytes) -> str:
    """The hash by which public keys are told apart."""
    return hashlib.sha256(public_key).digest()[:_KEY_ID_BYTES].hex()


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
"""Names that only appear in outer hellos: no service is visited under them."""
