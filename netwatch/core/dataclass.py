"""Dataclasses that cost little where they are defined.

`dataclasses.dataclass` writes half a dozen functions of each class as text and compiles them when
the class is defined: half a millisecond, and a command imports a hundred of such classes, of most
of which it makes few objects or none. `dataclass` takes the same options and makes the same
classes. But the methods other than ``__init__`` are the same functions for all classes, and
``__init__``, whose parameters are those of the class, is compiled only for a class of which many
objects are made.

To the type checker it is `dataclasses.dataclass`. A class that Cython compiles as a ``cclass`` uses
that, because Cython writes the methods itself.
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from reprlib import recursive_repr
from typing import TYPE_CHECKING, Any, TypeVar

from netwatch.core import late_inspect

late_inspect.install()
import dataclasses  # noqa: E402 - names `inspect`

T = TypeVar("T")

FEW = 50
"""Objects of a class that are made without a compiled ``__init__``, which costs as much as to make
more of them."""

_ORDER = {
    "__lt__": operator.lt,
    "__le__": operator.le,
    "__gt__": operator.gt,
    "__ge__": operator.ge,
}


def _dataclass(
    *, frozen: bool = False, slots: bool = False, order: bool = False, kw_only: bool = False
) -> Callable[[type[T]], type[T]]:
    """A decorator that makes a dataclass as `dataclasses.dataclass` does with these options. A
    class may define any of the methods itself, and keeps it."""

    def define(written: type[T]) -> type[T]:
        # Asked for none of the methods, this compiles nothing.
        make = dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only, slots=slots)
        cls = make(written)
        own = {*cls.__dict__}
        methods = _methods(dataclasses.fields(cls), frozen, order)  # type: ignore[arg-type]
        methods["__init__"] = _first_init(cls, frozen)
        if own >= {"__eq__", "__hash__"} and cls.__dict__["__hash__"] is None:
            own.remove("__hash__")  # Python writes None where only __eq__ is defined
        for name, method in methods.items():
            if name not in own:
                setattr(cls, name, method)
        return cls

    return define


if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:
    dataclass = _dataclass


def _first_init(cls: type, frozen: bool) -> Callable[..., None]:
    """The ``__init__`` of a class until some objects of it were made."""
    made = 0

    def __init__(self: Any, /, *args: Any, **values: Any) -> None:  # noqa: N807 - its name
        nonlocal made
        made += 1
        if made <= FEW and _fill(self, cls, frozen, args, values):
            return
        # It also says what is wrong with arguments that do not fit.
        compiled = _compile_init(cls, frozen)
        cls.__init__ = compiled  # type: ignore[misc]
        compiled(self, *args, **values)

    return __init__


def _fill(
    target: Any, cls: Any, frozen: bool, args: tuple[Any, ...], values: dict[str, Any]
) -> bool:
    """Set the fields of a new object to the arguments of its ``__init__``; false if they do not
    fit."""
    put = object.__setattr__ if frozen else setattr
    given = iter(args)
    left, named = len(args), 0
    for each in dataclasses.fields(cls):
        name = each.name
        if left and not each.kw_only:
            left -= 1
            value = next(given)
        elif name in values:
            named += 1
            value = values[name]
        elif each.default is not dataclasses.MISSING:
            value = each.default
        elif each.default_factory is not dataclasses.MISSING:
            value = each.default_factory()
        else:
            return False
        put(target, name, value)
    return not left and named == len(values)


def _compile_init(cls: Any, frozen: bool) -> Callable[..., None]:
    """The ``__init__`` that takes the fields of a class as its parameters."""
    # A field may be named `set`: defaults have numbers, so that none of them hides another name.
    names: dict[str, Any] = {"_set": object.__setattr__, "_MISSING": dataclasses.MISSING}
    positional, by_keyword, lines = ["self"], ["*"], ["pass"]
    for number, each in enumerate(dataclasses.fields(cls)):
        name, default, value = each.name, "", each.name
        its_default = f"_{number}"
        if each.default is not dataclasses.MISSING:
            names[its_default], default = each.default, f"={its_default}"
        elif each.default_factory is not dataclasses.MISSING:
            names[its_default], default = each.default_factory, "=_MISSING"
            value = f"{its_default}() if {name} is _MISSING else {name}"
        (by_keyword if each.kw_only else positional).append(name + default)
        lines.append(f"_set(self, '{name}', {value})" if frozen else f"self.{name} = {value}")
    parameters = ", ".join(positional + (by_keyword if len(by_keyword) > 1 else []))
    exec(f"def __init__({parameters}):\n " + "\n ".join(lines), names)
    init: Callable[..., None] = names["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _methods(
    fields: Sequence["dataclasses.Field[Any]"], frozen: bool, order: bool
) -> dict[str, Any]:
    """The other methods of a class with these fields, by name."""
    compared = _values([each.name for each in fields if each.compare])
    shown = [each.name for each in fields if each.repr]

    def __eq__(self: object, other: object) -> Any:  # noqa: N807
        if other.__class__ is self.__class__:
            return compared(self) == compared(other)
        return NotImplemented

    @recursive_repr()
    def __repr__(self: Any) -> str:  # noqa: N807
        written = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
        return f"{self.__class__.__qualname__}({written})"

    methods: dict[str, Any] = {"__eq__": __eq__, "__repr__": __repr__, "__hash__": None}
    if frozen:
        methods |= {
            "__hash__": lambda self: hash(compared(self)),
            "__setattr__": _refuse_assignment,
            "__delattr__": _refuse_deletion,
            "__getstate__": _state,
            "__setstate__": _set_state,
        }
    if order:
        methods |= {name: _comparison(compare, compared) for name, compare in _ORDER.items()}
    return methods


def _values(names: Sequence[str]) -> Callable[[object], tuple[Any, ...]]:
    """A function that returns the attributes of these names."""
    if not names:
        return lambda value: ()
    get = operator.attrgetter(*names)
    return get if len(names) > 1 else lambda value: (get(value),)


def _comparison(
    compare: Callable[[Any, Any], bool], compared: Callable[[object], tuple[Any, ...]]
) -> Callable[[object, object], Any]:
    def method(self: object, other: object) -> Any:
        if other.__class__ is self.__class__:
            return compare(compared(self), compared(other))
        return NotImplemented

    return method


def _refuse_assignment(self: object, name: str, value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_deletion(self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    """What is pickled of a frozen object, whose attributes `pickle` could not set."""
    return [getattr(self, each.name) for each in dataclasses.fields(self)]


def _set_state(self: Any, state: Iterable[Any]) -> None:
    for each, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)
