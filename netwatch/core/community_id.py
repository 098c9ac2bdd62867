# cython: language_level=3
"""Community ID: one name for a flow, the same in every tool that speaks it.

Version 1 of https://github.com/corelight/community-id-spec, for protocols with ports.
"""

import hashlib
import struct
from binascii import b2a_base64
from functools import lru_cache

_seed = struct.Struct("!H").pack
_rest = struct.Struct("!BBHH").pack

CACHE_LIMIT = 4096
"""Flows whose id is remembered: messages of one come close together."""


@lru_cache(CACHE_LIMIT)
def community_id(src: bytes, dst: bytes, sport: int, dport: int, proto: int, seed: int = 0) -> str:
    """The id of the flow between two endpoints, whichever of them is named first.

    Addresses are packed (4 or 16 bytes, both alike), ports and `seed` 16 bit integers,
    `proto` is the IP protocol number (6 is TCP, 17 UDP, 132 SCTP).
    """
    if (dst, dport) < (src, sport):
        src, dst, sport, dport = dst, src, dport, sport
    told = b"%b%b%b%b" % (_seed(seed), src, dst, _rest(proto, 0, sport, dport))
    digest = hashlib.sha1(told, usedforsecurity=False).digest()
    return "1:" + b2a_base64(digest, newline=False).decode("ascii")
