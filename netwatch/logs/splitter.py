# cython: language_level=3, boundscheck=True, wraparound=False
"""Divides the plain lines of a log into fields, without Python objects.

A `Layout` says which fields they have. What cannot be read exactly as the reader of the format
would read it is no plain line: bytes beyond printable ASCII, escapes, a key that comes twice, a
word that the layout does not list, a number with an exponent. The reader gets all such lines.
"""

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.logs import layout as roles
    from cython.cimports.netwatch.logs.line_fields import LineFields
else:
    from netwatch.logs import layout as roles
    from netwatch.logs.line_fields import LineFields

from netwatch.core.buffers import Octets, Words, array
from netwatch.logs.layout import Layout

DEPTH = cython.declare(cython.int, 8)
"""Objects and lists of JSON inside each other."""

TEXT = cython.declare(cython.longlong, 1)
NUMBER = cython.declare(cython.longlong, 2)
OTHER = cython.declare(cython.longlong, 3)

KEY_WORDS = cython.declare(cython.Py_ssize_t, 5)  # start, size, role, node of the value, is a list

QUOTE = cython.declare(cython.uchar, 34)
COMMA = cython.declare(cython.uchar, 44)
MINUS = cython.declare(cython.uchar, 45)
POINT = cython.declare(cython.uchar, 46)
ZERO = cython.declare(cython.uchar, 48)
NINE = cython.declare(cython.uchar, 57)
COLON = cython.declare(cython.uchar, 58)
OPENING_LIST = cython.declare(cython.uchar, 91)
CLOSING_LIST = cython.declare(cython.uchar, 93)
OPENING = cython.declare(cython.uchar, 123)
CLOSING = cython.declare(cython.uchar, 125)

_IN_TEXT = bytes(0x20 <= byte <= 0x7E and byte not in b'\\"' for byte in range(256))

NUMBERS = frozenset(
    {
        roles.ROLE_CLIENT_PORT,
        roles.ROLE_SERVER_PORT,
        roles.ROLE_VLAN,
        roles.ROLE_VERSION,
        roles.ROLE_OPCODE,
        roles.ROLE_TTL,
    }
)
"""The roles whose values in JSON are numbers, those of objects and lists, and of records."""
CONTAINERS = frozenset(
    {roles.ROLE_DNS, roles.ROLE_QUESTIONS, roles.ROLE_RECORDS, roles.ROLE_GROUPED}
)

CARRIERS = (b"log", b"MESSAGE", b"message")
"""Texts by which a line in JSON may be what carries another (`netwatch.logs.carriers`)."""


@cython.cclass
class Splitter(LineFields):
    """Divides lines by a layout, into the fields that it is."""

    def __init__(self, layout: Layout) -> None:
        LineFields.__init__(self, layout)
        self.in_text: Octets = _IN_TEXT
        self.is_json = layout.split == "json"
        self.is_text = layout.split == "text"
        self.questions = 0
        for role in range(roles.ROLES):
            known = NUMBER if role in NUMBERS else OTHER if role in CONTAINERS else TEXT
            self.forms[role] = known
        self.required: Words = array("q", layout.required)
        self._set_keys(layout)

    def _set_keys(self, layout: Layout) -> None:
        """The keys of each object by its number, one after the other."""
        nodes: list[dict[str, tuple[int, str, bool]]] = [{}]
        numbers = {"": 0}
        for path, role in layout.fields.items():
            if isinstance(path, int) or layout.split != "json":
                continue
            parent, _, name = path.rpartition(".")
            nodes[numbers[parent]][name.removesuffix("[]")] = (role, path, name.endswith("[]"))
            if role in CONTAINERS and role != roles.ROLE_GROUPED:
                numbers[path] = len(nodes)
                nodes.append({})
        octets = b""
        keys: list[int] = []
        firsts: list[int] = []
        for node in nodes:
            firsts.append(len(keys) // KEY_WORDS)
            for name, (role, path, is_list) in node.items():
                keys += len(octets), len(name), role, numbers.get(path, -1), is_list
                octets += name.encode("ascii")
        self.first_keys: Words = array("q", [*firsts, len(keys) // KEY_WORDS])
        self.keys: Words = array("q", keys or [0])
        self.key_octets: Octets = octets or b"\0"
        self.kind: Octets = layout.kind.encode("ascii") or b"\0"
        self.kind_size = len(layout.kind)
        self.carriers: Octets = b"".join(CARRIERS)
        self.literals: Octets = b"truenullfalse"

    @cython.boundscheck(False)
    def split(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.bint:
        """Divide the line in ``data[at:end]``; false if it is not plain."""
        i: cython.Py_ssize_t
        if at < 0 or end > len(self.data):
            return False
        for i in range(roles.ROLES):
            self.begins[i] = -1
        self.records = 0
        self.questions = 0
        if self.is_json:
            if self.read_object(at, end, 0, 0, 0) != end:
                return False
        elif not (self.by_pattern(at, end) if self.is_text else self.by_tabs(at, end)):
            return False
        missing: cython.bint = False
        for i in range(len(self.required)):
            missing = missing or self.begins[self.required[i]] < 0
        return not missing

    @cython.boundscheck(False)
    def end_of_text(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """The closing quote of the text from `at` on; -1 if it is not plain, or a carrier's."""
        start: cython.Py_ssize_t = at
        while at < end and self.in_text[self.data[at]]:
            at += 1
        if at >= end or self.data[at] != QUOTE:
            return -1
        if at - start == 3:
            return -1 if self.is_at(start, at, self.carriers, 0, 3) else at
        if at - start == 7 and (
            self.is_at(start, at, self.carriers, 3, 7)
            or self.is_at(start, at, self.carriers, 10, 7)
        ):
            return -1
        return at

    @cython.boundscheck(False)
    def read_object(
        self,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        node: cython.longlong,
        record: cython.Py_ssize_t,
        depth: cython.int,
    ) -> cython.Py_ssize_t:
        """Read an object, whose keys of a layout are those of a `node`, -1 for none; returns where
        it ends, -1 if the line is not plain."""
        start: cython.Py_ssize_t
        key: cython.Py_ssize_t
        if depth > DEPTH or at >= end or self.data[at] != OPENING:
            return -1
        at = self.after_blanks(at + 1, end)
        if at < end and self.data[at] == CLOSING:
            return at + 1
        while at < end and self.data[at] == QUOTE:
            start = at + 1
            at = self.end_of_text(start, end)
            if at < 0:
                return -1
            key = self.key_of(node, start, at)
            if key < 0 and self.kind_size and self.is_at(start, at, self.kind, 0, self.kind_size):
                return -1
            at = self.after_blanks(at + 1, end)
            if at >= end or self.data[at] != COLON:
                return -1
            at = self.read_value(self.after_blanks(at + 1, end), end, key, record, depth)
            if at < 0:
                return -1
            at = self.after_blanks(at, end)
            if at >= end:
                return -1
            if self.data[at] == CLOSING:
                return at + 1
            if self.data[at] != COMMA:
                return -1
            at = self.after_blanks(at + 1, end)
        return -1

    @cython.boundscheck(False)
    def key_of(
        self, node: cython.longlong, start: cython.Py_ssize_t, end: cython.Py_ssize_t
    ) -> cython.Py_ssize_t:
        """Where the words of a key are; -1 if the layout does not have it."""
        i: cython.Py_ssize_t
        at: cython.Py_ssize_t
        if node < 0:
            return -1
        for i in range(self.first_keys[node], self.first_keys[node + 1]):
            at = i * KEY_WORDS
            if self.keys[at + 1] == end - start and self.is_at(
                start, end, self.key_octets, self.keys[at], end - start
            ):
                return at
        return -1

    @cython.boundscheck(False)
    def read_value(
        self,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        key: cython.Py_ssize_t,
        record: cython.Py_ssize_t,
        depth: cython.int,
    ) -> cython.Py_ssize_t:
        """Read the value of a key, -1 for one that the layout does not have; returns where it ends,
        -1 if the line is not plain."""
        start: cython.Py_ssize_t = at
        form: cython.longlong = OTHER
        node: cython.longlong = -1
        is_list: cython.bint = False
        if at >= end:
            return -1
        if key >= 0:
            node = self.keys[key + 3]
            is_list = self.keys[key + 4] != 0
            if node >= 0 and self.data[at] != (OPENING_LIST if is_list else OPENING):
                return -1
        if self.data[at] == QUOTE:
            form = TEXT
            start = at + 1
            at = self.end_of_text(start, end)
            if at < 0:
                return -1
            if key >= 0 and not self.take(self.keys[key + 2], start, at, form, record):
                return -1
            return at + 1
        if self.data[at] == OPENING:
            at = self.read_object(at, end, node, record, depth + 1)
        elif self.data[at] == OPENING_LIST:
            role: cython.longlong = self.keys[key + 2] if node >= 0 else 0
            at = self.read_list(at, end, node, role, depth + 1)
        elif self.data[at] == MINUS or ZERO <= self.data[at] <= NINE:
            form = NUMBER
            at = self.end_of_number(at, end)
        else:
            at = self.end_of_literal(at, end)
        if at < 0 or (key >= 0 and not self.take(self.keys[key + 2], start, at, form, record)):
            return -1
        return at

    @cython.boundscheck(False)
    def read_list(
        self,
        at: cython.Py_ssize_t,
        end: cython.Py_ssize_t,
        node: cython.longlong,
        role: cython.longlong,
        depth: cython.int,
    ) -> cython.Py_ssize_t:
        """Read a list, whose entries are objects of a `node` if that is not -1: records of an
        answer, or the only question, by their `role`. Returns where it ends, or -1."""
        i: cython.Py_ssize_t
        if depth > DEPTH:
            return -1
        at = self.after_blanks(at + 1, end)
        if at < end and self.data[at] == CLOSING_LIST:
            return at + 1
        while at < end:
            if node < 0:
                at = self.read_value(at, end, -1, 0, depth)
            elif role == roles.ROLE_RECORDS:
                if (self.records + 1) * roles.ROLES > len(self.record_begins):
                    return -1
                for i in range(self.records * roles.ROLES, (self.records + 1) * roles.ROLES):
                    self.record_begins[i] = -1
                self.records += 1
                at = self.read_object(at, end, node, self.records - 1, depth)
            else:
                self.questions += 1
                at = self.read_object(at, end, node, 0, depth) if self.questions == 1 else -1
            if at < 0:
                return -1
            at = self.after_blanks(at, end)
            if at >= end:
                return -1
            if self.data[at] == CLOSING_LIST:
                return at + 1
            if self.data[at] != COMMA:
                return -1
            at = self.after_blanks(at + 1, end)
        return -1

    @cython.boundscheck(False)
    def end_of_number(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where a number ends; -1 for one with an exponent or many digits."""
        start: cython.Py_ssize_t
        at += self.data[at] == MINUS
        start = at
        while at < end and ZERO <= self.data[at] <= NINE:
            at += 1
        if at == start or at - start > 18 or (self.data[start] == ZERO and at - start > 1):
            return -1
        if at < end and self.data[at] == POINT:
            start = at + 1
            at = start
            while at < end and ZERO <= self.data[at] <= NINE:
                at += 1
            if at == start or at - start > 18:
                return -1
        return at

    @cython.boundscheck(False)
    def end_of_literal(self, at: cython.Py_ssize_t, end: cython.Py_ssize_t) -> cython.Py_ssize_t:
        """Where ``true``, ``false`` or ``null`` ends; -1 for anything else."""
        if end - at >= 4 and (
            self.is_at(at, at + 4, self.literals, 0, 4)
            or self.is_at(at, at + 4, self.literals, 4, 4)
        ):
            return at + 4
        if end - at >= 5 and self.is_at(at, at + 5, self.literals, 8, 5):
            return at + 5
        return -1
