"""What the compiled modules use of the module `cython`, for where they run interpreted.

Compiled code has no use for the module: its types and decorators are instructions to the compiler.
Interpreted, the same lines have to be valid Python that does nothing, so that running without a
compiler does not require Cython to be installed either. Types here are plain integers.
"""

from collections.abc import Callable
from typing import Any, Self, TypeVar

T = TypeVar("T")

compiled = False


class _Type:
    """A C type: ``cython.int``, ``cython.longlong[::1]``, ``cython.const[cython.uchar]``."""

    def __getitem__(self, key: object) -> Self:
        return self


int = longlong = ulonglong = uint = uchar = bint = void = Py_ssize_t = const = _Type()


def declare(_type: object, value: T) -> T:
    """A module's constant of a C type."""
    return value


def cast(_type: object, value: T) -> T:
    """A value as another C type; integers of Python have no limits."""
    return value


class _NoGil:
    """``with cython.nogil:`` and ``@cython.nogil``, neither of which does anything."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: object) -> None:
        return None

    def __call__(self, function: T) -> T:
        return function


gil = nogil = _NoGil()


def _unchanged(decorated: T) -> T:
    return decorated


cclass = cfunc = ccall = final = inline = no_gc = _unchanged


def _directive(*_arguments: Any, **_options: Any) -> Callable[[T], T]:
    return _unchanged


exceptval = boundscheck = wraparound = _directive
