# Bytes in words of eight, shared by compiled modules. The interpreted form is buffers.py;
# tests/core/test_buffers.py compares the two.

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.string cimport memcpy

cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define netwatch_little(word) __builtin_bswap64(word)
    #else
    #define netwatch_little(word) (word)
    #endif
    """
    unsigned long long little "netwatch_little"(unsigned long long word) noexcept nogil

# A slice would make an object of its bounds first.
cdef inline bytes bytes_at(bytes data, Py_ssize_t at, Py_ssize_t size):
    return PyBytes_FromStringAndSize(PyBytes_AS_STRING(data) + at, size)

cdef inline unsigned long long number_at(bytes data, Py_ssize_t at, Py_ssize_t size) noexcept:
    cdef const unsigned char *place = <const unsigned char *>PyBytes_AS_STRING(data) + at
    cdef unsigned long long number = 0
    cdef Py_ssize_t i
    for i in range(size):
        number = number << 8 | place[i]
    return number

# The first byte is the lowest one. Reads eight bytes, whatever `size` is.
cdef inline unsigned long long word_of(const unsigned char *at, Py_ssize_t size) noexcept nogil:
    cdef unsigned long long word = 0
    memcpy(&word, at, 8)
    word = little(word)
    if size >= 8:
        return word
    word &= (<unsigned long long>1 << (8 * size)) - 1
    return word | (<unsigned long long>0x2D2D2D2D2D2D2D2D << (8 * size))

# Writes eight bytes.
cdef inline void put_word(unsigned char *at, unsigned long long word) noexcept nogil:
    word = little(word)
    memcpy(at, &word, 8)

# Bytes from 0x80 - x to 0x7F - y have the highest bit set in their sum with x, but not in their sum
# with y. `last` is such a y, for a hyphen or for a dot, which follows it.
cdef inline unsigned long long in_lower_case(
    unsigned long long word, unsigned long long last
) noexcept nogil:
    cdef unsigned long long high = 0x8080808080808080
    cdef unsigned long long ones = 0x0101010101010101
    cdef unsigned long long known
    if word & high:
        return 0
    word |= ((word + 0x3F * ones) & ~(word + 0x25 * ones) & high) >> 2
    known = (
        ((word + 0x1F * ones) & ~(word + 0x05 * ones))
        | ((word + 0x50 * ones) & ~(word + 0x46 * ones))
        | ((word + 0x53 * ones) & ~(word + last * ones))
        | ((word + 0x21 * ones) & ~(word + 0x20 * ones))
    )
    return word if known & high == high else 0

cdef inline unsigned long long lowered(unsigned long long word) noexcept nogil:
    return in_lower_case(word, 0x52)

cdef inline unsigned long long lowered_name(unsigned long long word) noexcept nogil:
    return in_lower_case(word, 0x51)

cdef inline unsigned long long mixed(
    unsigned long long hash_, unsigned long long word
) noexcept nogil:
    hash_ = (hash_ ^ word) * <unsigned long long>0x2545F4914F6CDD1D
    return hash_ ^ (hash_ >> 32)

# If the size is not a multiple of eight, the last two words overlap.
cdef inline unsigned long long hash_of(
    const unsigned char *at, Py_ssize_t size, unsigned long long salt
) noexcept nogil:
    cdef unsigned long long hash_ = salt ^ <unsigned long long>size
    cdef unsigned long long word = 0
    cdef unsigned int half = 0
    cdef Py_ssize_t i = 8
    if size >= 8:
        while i <= size:
            memcpy(&word, at + i - 8, 8)
            hash_ = mixed(hash_, word)
            i += 8
        if size & 7:
            memcpy(&word, at + size - 8, 8)
            hash_ = mixed(hash_, word)
    elif size >= 4:
        memcpy(&half, at, 4)
        word = half
        memcpy(&half, at + size - 4, 4)
        hash_ = mixed(hash_, word << 32 | half)
    elif size > 0:
        hash_ = mixed(hash_, at[0] | (at[size >> 1] << 8) | (at[size - 1] << 16))
    return mixed(hash_, 0) >> 1
