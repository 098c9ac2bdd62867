"""A catalogue as bytes, which can be used without reading its files again.

The layout is columns: the names of all rules as one text, the further zones as another, and for
each rule small numbers for its kind, role, marks, sources, file and line. Small parts of a
catalogue (apps, examples, files) are JSON before them. `unpack` makes no object for a rule; a rule
is made when a lookup finds it, or when all of them are iterated. The bytes must be as `pack` wrote
them: `netwatch.rules.documents` verifies that before it returns them.
"""

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence, Sized
from functools import partial
from itertools import compress
from typing import Any, get_args, overload

from netwatch.core.errors import Problem
from netwatch.core.verdict import App, Role
from netwatch.rules.catalog import Catalog, RuleIndex, literal_tail
from netwatch.rules.grade import Marks, marks
from netwatch.rules.signature import KINDS, Alias, Asn, Example, Rule, Signature

LAYOUT = 4
"""The version of the layout. It changes with the meaning of anything in it."""

_ROLES: tuple[Role, ...] = get_args(Role)
_HOST, _GLOB, _SUFFIX = map(KINDS.index, ("host", "glob", "suffix"))
_IS_KIND = [bytes(kind == number for number in range(256)) for kind in range(len(KINDS))]
_IS_NO_GLOB = bytes(kind != _GLOB for kind in range(256))
_COLUMNS = (
    ("kinds", "B"),
    ("roles", "B"),
    ("marks", "H"),
    ("sources", "I"),
    ("files", "I"),
    ("lines", "I"),
)


class UnpackError(ValueError):
    """The bytes are not a catalogue."""


def pack(catalog: Catalog) -> list[bytes | bytearray | memoryview]:
    """A catalogue without mistakes as bytes, in consecutive parts: for a million rules they are
    large, and are written without joining them."""
    tables = _Tables()
    columns: dict[str, array[int]] = {name: array(code) for name, code in _COLUMNS}
    apps: list[Any] = []
    tails: list[str] = []
    names = bytearray()
    decisions: dict[int, str] = {}
    for signature in catalog.signatures.values():
        apps.append(_packed_signature(signature, tables))
        for rule in signature.rules:
            names += b"%s\n" % rule.name.encode("ascii")
            if rule.kind == "glob":
                tails.append(literal_tail(rule.name))
            if rule.decide:
                decisions[len(columns["kinds"])] = rule.decide
            columns["kinds"].append(KINDS.index(rule.kind))
            columns["roles"].append(_ROLES.index(rule.role))
            columns["marks"].append(tables.number("marks", rule.marks))
            columns["sources"].append(tables.number("sources", rule.sources))
            columns["files"].append(tables.number("files", rule.file))
            columns["lines"].append(rule.line)
    head = {
        "version": catalog.version,
        "rules": len(columns["kinds"]),
        "apps": apps,
        "marks": [
            [mark.cap, mark.verified, mark.embed_reachable, mark.shipped]
            for mark in tables.of("marks")
        ],
        "sources": [list(names) for names in tables.of("sources")],
        "files": tables.of("files"),
        "tails": tails,
        "decisions": [*decisions.items()],
        "undecided": [
            [problem.file, problem.line, problem.message] for problem in catalog.undecided
        ],
    }
    del names[-1:]  # the last line break
    zones = "\n".join(sorted(catalog.further_zones())).encode()
    parts: list[bytes | bytearray | memoryview] = [json.dumps(head).encode(), names, zones]
    parts += [memoryview(column).cast("B") for column in columns.values()]
    return [array("Q", map(len, parts)).tobytes(), *parts]


class _Tables:
    """Values that many rules share, numbered in the order of their first use."""

    def __init__(self) -> None:
        self._tables: dict[str, dict[Any, int]] = {"marks": {}, "sources": {}, "files": {}}

    def number(self, table: str, value: Any) -> int:
        numbers = self._tables[table]
        return numbers.setdefault(value, len(numbers))

    def of(self, table: str) -> list[Any]:
        return list(self._tables[table])


def _packed_signature(signature: Signature, tables: _Tables) -> list[Any]:
    app = signature.app
    return [
        [app.id, app.name, app.vendor, app.category],
        len(signature.rules),
        [[asn.number, asn.name] for asn in signature.asns],
        [
            [example.name, example.wanted, tables.number("files", example.file), example.line]
            for example in signature.examples
        ],
        [tables.number("files", signature.file), signature.line],
        [address.hex() for address in signature.addresses],
        [
            [alias.tail, tables.number("files", alias.file), alias.line]
            for alias in signature.aliases
        ],
    ]


def unpack(packed: bytes) -> Catalog:
    """The catalogue of `pack`. Raises `UnpackError` for other bytes."""
    try:
        return _unpack(packed)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError) as error:
        raise UnpackError(str(error)) from None


def _unpack(packed: bytes) -> Catalog:
    count = 3 + len(_COLUMNS)
    sizes = array("Q", packed[: 8 * count])
    if 8 * count + sum(sizes) != len(packed):
        raise UnpackError("expected other sizes of the parts")
    parts, at = [], 8 * count
    view = memoryview(packed)
    for size in sizes:
        parts.append(view[at : at + size])
        at += size
    head = json.loads(bytes(parts[0]))
    table = RuleTable(head, bytes(parts[1]), parts[3:])
    signatures, first = [], 0
    for row in head["apps"]:
        signature = _signature(row, table, first)
        signatures.append(signature)
        first += len(signature.rules)
    if first != len(table):
        raise UnpackError("expected as many rules as the apps have")
    index = RuleIndex(
        _ByName(table, _HOST),
        _ByName(table, _SUFFIX),
        _Globs(table, head["tails"]),
        partial(table.zones, parts[2]),
        partial(unpack, packed),
    )
    undecided = [Problem(file, line, 0, message) for file, line, message in head["undecided"]]
    return Catalog(signatures, head["version"], True, index, undecided)


def _signature(row: list[Any], table: "RuleTable", first: int) -> Signature:
    app_fields, count, asns, examples, place, addresses, aliases = row
    app = App(*app_fields)
    table.apps.extend([app] * count)
    files = table.files
    return Signature(
        app,
        RuleRange(table, range(first, first + count)),
        tuple(Asn(number, name) for number, name in asns),
        tuple(Example(name, wanted, files[file], line) for name, wanted, file, line in examples),
        files[place[0]],
        place[1],
        tuple(map(bytes.fromhex, addresses)),
        tuple(Alias(tail, files[file], line) for tail, file, line in aliases),
    )


class RuleTable:
    """The columns of all rules; `rule` makes one of them, once."""

    def __init__(self, head: Mapping[str, Any], names: bytes, columns: list[memoryview]) -> None:
        count = head["rules"]
        self._encoded_names = names
        self.names = names.decode("ascii").split("\n") if count else []
        self.apps: list[App] = []
        self.files: list[str] = head["files"]
        self._marks: list[Marks] = [marks(*row) for row in head["marks"]]
        self._decisions: dict[int, str] = dict(head["decisions"])
        self._sources = [tuple(row) for row in head["sources"]]
        self._columns = [
            array(code, bytes(column)) for (_, code), column in zip(_COLUMNS, columns, strict=True)
        ]
        self._made: dict[int, Rule] = {}
        if {len(self.names), *map(len, self._columns)} != {count}:
            raise UnpackError("expected columns of one length")
        tables: tuple[Sized, ...] = (KINDS, _ROLES, self._marks, self._sources, self.files)
        for column, values in zip(self._columns, tables, strict=False):
            if count and max(column) >= len(values):
                raise UnpackError("expected a number of a table")
        self.kinds = self._columns[0].tobytes()

    def __len__(self) -> int:
        return len(self.names)

    def zones(self, further: memoryview) -> list[bytes]:
        """The names of hosts and suffixes, and the `further` zones of the catalogue, a line
        each."""
        zones = self._encoded_names.split(b"\n") if self.names else []
        if _GLOB in self.kinds:
            zones = [*compress(zones, self.kinds.translate(_IS_NO_GLOB))]
        return zones + bytes(further).split(b"\n") if further else zones

    def rule(self, number: int) -> Rule:
        """The rule with this number, in the order of the catalogue."""
        rule = self._made.get(number)
        if rule is None:
            kind, role, mark, sources, file, line = (column[number] for column in self._columns)
            rule = self._made[number] = Rule(
                KINDS[kind],
                self.names[number],
                self.apps[number],
                _ROLES[role],
                self._sources[sources],
                self.files[file],
                line,
                self._marks[mark],
                self._decisions.get(number, ""),
            )
        return rule


class RuleRange(Sequence[Rule]):
    """The rules of one app, each made on access."""

    __slots__ = ("_numbers", "_table")

    def __init__(self, table: RuleTable, numbers: range) -> None:
        self._table = table
        self._numbers = numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, at: int) -> Rule: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Rule]: ...
    def __getitem__(self, at: int | slice) -> Rule | Sequence[Rule]:
        if isinstance(at, slice):
            return RuleRange(self._table, self._numbers[at])
        return self._table.rule(self._numbers[at])

    def __iter__(self) -> Iterator[Rule]:
        return map(self._table.rule, self._numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


class _ByName(Mapping[str, Rule]):
    """The rules of one kind by their names."""

    __slots__ = ("_numbers", "_table")

    def __init__(self, table: RuleTable, kind: int) -> None:
        chosen = table.kinds.translate(_IS_KIND[kind])
        self._table = table
        self._numbers = dict(
            zip(compress(table.names, chosen), compress(range(len(chosen)), chosen), strict=True)
        )

    def __getitem__(self, name: str) -> Rule:
        return self._table.rule(self._numbers[name])

    def get(self, name: str, default: Any = None) -> Any:
        """The rule, without an exception if there is none: most names have none."""
        number = self._numbers.get(name)
        return default if number is None else self._table.rule(number)

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


class _Globs(Mapping[str, Sequence[Rule]]):
    """The globs by their literal tails."""

    __slots__ = ("_numbers", "_table")

    def __init__(self, table: RuleTable, tails: Sequence[str]) -> None:
        chosen = table.kinds.translate(_IS_KIND[_GLOB])
        self._table = table
        self._numbers: dict[str, list[int]] = {}
        for tail, number in zip(tails, compress(range(len(chosen)), chosen), strict=True):
            self._numbers.setdefault(tail, []).append(number)

    def __getitem__(self, tail: str) -> Sequence[Rule]:
        return [self._table.rule(number) for number in self._numbers[tail]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)
