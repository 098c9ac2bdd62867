"""The form of a fleet message: a JSON line that describes it, and its content.

::

    {"schema": "netwatch.fleet/1", "sensor": "brussels-1", "kind": "alerts", "sequence": 7, …}
    <content: JSON, or the bytes of a Parquet file>

The first line is the envelope. A reader ignores unknown fields, so a later minor version
(``netwatch.fleet/1.4``) can add some, and refuses another major version. Content that exceeds the
server's message size is cut into parts (`cut`), which `Assembler` joins again. A message comes from
a sensor that may be broken or taken over, so every field is checked.
"""

import json
import operator
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from netwatch.fleet.access import MAX_PAYLOAD
from netwatch.fleet.border import BorderError, text

SCHEMA: Final = "netwatch.fleet/1"
"""The version of the envelope that this netwatch writes."""

MAX_HEADER = 16 << 10
"""Bytes of the first line."""

PART_BYTES = MAX_PAYLOAD - MAX_HEADER - (8 << 10)
"""Bytes of content in a message, which leave room for the envelope and headers of NATS."""

MAX_PARTS = 64
"""Parts of one content."""

MAX_WAITING = 128
"""Parts of a sensor that wait for others, at most."""

ASSEMBLY_BYTES = 32 << 20
"""Bytes of these parts; beyond that, the oldest are dropped and sent again later."""

MAX_ID = 200
"""Characters of an id."""

CONTENT_BYTES = {"alerts": 4 << 20, "facts": 16 << 20, "coverage": 4 << 20, "applied": 64 << 10}
"""Bytes of the content of a message of each kind, all parts together, at most."""

_SCHEMA = re.compile(r"netwatch\.fleet/(\d{1,4})(\.\d{1,4})?")
_KIND = re.compile(r"[a-z]{1,32}")


class EnvelopeError(BorderError):
    """A message is not an envelope, or not one of its sender."""


class UnknownSchemaError(EnvelopeError):
    """A message has an envelope of another major version. `schema` names it, `version` is the
    version of the netwatch that wrote it, empty if unknown."""

    def __init__(self, schema: str, version: str) -> None:
        super().__init__(f"the envelope has the schema {schema}, this netwatch reads {SCHEMA}")
        self.schema = schema
        self.version = version


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message. `sequence` counts the messages of a kind, `sent` is the sensor's clock in ns since
    the epoch, `version` its netwatch's version. `id` is the same whenever the same content is sent.
    The content is `body`, a JSON value, or if that is None `payload`, which may be JSON that has
    not been parsed yet (`value`). `fields` are further fields of the first line for the kind.
    `part` counts from 1 up to `parts`."""

    sensor: str
    kind: str
    sequence: int
    sent: int
    version: str
    id: str
    body: Any = None
    payload: bytes = b""
    fields: Mapping[str, Any] = field(default_factory=dict)
    part: int = 1
    parts: int = 1
    schema: str = SCHEMA

    def encode(self) -> bytes:
        """The message. Raises `EnvelopeError` if the envelope itself is too large."""
        header = {name: getattr(self, name) for name in _HEADER_FIELDS}
        header["content"] = "bytes" if self.body is None else "json"
        line = _json({**self.fields, **header})
        if len(line) > MAX_HEADER:
            raise EnvelopeError(f"an envelope of {len(line)} bytes, at most {MAX_HEADER} are sent")
        return line + b"\n" + self.content()

    def content(self) -> bytes:
        """The content as bytes."""
        return self.payload if self.body is None else _json(self.body)

    def value(self) -> Any:
        """The content as a JSON value. Raises `EnvelopeError` if it is not one."""
        return _value(self.payload) if self.body is None else self.body


_HEADER_FIELDS = ("schema", "sensor", "kind", "sequence", "sent", "version", "id", "part", "parts")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )


def cut(envelope: Envelope) -> list[bytes]:
    """The messages in which an envelope is sent: one, or as many parts as its content needs.
    Raises `EnvelopeError` if it needs more than `MAX_PARTS`."""
    content = envelope.content()
    if len(content) <= PART_BYTES:
        return [envelope.encode()]
    pieces = [content[at : at + PART_BYTES] for at in range(0, len(content), PART_BYTES)]
    if len(pieces) > MAX_PARTS or len(content) > CONTENT_BYTES.get(envelope.kind, PART_BYTES):
        raise EnvelopeError(f"a content of {len(content)} bytes, which is too large to be sent")
    # Parts of JSON are not JSON; the code that joins them parses it.
    fields = dict(envelope.fields) if envelope.body is None else {**envelope.fields, "joined": 1}
    return [
        replace(
            envelope, body=None, payload=piece, part=number, parts=len(pieces), fields=fields
        ).encode()
        for number, piece in enumerate(pieces, 1)
    ]


def decode(data: bytes, sensor: str, kind: str, *, reads_content: bool = True) -> Envelope:
    """The envelope of a message that came as this kind from this sensor, according to its subject.
    With `reads_content` JSON content is parsed, otherwise it is left for another process. Raises
    `EnvelopeError` for anything else, `UnknownSchemaError` for another major version."""
    line, newline, content = data.partition(b"\n")
    if not newline or len(line) > MAX_HEADER:
        raise EnvelopeError("the message has no envelope")
    header = _object(line)
    schema, version = _text(header, "schema", 64), header.get("version")
    found = _SCHEMA.fullmatch(schema)
    if found is None:
        raise EnvelopeError("the envelope has no schema of netwatch")
    if found[1] != SCHEMA.rpartition("/")[2]:
        raise UnknownSchemaError(schema, version[:64] if isinstance(version, str) else "")
    if header.get("sensor") != sensor or header.get("kind") != kind:
        raise EnvelopeError("the envelope names another sensor or kind than its subject")
    part, parts = _number(header, "part", 1), _number(header, "parts", 1)
    limit = CONTENT_BYTES.get(kind, PART_BYTES)
    if not 1 <= part <= parts <= min(MAX_PARTS, -(-limit // PART_BYTES)):
        raise EnvelopeError("the envelope has no valid 'part' and 'parts'")
    if len(content) > min(limit, PART_BYTES + MAX_HEADER):
        raise EnvelopeError(f"a content of {len(content):,} bytes, which is too large")
    is_json = reads_content and header.get("content") == "json"
    return Envelope(
        schema=schema,
        sensor=sensor,
        kind=kind,
        sequence=_number(header, "sequence"),
        sent=_number(header, "sent"),
        version=_text(header, "version", 64),
        id=_text(header, "id", MAX_ID),
        body=_value(content) if is_json else None,
        payload=b"" if is_json else content,
        fields={name: value for name, value in header.items() if name not in _KNOWN},
        part=part,
        parts=parts,
    )


_KNOWN = frozenset((*_HEADER_FIELDS, "content"))


def _value(content: bytes) -> Any:
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        # It is strict: a name with an unpaired surrogate must not cost the alerts next to it.
        try:
            value = json.loads(content)
        except (ValueError, RecursionError):
            raise EnvelopeError("the content is not valid JSON") from None
    if value is None:
        raise EnvelopeError("the content is empty")
    return value


def _object(line: bytes) -> dict[str, Any]:
    value = _value(line)
    if not isinstance(value, dict):
        raise EnvelopeError("the envelope is not a JSON object")
    return value


def _text(header: Mapping[str, Any], name: str, limit: int) -> str:
    value = header.get(name)
    try:
        return text(value, limit)
    except BorderError:
        raise EnvelopeError(f"the envelope has no valid {name!r}") from None


def _number(header: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = header.get(name, default)
    if type(value) is not int or not 0 <= value < 1 << 63:
        raise EnvelopeError(f"the envelope has no valid {name!r}")
    return value


Key = tuple[str, str, str]
"""The common fields of all parts of a content: sensor, kind and id."""


class Assembler:
    """Joins the parts of contents. Parts may come in any order and more than once. The waiting
    parts of each sensor are bounded separately: above `MAX_WAITING` parts or `ASSEMBLY_BYTES` its
    oldest content is dropped, which it sends again. `dropped` has those since the last look."""

    def __init__(self, parts: int = MAX_WAITING, size: int = ASSEMBLY_BYTES) -> None:
        self._limits = parts, size
        self._waiting: dict[str, OrderedDict[Key, dict[int, Envelope]]] = {}
        self.dropped: list[Key] = []

    def has(self, envelope: Envelope) -> bool:
        """Whether this part waits already."""
        key = key_of(envelope)
        own = self._waiting.get(envelope.sensor)
        return own is not None and envelope.part in own.get(key, ())

    def waiting(self, sensor: str) -> tuple[int, int]:
        """The parts that wait of a sensor, and their bytes."""
        parts = [part for of in self._waiting.get(sensor, {}).values() for part in of.values()]
        return len(parts), sum(len(part.payload) for part in parts)

    def add(self, envelope: Envelope) -> Envelope | None:
        """The whole envelope, once all its parts are there. Raises `EnvelopeError` if the parts
        do not fit together or the whole is not valid."""
        if envelope.parts == 1:
            return envelope
        key = key_of(envelope)
        own = self._waiting.setdefault(envelope.sensor, OrderedDict())
        parts = own.setdefault(key, {})
        first = next(iter(parts.values()), envelope)
        if first.parts != envelope.parts:
            self._drop(key)
            self.dropped.append(key)
            raise EnvelopeError("the parts of a content do not fit together")
        parts.setdefault(envelope.part, envelope)
        if len(parts) == envelope.parts:
            self._drop(key)
            return _joined([parts[number] for number in sorted(parts)])
        while any(map(operator.gt, self.waiting(envelope.sensor), self._limits)):
            oldest = next(iter(own))
            self._drop(oldest)
            self.dropped.append(oldest)
        return None

    def _drop(self, key: Key) -> None:
        own = self._waiting[key[0]]
        del own[key]
        if not own:
            del self._waiting[key[0]]


def key_of(envelope: Envelope) -> Key:
    """The key of a part."""
    return envelope.sensor, envelope.kind, envelope.id


def _joined(parts: list[Envelope]) -> Envelope:
    content = b"".join(part.payload for part in parts)
    fields = dict(parts[0].fields)
    limit = CONTENT_BYTES.get(parts[0].kind, PART_BYTES)
    if len(content) > limit:
        raise EnvelopeError(f"a content of {len(content):,} bytes, which is too large")
    if fields.pop("joined", None):
        return replace(parts[0], body=_value(content), payload=b"", fields=fields, part=1, parts=1)
    return replace(parts[0], payload=content, part=1, parts=1)
