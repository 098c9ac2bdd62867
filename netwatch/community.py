"""Community ID: one name for a flow, the same in every tool that speaks it.

Version 1 of https://github.com/corelight/community-id-spec, for protocols with ports.
"""

import base64
import hashlib
import struct
from functools import lru_cache

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
    parts = (struct.pack("!H", seed), src, dst, struct.pack("!BBHH", proto, 0, sport, dport))
    digest = hashlib.sha1(b"".join(parts), usedforsecurity=False).digest()
    return "1:" + base64.b64encode(digest).decode("ascii")
