from netwatch.dissect.loop.cursor cimport Cursor

cdef int loopback(Cursor cursor) noexcept nogil
cdef int linux_sll(Cursor cursor) noexcept nogil
cdef int linux_sll2(Cursor cursor) noexcept nogil
cdef int by_protocol(Cursor cursor, long long kind) noexcept nogil
cdef int fddi(Cursor cursor) noexcept nogil
cdef int mpacket(Cursor cursor) noexcept nogil
cdef int radiotap(Cursor cursor) noexcept nogil
cdef int wlan(Cursor cursor) noexcept nogil
cdef int wlan_frame(Cursor cursor, long long control, long long fragment) noexcept nogil
cdef int next_subframe(Cursor cursor) noexcept nogil
cdef int nflog(Cursor cursor) noexcept nogil
