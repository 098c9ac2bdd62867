cimport cython
from netwatch.core.buffers cimport lowered
from netwatch.dissect.loop.octets cimport Window

# `LONGEST`, `MOST_LABELS` and `TAILS` of domain_filter.py.
cdef enum:
    LETTERS = 253
    LABELS = 32
    TAIL_BITS = 1 << 17

cdef inline unsigned long long label_hash(unsigned long long hash_, unsigned long long word) noexcept nogil:
    hash_ = ((hash_ ^ word) * <unsigned long long>0x2545F4914F6CDD1D) & <unsigned long long>0x7FFFFFFFFFFFFFFF
    return hash_ ^ (hash_ >> 32)

@cython.final
cdef class DomainSet:
    cdef readonly bint active
    cdef long long[::1] hashes
    cdef unsigned long long mask
    cdef unsigned char[::1] tails
    cdef bint tops

    @cython.boundscheck(True)
    cdef inline bint may_end(self, unsigned long long tail) noexcept nogil:
        cdef unsigned long long place = (tail >> 31) & (TAIL_BITS - 1)
        return (self.tails[place >> 3] >> (place & 7)) & 1

    @cython.boundscheck(True)
    cdef inline bint contains(self, unsigned long long domain) noexcept nogil:
        cdef long long key = domain
        cdef unsigned long long place = (domain >> 31) & self.mask
        cdef long long found = self.hashes[place]
        while found != 0:
            if found == key:
                return True
            place = (place + 1) & self.mask
            found = self.hashes[place]
        return False

@cython.final
cdef class DomainFilter(Window):
    cdef DomainSet domains
    cdef Py_ssize_t name_end
    cdef unsigned long long hash
    cdef Py_ssize_t length
    cdef Py_ssize_t labels
    cdef unsigned long long powers[LABELS + 1]
    cdef unsigned long long label_hashes[LABELS]

    cdef bint not_matched(self) noexcept nogil
    cdef unsigned long long parent(self, Py_ssize_t labels) noexcept nogil
    cdef void start_name(self) noexcept nogil
    cdef bint hash_name(self, Py_ssize_t at, Py_ssize_t end) noexcept nogil
    cdef bint hash_labels(self, Py_ssize_t start, Py_ssize_t at, Py_ssize_t end) noexcept nogil

    cdef inline bint hash_label(self, Py_ssize_t at, Py_ssize_t size) noexcept nogil:
        cdef unsigned long long label = 0
        cdef unsigned long long word
        if self.labels >= LABELS or self.length + size > LETTERS:
            return False
        self.label_hashes[self.labels] = self.hash
        self.labels += 1
        self.length += size
        while True:
            word = lowered(self.word(at, size))
            if word == 0:
                return False
            label = label_hash(label, word)
            if size <= 8:
                break
            at += 8
            size -= 8
        self.hash = (self.hash * <unsigned long long>0x2545F4914F6CDD1D + label) & <unsigned long long>0x7FFFFFFFFFFFFFFF
        return True

cdef unsigned long long domain_hash(bytes domain) except 0
cdef unsigned long long tail_hash(bytes domain) except 0
