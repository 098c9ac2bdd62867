from netwatch.dissect.loop.cursor cimport Cursor


cdef int read_serial(Cursor cursor, int layer) noexcept nogil
cdef int cisco_hdlc(Cursor cursor) noexcept nogil
cdef int serial_ppp(Cursor cursor) noexcept nogil
cdef int directed(Cursor cursor, int layer) noexcept nogil
cdef int frame_relay(Cursor cursor) noexcept nogil
cdef int gfp(Cursor cursor) noexcept nogil
cdef int classical_ip(Cursor cursor) noexcept nogil
cdef int sun_atm(Cursor cursor) noexcept nogil


cdef int pppoe(Cursor cursor) noexcept nogil
cdef int ppp(Cursor cursor) noexcept nogil
cdef int bridged(Cursor cursor) noexcept nogil
cdef int multilink(Cursor cursor) noexcept nogil
cdef bint is_ip(Cursor cursor, Py_ssize_t at) noexcept nogil
