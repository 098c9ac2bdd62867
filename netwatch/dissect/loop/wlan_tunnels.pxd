from netwatch.dissect.loop.cursor cimport Cursor

cdef long long little16(Cursor cursor, Py_ssize_t at) noexcept nogil
cdef long long swapped(long long control) noexcept nogil
cdef bint has_packet(
    Cursor cursor, Py_ssize_t at, long long control, bint protected) noexcept nogil
cdef int wlan_of_controller(Cursor cursor, bint swaps) noexcept nogil
cdef int cut_frame(Cursor cursor) noexcept nogil
cdef int capwap(Cursor cursor) noexcept nogil
cdef int lwapp(Cursor cursor) noexcept nogil
cdef int tzsp(Cursor cursor) noexcept nogil
cdef int remote_capture(Cursor cursor) noexcept nogil
cdef int frame_behind(Cursor cursor, long long size) noexcept nogil
