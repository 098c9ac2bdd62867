# cython: language_level=3
"""Community ID: an identifier of a flow that every tool computes alike.

This is version 1 of https://github.com/corelight/community-id-spec, for protocols with ports.
"""

import hashlib
import struct
from binascii import b2a_base64
from functools import lru_cache

_pack_seed = struct.Struct("!H").pack
_pack_proto_and_ports = struct.Struct("!BBHH").pack

CACHE_LIMIT = 4096
"""How many flows are cached: the messages of one flow arrive close together."""


@lru_cache(CACHE_LIMIT)
def community_id(src: bytes, dst: bytes, sport: int, dport: int, proto: int, seed: int = 0) -> str:
    """The Community ID of the flow between two endpoints, the same for both directions.

    Both addresses are packed (4 or 16 bytes), ports and `seed` are 16-bit integers, `proto` is
    the IP protocol number (6 for TCP, 17 for UDP, 132 for SCTP).
    """
    if (dst, dport) < (src, sport):
        src, dst, sport, dport = dst, src, dport, sport
    ports = _pack_proto_and_ports(proto, 0, sport, dport)
    digest = hashlib.sha1(_pack_seed(seed) + src + dst + ports, usedforsecurity=False).digest()
    return "1:" + b2a_base64(digest, newline=False).decode("ascii")
