"""Fields of a message in the wire format of Protocol Buffers ("Encoding", protobuf.dev), as far as
dnstap needs them: by number, the last one where several have the same."""

from netwatch.logs.reading import RecordError

MAX_FIELDS = 64
"""Maximum number of fields of one message; those of dnstap have 15."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Fields:
    """The fields of one message. Raises `RecordError` ``protobuf-invalid`` where the bytes are
    none: a field that ends beyond the message, a number of more than ten bytes, a group."""

    def __init__(self, data: bytes) -> None:
        self._numbers: dict[int, int] = {}
        self._bytes: dict[int, bytes] = {}
        at = 0
        for _ in range(MAX_FIELDS):
            if at == len(data):
                return
            at = self._field(data, at)
        if at != len(data):
            raise RecordError("protobuf-invalid")

    def number(self, field: int) -> int:
        """A number, 0 where there is none."""
        return self._numbers.get(field, 0)

    def octets(self, field: int) -> bytes:
        """Bytes, empty where there are none."""
        return self._bytes.get(field, b"")

    def _field(self, data: bytes, at: int) -> int:
        """Read the field at `at`, and return where it ends."""
        key, at = _varint(data, at)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            self._numbers[field], at = _varint(data, at)
            return at
        if kind == _BYTES:
            size, at = _varint(data, at)
        else:
            size = {_FIXED32: 4, _FIXED64: 8}.get(kind, len(data) + 1)
        end = at + size
        if end > len(data):
            raise RecordError("protobuf-invalid")
        if kind == _BYTES:
            self._bytes[field] = data[at:end]
        else:
            self._numbers[field] = int.from_bytes(data[at:end], "little")
        return end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    for end in range(at, min(at + 10, len(data))):
        value |= (data[end] & 0x7F) << shift
        if data[end] < 0x80:
            return value, end + 1
        shift += 7
    raise RecordError("protobuf-invalid")
