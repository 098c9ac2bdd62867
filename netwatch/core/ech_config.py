"""An ECH configuration that a DNS answer gave its client, as one text of an observation.

Of the public key only a hash is stored: it tells keys apart, and nobody needs the key itself.
"""

import hashlib
from typing import NamedTuple, Self

_KEY_ID_BYTES = 8


class EchConfig(NamedTuple):
    """What an ECHConfig (RFC 9849 section 4) shows of the outer hellos that follow from it.

    They have `public_name` in the place of the real one, and `config_id`. `key_id` is a hash of the
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
        """The configuration that `text` gave. Raises `ValueError` where it is none."""
        public_name, config_id, key_id, ttl = text.rsplit("/", 3)
        return cls(public_name, int(config_id), key_id, int(ttl))


def key_id(public_key: bytes) -> str:
    """The hash by which public keys are told apart."""
    return hashlib.sha256(public_key).digest()[:_KEY_ID_BYTES].hex()
