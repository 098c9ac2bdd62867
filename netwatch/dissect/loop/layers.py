# cython: language_level=3, boundscheck=True, wraparound=False
"""One layer after the other, from the link type to the transport header."""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython

if cython.compiled:
    from cython.cimports.netwatch.dissect.loop import layout
    from cython.cimports.netwatch.dissect.loop.cursor import Cursor
    from cython.cimports.netwatch.dissect.loop.headers import ah, ethernet, ip, ipv4, ipv6, llc
    from cython.cimports.netwatch.dissect.loop.link_types import (
        fddi,
        linux_sll,
        linux_sll2,
        loopback,
        mpacket,
        nflog,
        radiotap,
        wlan,
    )
    from cython.cimports.netwatch.dissect.loop.tunnels import etherip, gre, mpls, nsh, ppp, pppoe
else:
    from netwatch.dissect.loop import layout
    from netwatch.dissect.loop.cursor import Cursor
    from netwatch.dissect.loop.headers import ah, ethernet, ip, ipv4, ipv6, llc
    from netwatch.dissect.loop.link_types import (
        fddi,
        linux_sll,
        linux_sll2,
        loopback,
        mpacket,
        nflog,
        radiotap,
        wlan,
    )
    from netwatch.dissect.loop.tunnels import etherip, gre, mpls, nsh, ppp, pppoe


def read_layers(cursor: Cursor, layer: cython.int) -> cython.bint:
    """Read layers from this one on, which is at the cursor: whether a TCP or UDP header, or a
    fragment, is there then."""
    while layer > layout.LAYER_TRANSPORT:
        layer = read_layer(cursor, layer)
    return layer == layout.LAYER_TRANSPORT


def read_layer(cursor: Cursor, layer: cython.int) -> cython.int:
    """Read one layer: the one that follows, or why none does."""
    if layer == layout.LAYER_ETHERNET:
        return ethernet(cursor)
    if layer == layout.LAYER_IPV4:
        return ipv4(cursor)
    if layer == layout.LAYER_IPV6:
        return ipv6(cursor)
    if layer == layout.LAYER_IP:
        return ip(cursor)
    if layer == layout.LAYER_LLC:
        return llc(cursor)
    if layer == layout.LAYER_MPLS:
        return mpls(cursor)
    if layer == layout.LAYER_PPPOE:
        return pppoe(cursor)
    if layer == layout.LAYER_PPP:
        return ppp(cursor)
    if layer == layout.LAYER_NSH:
        return nsh(cursor)
    if layer == layout.LAYER_GRE:
        return gre(cursor)
    if layer == layout.LAYER_ETHERIP:
        return etherip(cursor)
    if layer == layout.LAYER_AH:
        return ah(cursor)
    if layer == layout.LAYER_ESP:
        return cursor.fail(layout.ANOMALY_ENCRYPTED_IP)
    if layer == layout.LAYER_MACSEC:
        return cursor.fail(layout.ANOMALY_ENCRYPTED_LINK)
    if layer == layout.LAYER_UNSUPPORTED:
        return cursor.fail(layout.ANOMALY_WRAPPING_UNKNOWN)
    if layer == layout.LAYER_LOOPBACK:
        return loopback(cursor)
    if layer == layout.LAYER_LINUX_SLL:
        return linux_sll(cursor)
    if layer == layout.LAYER_LINUX_SLL2:
        return linux_sll2(cursor)
    if layer == layout.LAYER_RADIOTAP:
        return radiotap(cursor)
    if layer == layout.LAYER_WLAN:
        return wlan(cursor)
    if layer == layout.LAYER_NFLOG:
        return nflog(cursor)
    if layer == layout.LAYER_FDDI:
        return fddi(cursor)
    if layer == layout.LAYER_MPACKET:
        return mpacket(cursor)
    return cursor.fail(layout.ANOMALY_LINK_TYPE_UNKNOWN)
