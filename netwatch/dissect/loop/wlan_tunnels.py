# cython: language_level=3, boundscheck=True, wraparound=False
"""Frames of IEEE 802.11 in tunnels: between access points and their controllers, and from sensors.

Wireless controllers receive the frames of their access points unchanged (CAPWAP, LWAPP, Aruba's
GRE); access points and sensors mirror what they hear to a capturing host (TZSP, the remote capture
of OmniPeek and Aruba). Each function reads one header at the cursor and returns the layer that
follows, `layout.LAYER_STOPPED` if the datagram is not a tunnel.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.link_types import wlan_frame
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.link_types import wlan_frame

LARGEST_RADIO_HEADER = cython.declare(cython.Py_ssize_t, 512)
"""Bytes of a header with a radio's information about a frame, at most."""


def little16(cursor: Cursor, at: cython.Py_ssize_t) -> cython.longlong:
    """Two bytes, least significant first."""
    return cursor.data[at] | (cursor.data[at + 1] << 8)


def swapped(control: cython.longlong) -> cython.longlong:
    """A frame control field with its bytes in the other order."""
    return ((control & 0xFF) << 8) | (control >> 8)


def has_packet(
    cursor: Cursor, at: cython.Py_ssize_t, control: cython.longlong, protected: cython.bint
) -> cython.bint:
    """Whether the frame at `at` with this frame control field is a data frame of an existing
    version, with LLC and SNAP in place; or is `protected` and may be one."""
    if control & 0x0F00 != 0x0800 or control & 0x4000:
        return False
    if control & 0x0040:
        return protected
    at += 24
    if control & 3 == 3:
        at += 6
    if control & 0x8000:
        if at >= cursor.end:
            return False
        if cursor.data[at] & 0x80:
            at += 14
        at += 6 if control & 0x0080 else 2
    return cursor.end - at >= 8 and cursor.u16(at) == 0xAAAA and cursor.data[at + 2] == 3


def wlan_of_controller(cursor: Cursor, swaps: cython.bint) -> cython.int:
    """A frame of IEEE 802.11 whose sender may have swapped the bytes of its frame control field, as
    Cisco's access points do, some also in sequence control; with `swaps` this is expected. The
    following bytes tell. Fragments are reassembled by the access point."""
    control: cython.longlong
    other: cython.longlong
    if not cursor.has(24):
        return cut_frame(cursor)
    control = cursor.u16(cursor.at)
    other = swapped(control)
    if swaps:
        control, other = other, control
    if not has_packet(cursor, cursor.at, control, False) and (
        has_packet(cursor, cursor.at, other, False) or control & 0x0300 != 0
    ):
        control = other
    if control & 0x0300:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)  # no version that exists
    return wlan_frame(cursor, control, 0)


def cut_frame(cursor: Cursor) -> cython.int:
    """A frame that is shorter than a data frame: a control frame, or cut off."""
    if cursor.end < cursor.wire_end:
        return cursor.fail(layout.ANOMALY_LINK_HEADER_CUT)
    return cursor.fail(layout.ANOMALY_NOT_IP)


def capwap(cursor: Cursor) -> cython.int:
    """A data message of CAPWAP (RFC 5415 section 4) with a frame of Ethernet or of IEEE 802.11
    (RFC 5416 section 3). A fragment is left to be reassembled."""
    flags: cython.longlong
    size: cython.Py_ssize_t
    if not cursor.has(8):
        return cursor.cut_short()
    if cursor.data[cursor.at] == 1:
        # A DTLS record, whose type and version follow three reserved bytes.
        if 20 <= cursor.data[cursor.at + 4] <= 26 and cursor.data[cursor.at + 5] == 0xFE:
            return cursor.fail(layout.ANOMALY_ENCRYPTED_TUNNEL)
        return layout.LAYER_STOPPED
    flags = cursor.u32(cursor.at)
    size = (flags >> 19) * 4
    if flags >> 24 or size < 8 or flags & 0x08:
        return layout.LAYER_STOPPED  # another version, no header, or a keep-alive
    if not cursor.has(size):
        return cursor.fail(layout.ANOMALY_WRAPPING_HEADER_CUT)
    if flags & 0x80:
        cursor.fragment = cursor.u16(cursor.at + 6) & 0xFFF8
        if not flags & 0x40:
            cursor.fragment |= 1 << 16
        # The binding, and whether the frame is in its format, are the same in all fragments.
        cursor.fragment_id = cursor.u16(cursor.at + 4) | ((flags & 0x3F00) << 8)
        cursor.protocol = layout.PROTOCOL_TUNNEL_FRAGMENT
        cursor.at += size
        return layout.LAYER_TRANSPORT
    cursor.at += size
    if not flags & 0x100:
        return layout.LAYER_ETHERNET
    if (flags >> 9) & 31 != 1:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)  # another radio than IEEE 802.11
    return wlan_of_controller(cursor, True)


def lwapp(cursor: Cursor) -> cython.int:
    """A data message of LWAPP (RFC 5412 section 3.1) with a frame of IEEE 802.11."""
    flags: cython.int
    if not cursor.has(6):
        return cursor.cut_short()
    flags = cursor.data[cursor.at]
    if flags & 0xC4 or cursor.u16(cursor.at + 2) != cursor.wire_end - cursor.at - 6:
        return layout.LAYER_STOPPED  # another version, a control message, or not LWAPP
    if flags & 0x02:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)  # a fragment
    cursor.at += 6
    return wlan_of_controller(cursor, False)


def tzsp(cursor: Cursor) -> cython.int:
    """TZSP: version, type, what is inside, and tagged fields up to an end tag."""
    kind: cython.longlong
    tag: cython.int
    if not cursor.has(5):
        return cursor.cut_short()
    kind = cursor.u16(cursor.at + 2)
    if cursor.data[cursor.at] != 1 or cursor.data[cursor.at + 1] > 1:
        return layout.LAYER_STOPPED  # another version, or nothing heard or to be sent
    cursor.at += 4
    while True:
        if not cursor.has(2):
            return cursor.cut_short()
        tag = cursor.data[cursor.at]
        if tag == 1:
            cursor.at += 1
            break
        cursor.at += 1 if tag == 0 else 2 + cursor.data[cursor.at + 1]
    if kind == 1:
        return layout.LAYER_ETHERNET
    if kind == 18:
        return layout.LAYER_WLAN
    if kind == 119:
        return layout.LAYER_PRISM
    if kind == 127:
        return layout.LAYER_AVS
    return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)


def remote_capture(cursor: Cursor) -> cython.int:
    """What access points mirror to a capturing host. The format depends on the configuration there,
    so it is recognized by its own lengths and by the data frame that follows: the two OmniPeek
    formats, radiotap, PPI, or a pcap record with or without four bytes about the radio (Aruba)."""
    left: cython.Py_ssize_t = cursor.wire_end - cursor.at
    size: cython.longlong
    if not cursor.has(20):
        return cursor.cut_short()
    if cursor.u32(cursor.at) == 0x00FFABCD:
        size = cursor.u32(cursor.at + 5)
        return frame_behind(cursor, size) if size >= 9 else layout.LAYER_STOPPED
    if cursor.u16(cursor.at) == 0 or cursor.u32(cursor.at + 4) == 0x69000000:
        # A radiotap header begins with its version and a byte of padding, a PPI header with its
        # version and flags and contains the link type 105; both contain their length.
        size = little16(cursor, cursor.at + 2)
        return frame_behind(cursor, size) if size >= 8 else layout.LAYER_STOPPED
    size = cursor.u32(cursor.at + 8)
    if size <= cursor.u32(cursor.at + 12) and cursor.u32(cursor.at + 4) < 1000000:
        if size == left - 16 and has_packet(
            cursor, cursor.at + 16, cursor.u16(cursor.at + 16), True
        ):
            return frame_behind(cursor, 16)
        if size == left - 16 or size == left - 20:
            return frame_behind(cursor, 20)
    if cursor.u16(cursor.at + 4) <= cursor.u16(cursor.at + 2):
        return frame_behind(cursor, 20)
    return layout.LAYER_STOPPED


def frame_behind(cursor: Cursor, size: cython.longlong) -> cython.int:
    """The data frame after a header of this size."""
    if size > LARGEST_RADIO_HEADER:
        return layout.LAYER_STOPPED
    if not cursor.has(size + 24) or (
        cursor.end < cursor.wire_end and not cursor.has(size + layout.WLAN_TO_PACKET)
    ):
        return cursor.cut_short()
    if has_packet(cursor, cursor.at + size, cursor.u16(cursor.at + size), True):
        cursor.at += size
        return layout.LAYER_WLAN
    return layout.LAYER_STOPPED
