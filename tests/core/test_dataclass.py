"""The dataclasses of netwatch are those of the standard library, made with less work."""

import builtins
import copy
import dataclasses
import pickle
import sys
from collections.abc import Callable
from dataclasses import field
from itertools import product
from typing import Any

import pytest

from netwatch.core.dataclass import FEW, dataclass

OPTIONS = [
    dict(zip(("frozen", "slots", "order", "kw_only"), chosen, strict=True))
    for chosen in product((False, True), repeat=4)
]
FROZEN = [options for options in OPTIONS if options["frozen"]]


def written(decorate: Callable[..., Any]) -> type[Any]:
    """The same class by any decorator, with every kind of field."""

    @decorate
    class Record:
        """A record."""

        name: str
        size: int = field(default=7)
        tags: list[str] = field(default_factory=list, repr=False)
        time: float = field(default=0.0, compare=False)
        late: str = field(default="x", kw_only=True)

        @property
        def double(self) -> int:
            return self.size * 2

    return Record


def outcome(work: Callable[[Any], Any], value: Any) -> Any:
    """What a function returns for a value, or the type and text of its error."""
    try:
        return work(value)
    except (TypeError, AttributeError) as error:
        return type(error), str(error).replace("Record.", "")


MADE = [
    lambda cls: cls(name="a"),
    lambda cls: cls(name="a", size=8, tags=["t"], time=2.5, late="y"),
    lambda cls: cls("a"),
    lambda cls: cls("a", 8, ["t"], 2.5),
    lambda cls: cls(),
    lambda cls: cls(name="a", other=1),
    lambda cls: cls("a", 8, ["t"], 2.5, "y"),
]
USED = [
    repr,
    dataclasses.asdict,
    dataclasses.astuple,
    lambda value: value.double,
    lambda value: value == copy.copy(value),
    lambda value: value == dataclasses.replace(value, time=9.0),
    lambda value: value == dataclasses.replace(value, name="b"),
    lambda value: value == value.name,
    lambda value: value < dataclasses.replace(value, name="b"),
    lambda value: value >= dataclasses.replace(value, name="b"),
    lambda value: value <= 1,
    lambda value: value > value,
    lambda value: dataclasses.replace(value, other=1),
    lambda value: setattr(value, "size", 9) or value.size,
    lambda value: delattr(value, "size") or repr(value),
    lambda value: hasattr(value, "__dict__"),
    lambda value: value.tags is type(value)(name="b").tags,
]


@pytest.mark.parametrize("few", [0, 50])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_class_is_that_of_the_standard_library(
    options: dict[str, bool], few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.core.dataclass.FEW", few)
    ours, theirs = written(dataclass(**options)), written(dataclasses.dataclass(**options))
    for make in MADE:
        assert str(outcome(make, ours)) == str(outcome(make, theirs))
    for use in USED:
        value, other = MADE[0](ours), MADE[0](theirs)
        assert outcome(use, value) == outcome(use, other), use
    assert ours.__match_args__ == theirs.__match_args__
    assert [each.name for each in dataclasses.fields(ours)] == [
        each.name for each in dataclasses.fields(theirs)
    ]
    assert (ours.__hash__ is None) == (theirs.__hash__ is None)


@pytest.mark.parametrize("options", FROZEN, ids=str)
def test_frozen_objects_take_no_further_attribute(options: Any) -> None:
    value = written(dataclass(**options))(name="a")
    with pytest.raises(dataclasses.FrozenInstanceError, match="other"):
        value.other = 9  # in the standard library a TypeError where there are slots


@pytest.mark.parametrize("options", FROZEN, ids=str)
def test_frozen_objects_are_hashed_as_those_of_the_standard_library(options: Any) -> None:
    def hashed(decorate: Any) -> int:
        @decorate(**options)
        class Point:
            x: int
            y: str = "y"
            note: str = field(default="", compare=False)

        return hash(Point(x=1))

    assert hashed(dataclass) == hashed(dataclasses.dataclass) == hash((1, "y"))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_objects_are_pickled_and_copied(options: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = written(dataclass(**options))
    cls.__qualname__ = cls.__name__
    monkeypatch.setattr(sys.modules[__name__], "Record", cls, raising=False)
    value = cls(name="a", tags=["t"], late="y")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(value, protocol)) == value
    assert copy.deepcopy(value) == value


@pytest.mark.parametrize("few", [0, FEW])
def test_fields_may_be_named_like_what_compiled_code_uses(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netwatch.core.dataclass.FEW", few)

    @dataclass(frozen=True, slots=True)
    class Named:
        set: int = 1
        MISSING: list[int] = field(default_factory=list)
        name: str = "n"

    assert (Named().set, Named().MISSING, Named(2, name="m")) == (1, [], Named(2, [], "m"))


def test_methods_that_a_class_defines_stay() -> None:
    @dataclass(frozen=True, slots=True)
    class Name:
        text: str
        length: int = 0

        def __init__(self, text: str) -> None:
            object.__setattr__(self, "text", text)
            object.__setattr__(self, "length", len(text))

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Name) and self.length == other.length

        def __repr__(self) -> str:
            return self.text

    assert Name("one") == Name("two") != Name("three")
    assert repr(Name("one")) == "one"
    assert hash(Name("one")) == hash(("one", 3))  # as in the standard library


def test_defining_classes_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def counted(source: Any, *args: Any) -> None:
        # The standard library of Python 3.13 compiles this for a class without methods to add.
        if source != "def __create_fn__():\n\n return ()":
            compiled.append(source)
        run(source, *args)

    run = builtins.exec
    monkeypatch.setattr(builtins, "exec", counted)
    cls = written(dataclass(frozen=True, slots=True))
    assert compiled == []
    few = [cls("a", tags=["t"], late=str(number)) for number in range(FEW)]
    assert compiled == []
    more = [cls("a", tags=["t"], late=str(number)) for number in range(FEW)]
    assert few == more
    assert len(compiled) == 1
