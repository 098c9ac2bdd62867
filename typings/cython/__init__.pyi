# What compiled modules use of Cython's pure Python mode, for the type checker. To it, the numbers
# of C are plain integers, and modules are always interpreted.

import builtins
from collections.abc import Callable
from types import TracebackType
from typing import Any, TypeAlias, TypeVar

_T = TypeVar("_T")

compiled: builtins.bool

int: TypeAlias = builtins.int
uint: TypeAlias = builtins.int
long: TypeAlias = builtins.int
longlong: TypeAlias = builtins.int
ulonglong: TypeAlias = builtins.int
uchar: TypeAlias = builtins.int
Py_ssize_t: TypeAlias = builtins.int
bint: TypeAlias = builtins.bool
void: TypeAlias = None
double: TypeAlias = builtins.float

const: Any

def declare(type: Any, value: _T) -> _T: ...
def cast(type: Any, value: _T) -> _T: ...
def address(value: Any) -> Any: ...
def cclass(decorated: _T) -> _T: ...
def cfunc(decorated: _T) -> _T: ...
def ccall(decorated: _T) -> _T: ...
def final(decorated: _T) -> _T: ...
def no_gc(decorated: _T) -> _T: ...
def inline(decorated: _T) -> _T: ...
def boundscheck(value: builtins.bool) -> Callable[[_T], _T]: ...
def wraparound(value: builtins.bool) -> Callable[[_T], _T]: ...
def exceptval(value: Any = ..., check: builtins.bool = ...) -> Callable[[_T], _T]: ...

class _NoGil:
    def __enter__(self) -> None: ...
    def __exit__(
        self,
        type: builtins.type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __call__(self, decorated: _T) -> _T: ...

nogil: _NoGil
gil: _NoGil
