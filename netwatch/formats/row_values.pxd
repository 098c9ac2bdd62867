cdef Py_ssize_t put_number(unsigned char[::1] out, Py_ssize_t to, long long value)
cdef Py_ssize_t put_second(unsigned char[::1] out, Py_ssize_t to, long long second)
cdef Py_ssize_t put_fraction(unsigned char[::1] out, Py_ssize_t to, long long fraction, long long digits)
cdef Py_ssize_t put_mac(unsigned char[::1] out, Py_ssize_t to, long long mac)
cdef Py_ssize_t put_ip(unsigned char[::1] out, Py_ssize_t to, unsigned char[::1] packed, Py_ssize_t at, Py_ssize_t size)
cdef Py_ssize_t _put_ipv6(unsigned char[::1] out, Py_ssize_t to, unsigned char[::1] packed, Py_ssize_t at, Py_ssize_t size)
cdef void _digits(unsigned char[::1] out, Py_ssize_t to, Py_ssize_t count, long long value) noexcept
cdef unsigned char _hexadecimal(long long digit) noexcept
