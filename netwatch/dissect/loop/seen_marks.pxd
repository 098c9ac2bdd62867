from netwatch.dissect.loop.cursor cimport Cursor

cdef extern from *:
    """
    #include <string.h>

    /* The sum of the 16-bit words in network order. It is the same in any order of bytes, but for
       a swap at the end (RFC 1071 section 2). */
    static inline unsigned long long netwatch_sum(const unsigned char *at, Py_ssize_t size)
    {
        unsigned long long total = 0;
        unsigned int word;
        const unsigned short one = 1;
        while (size >= 4) {
            memcpy(&word, at, 4);
            total += word;
            at += 4;
            size -= 4;
        }
        if (size > 0) {
            unsigned char rest[4] = {0, 0, 0, 0};
            memcpy(rest, at, (size_t)size);
            memcpy(&word, rest, 4);
            total += word;
        }
        while (total >> 16)
            total = (total & 0xFFFF) + (total >> 16);
        if (*(const unsigned char *)&one)
            total = ((total & 0xFF) << 8) | (total >> 8);
        return total;
    }
    """
    unsigned long long netwatch_sum(const unsigned char *at, Py_ssize_t size) noexcept nogil

cdef int checksum_of(Cursor cursor) noexcept nogil
cdef unsigned long long sum_of(Cursor cursor, Py_ssize_t at, Py_ssize_t size) noexcept nogil
cdef long long place_of(Cursor cursor) noexcept nogil
cdef bint is_long(Cursor cursor, Py_ssize_t at) noexcept nogil
cdef long long hash_of(Cursor cursor, Py_ssize_t at, Py_ssize_t size) noexcept nogil
cdef long long called_of(Cursor cursor) noexcept nogil
cdef bint answers(Cursor cursor, long long named) noexcept nogil
cdef long long mark_of(Cursor cursor) noexcept nogil
