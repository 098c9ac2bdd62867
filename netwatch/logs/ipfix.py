"""Flow records as messages of an exporter: IPFIX files, and what exporters send.

An IPFIX file is a series of messages, one behind the other (RFC 5655 section 4), each with its
length in its head. A record is one message here. Those that exporters send have the address that
they came from, and may be NetFlow as well.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from netwatch.core.errors import ParseError, RecordError
from netwatch.flow_export.conversations import Conversation, Conversations
from netwatch.flow_export.messages import FlowDecoder
from netwatch.flow_export.records import sampled
from netwatch.logs.records import (
    Carried,
    LogEntry,
    LogFlows,
    ReaderContext,
    RecordReader,
    Sample,
)

HEAD = 16
"""Bytes of the head of a message."""

VERSION = b"\0\x0a"


class Bytes(Protocol):
    """Where messages are read from."""

    def read(self, size: int) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        ...


class MessageError(Exception):
    """These bytes are no IPFIX file. The argument is a sentence."""


def is_ipfix(head: bytes) -> bool:
    """Whether a file begins with a message whose first set may be one, and the next one follows."""
    if len(head) < HEAD or not head.startswith(VERSION):
        return False
    length = int.from_bytes(head[2:4])
    number = int.from_bytes(head[16:18])
    if length < HEAD or (length > HEAD and number not in (2, 3) and number < 256):
        return False
    following = head[length : length + 2]
    return following == VERSION[: len(following)]


def file_messages(source: Bytes) -> Iterator[bytes]:
    """The messages of a file. Raises `MessageError` where it ends within one, or goes on with
    something else."""
    while head := source.read(HEAD):
        length = int.from_bytes(head[2:4])
        if len(head) < HEAD:
            raise MessageError("it ends within a message")
        if not head.startswith(VERSION) or length < HEAD:
            raise MessageError("what follows is no message of IPFIX")
        body = source.read(length - HEAD)
        if len(body) < length - HEAD:
            raise MessageError("it ends within a message")
        yield head + body


def recognise(sample: Sample) -> int:
    """The first message is one."""
    return max(len(sample.lines), 1) if is_ipfix(sample.head) else 0


class MessageReader(RecordReader):
    """Reads the messages of one log."""

    waits_briefly = True

    def __init__(self, context: ReaderContext) -> None:
        self._decoder = FlowDecoder()
        self._conversations = Conversations()
        self._counted: Counter[str] = Counter()
        super().__init__(context)

    @property  # type: ignore[override]
    def anomalies(self) -> Counter[str]:
        """What was wrong since this was set, whatever the exporter counts of it so far."""
        found = self._decoder.anomalies()
        self._anomalies.update(found - self._counted)
        self._counted |= found
        self._anomalies.update(self._conversations.take_anomalies())
        return self._anomalies

    @anomalies.setter
    def anomalies(self, anomalies: Counter[str]) -> None:
        self._anomalies = anomalies

    def read(self, record: bytes, carried: Carried) -> Iterator[LogEntry]:
        """The conversations that are complete. Raises `RecordError`."""
        try:
            flows = self._decoder.read(record)
        except ParseError as error:
            raise RecordError(error.anomaly) from None
        if number := sampled(flows):
            self._anomalies["flow-sampled"] += number
        return self._shown(self._conversations.add(flows))

    def flush(self) -> Iterator[LogEntry]:
        """What waited for the other direction."""
        return self._shown(self._conversations.flush())

    def _shown(self, found: list[Conversation]) -> Iterator[LogEntry]:
        if found:
            yield LogFlows(found)
