# cython: language_level=3, boundscheck=True, wraparound=False
"""Tunnels over UDP whose header says an IP protocol, or that contain nothing but IP.

Their ports are no protection against other senders, so a packet inside has to end where its
datagram does. Each function reads one header at the cursor and answers which layer follows,
`layout.LAYER_STOPPED` where the datagram is no tunnel.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor


def gue(cursor: Cursor) -> cython.int:
    """Generic UDP encapsulation (draft-ietf-intarea-gue-09 section 3): variant 1 is an IP packet
    by itself, variant 0 has a header with an IP protocol, flags and fields."""
    first: cython.int
    flags: cython.longlong
    layer: cython.int
    if not cursor.has(8):
        return cursor.cut_short()
    first = cursor.data[cursor.at]
    if first >> 6 == 1:
        return layout.LAYER_IP if cursor.fills() else layout.LAYER_STOPPED
    if first >> 5:
        return layout.LAYER_STOPPED  # another variant, or a control message
    cursor.protocol = cursor.data[cursor.at + 1]
    flags = cursor.u16(cursor.at + 2)
    layer = tunnelled(cursor)
    if layer == layout.LAYER_STOPPED:
        return layout.LAYER_STOPPED
    if not cursor.has(4 + 4 * first):
        return cursor.cut_short()
    cursor.at += 4 + 4 * first
    if flags and not cursor.has(6):
        return cursor.cut_short()
    if flags and not cursor.fills():
        # A fragment, or transformed: which flags say so was never agreed upon.
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    return layer


def tunnelled(cursor: Cursor) -> cython.int:
    """The layer of `Cursor.protocol`, if that is one that carries packets."""
    layer: cython.int = cursor.ip_protocols[cursor.protocol]
    if (
        layer == layout.LAYER_TRANSPORT
        or layer == layout.LAYER_EXTENSION
        or layer == layout.LAYER_FRAGMENT
        or layer == layout.LAYER_AH
        or layer == layout.LAYER_ESP
    ):
        return layout.LAYER_STOPPED
    return layer


def ayiya(cursor: Cursor) -> cython.int:
    """Anything in anything (draft-massar-v6ops-ayiya-02 section 4.3): lengths, methods, next
    header, time, identity and signature, then what was forwarded."""
    first: cython.int
    second: cython.int
    third: cython.int
    size: cython.Py_ssize_t
    layer: cython.int
    if not cursor.has(8):
        return cursor.cut_short()
    first = cursor.data[cursor.at]
    second = cursor.data[cursor.at + 1]
    third = cursor.data[cursor.at + 2]
    if first & 15 > 2 or second & 15 > 2 or third >> 4 > 2:
        return layout.LAYER_STOPPED  # no type of identity, hash or authentication that exists
    if third & 15 != 1 and third & 15 != 3:
        return layout.LAYER_STOPPED  # nothing that is forwarded
    cursor.protocol = cursor.data[cursor.at + 3]
    layer = tunnelled(cursor)
    size = 8 + (1 << (first >> 4)) + 4 * (second >> 4)
    if layer == layout.LAYER_STOPPED or cursor.at + size >= cursor.wire_end:
        return layout.LAYER_STOPPED
    if not cursor.has(size):
        return cursor.cut_short()
    cursor.at += size
    return layer


def amt(cursor: Cursor) -> cython.int:
    """Automatic multicast tunneling (RFC 7450 section 5.1.6): a multicast data message."""
    if not cursor.has(8):
        return cursor.cut_short()
    if cursor.data[cursor.at] != 6:
        return layout.LAYER_STOPPED
    cursor.at += 2
    return layout.LAYER_IP if cursor.fills() else layout.LAYER_STOPPED


def jmirror(cursor: Cursor) -> cython.int:
    """Packets that a Juniper router mirrors: identifiers of the intercept and of the session in
    eight bytes, then IP."""
    if not cursor.has(14):
        return cursor.cut_short()
    cursor.at += 8
    return layout.LAYER_IP if cursor.fills() else layout.LAYER_STOPPED
