# cython: language_level=3, boundscheck=True, wraparound=False
"""Values of rows as characters, written to a buffer: numbers, times, MAC and IP addresses.

`netwatch.formats.values.rfc3339`, `netwatch.core.addresses.ip_text` and `mac_text` return the same
as strings. Each function writes at `to` and returns where the value ends; there must be room for
`LONGEST` characters.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

from netwatch.core.addresses import ip_text
from netwatch.core.buffers import Buffer

LONGEST = 64
"""The most characters that any of these values has."""

LONGEST_TEXT = cython.declare(cython.Py_ssize_t, 64)

DAY = cython.declare(cython.longlong, 86_400)


def put_number(out: Buffer, to: cython.Py_ssize_t, value: cython.longlong) -> cython.Py_ssize_t:
    """A number in decimal."""
    end: cython.Py_ssize_t = to
    rest: cython.ulonglong
    if value < 0:
        out[to] = 45  # -
        value = -value
        to += 1
    rest = value
    end = to + 1
    while rest >= 10:
        rest //= 10
        end += 1
    _digits(out, to, end - to, value)
    return end


def put_second(out: Buffer, to: cython.Py_ssize_t, second: cython.longlong) -> cython.Py_ssize_t:
    """Date and time in UTC of a second since the epoch, of 19 characters. The calendar has
    eras of 400 years of 146,097 days, from March on, so that a leap day is the last of its year."""
    days: cython.longlong = second // DAY + 719_468  # since 1 March of the year 0
    clock: cython.longlong = second % DAY
    era: cython.longlong = days // 146_097
    day: cython.longlong = days % 146_097
    year: cython.longlong = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month: cython.longlong = (5 * day + 2) // 153
    day -= (153 * month + 2) // 5
    month = month + 3 if month < 10 else month - 9
    year += 400 * era + (1 if month <= 2 else 0)
    _digits(out, to, 4, year)
    _digits(out, to + 5, 2, month)
    _digits(out, to + 8, 2, day + 1)
    _digits(out, to + 11, 2, clock // 3600)
    _digits(out, to + 14, 2, clock // 60 % 60)
    _digits(out, to + 17, 2, clock % 60)
    out[to + 4] = out[to + 7] = 45  # -
    out[to + 10] = 84  # T
    out[to + 13] = out[to + 16] = 58  # :
    return to + 19


def put_fraction(
    out: Buffer, to: cython.Py_ssize_t, fraction: cython.longlong, digits: cython.longlong
) -> cython.Py_ssize_t:
    """What follows the second of a time: so many digits (0 to 9) of the ns after it, and ``Z``."""
    kept: cython.longlong = 9
    if digits > 0:
        while kept > digits:
            fraction //= 10
            kept -= 1
        out[to] = 46  # .
        _digits(out, to + 1, digits, fraction)
        to += 1 + digits
    out[to] = 90  # Z
    return to + 1


def put_mac(out: Buffer, to: cython.Py_ssize_t, mac: cython.longlong) -> cython.Py_ssize_t:
    """A MAC address of 48 bits; higher ones are ignored."""
    i: cython.Py_ssize_t
    for i in range(6):
        if i:
            out[to] = 58  # :
            to += 1
        out[to] = _hexadecimal(mac >> (44 - 8 * i) & 15)
        out[to + 1] = _hexadecimal(mac >> (40 - 8 * i) & 15)
        to += 2
    return to


def put_ip(
    out: Buffer,
    to: cython.Py_ssize_t,
    packed: Buffer,
    at: cython.Py_ssize_t,
    size: cython.Py_ssize_t,
) -> cython.Py_ssize_t:
    """The IP address in the `size` bytes (4 or 16) at `at` of `packed`. Other sizes are pseudonyms
    instead of an address, and are written as they are."""
    i: cython.Py_ssize_t
    if size != 4 and size != 16:
        size = min(size, LONGEST_TEXT)
        for i in range(size):
            out[to + i] = packed[at + i]
        return to + size
    if size == 4:
        for i in range(4):
            if i:
                out[to] = 46  # .
                to += 1
            to = put_number(out, to, packed[at + i])
        return to
    return _put_ipv6(out, to, packed, at, size)


def _put_ipv6(
    out: Buffer,
    to: cython.Py_ssize_t,
    packed: Buffer,
    at: cython.Py_ssize_t,
    size: cython.Py_ssize_t,
) -> cython.Py_ssize_t:
    i: cython.Py_ssize_t
    group: cython.longlong
    shift: cython.int
    first: cython.Py_ssize_t = 0
    longest: cython.Py_ssize_t = 1
    run: cython.Py_ssize_t = 0
    # The first of the longest runs of zero groups is omitted, if it has more than one (RFC 5952).
    for i in range(8):
        run = 0 if packed[at + 2 * i] or packed[at + 2 * i + 1] else run + 1
        if run > longest:
            longest = run
            first = i + 1 - run
    if first == 0 and longest >= 5:
        # Some of these are written with an IPv4 address at the end.
        for code in ip_text(bytes(packed[at : at + size])).encode("ascii"):
            out[to] = code
            to += 1
        return to
    i = 0
    while i < 8:
        if longest > 1 and i == first:
            out[to] = out[to + 1] = 58  # ::
            to += 2
            i += longest
            continue
        if i and not (longest > 1 and i == first + longest):
            out[to] = 58  # :
            to += 1
        group = packed[at + 2 * i] << 8 | packed[at + 2 * i + 1]
        shift = 12
        while shift and not group >> shift:
            shift -= 4
        while shift >= 0:
            out[to] = _hexadecimal(group >> shift & 15)
            to += 1
            shift -= 4
        i += 1
    return to


def _digits(
    out: Buffer, to: cython.Py_ssize_t, count: cython.Py_ssize_t, value: cython.longlong
) -> cython.void:
    """The last `count` digits of a value that is not negative."""
    i: cython.Py_ssize_t
    rest: cython.ulonglong = value
    for i in range(count):
        out[to + count - 1 - i] = 48 + rest % 10
        rest //= 10


def _hexadecimal(digit: cython.longlong) -> cython.uchar:
    return 48 + digit if digit < 10 else 87 + digit
