from netwatch.dissect.loop.cursor cimport Cursor

cdef bint read_layers(Cursor cursor, int layer) noexcept nogil
cdef int read_layer(Cursor cursor, int layer) noexcept nogil
