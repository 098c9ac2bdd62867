"""Recognises what `scan --evidence` has written: copies of packets, and of records of logs.

Their originals are most often in the same folder, so who reads both counts everything twice.
"""

import re

HEAD_BYTES = 128
"""Bytes of a file by which it is recognised."""

# The comment of a Section Header Block, in either byte order (draft-ietf-opsawg-pcapng section
# 4.1), and the first lines of a text.
_CAPTURE = re.compile(
    rb"\x0a\x0d\x0d\x0a.{20}(\x01\x00..|\x00\x01..)incident [0-9a-f]{32}: ", re.DOTALL
)
_LINES = re.compile(rb"# netwatch \S{1,40}\n# incident [0-9a-f]{32}: ")


def is_own_evidence(head: bytes) -> bool:
    """Whether a file with these first bytes is an evidence capture or the lines of one."""
    return bool(_CAPTURE.match(head) or _LINES.match(head))
