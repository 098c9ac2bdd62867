"""The module `inspect` is imported when it is used, not when it is named.

`dataclasses` names it for docstrings that our classes have, and classes that Cython compiles call
`inspect.getfullargspec` once for each field, to see which arguments this version of Python knows.
With `inspect` come the parser of Python and its tokens: together a ninth of what it takes to start
a small command.

`install` puts an object in the place of the module, which answers that one question itself and is
replaced by the module when anything else is asked. Where `inspect` was imported before, as in most
programs that use netwatch as a library, nothing happens.
"""

import sys
import threading
from types import CodeType, ModuleType
from typing import Any, NamedTuple

_VARIADIC = 0x04 | 0x08  # CO_VARARGS and CO_VARKEYWORDS


class Arguments(NamedTuple):
    """What `getfullargspec` says of a function without ``*`` and ``**``, as far as it is used."""

    args: list[str]
    kwonlyargs: list[str]


class LateInspect(ModuleType):
    """Stands for `inspect` until it is used."""

    def __init__(self) -> None:
        super().__init__("inspect")
        self._lock = threading.Lock()

    def getfullargspec(self, function: Any) -> Any:
        """The names of the arguments of a function, or of those that make an object of a class."""
        called = vars(function).get("__init__") if isinstance(function, type) else function
        code = getattr(called, "__code__", None)
        if not isinstance(code, CodeType) or code.co_flags & _VARIADIC:
            return self._module().getfullargspec(function)
        names, count = code.co_varnames, code.co_argcount
        return Arguments([*names[:count]], [*names[count : count + code.co_kwonlyargcount]])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what the import system asks of any module
            raise AttributeError(name)
        return getattr(self._module(), name)

    def _module(self) -> ModuleType:
        with self._lock:
            if sys.modules.get("inspect") is self:
                del sys.modules["inspect"]
        import inspect

        return inspect


def install() -> None:
    """Have `inspect` imported when it is used, unless it was imported already."""
    if "inspect" not in sys.modules:
        sys.modules["inspect"] = LateInspect()
