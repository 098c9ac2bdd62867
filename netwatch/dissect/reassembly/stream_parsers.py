"""The parsers of byte streams, and their state for each stream."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import suppress

from netwatch.core.errors import Incomplete, ParseError
from netwatch.core.message import Message

Parse = Callable[[bytes, bool], Message]
"""Parses one message at the start of the bytes. The second argument is true if no more bytes will
come; if it is false, `core.errors.Incomplete` asks for more of them."""

NewConversation = Callable[[], Parse]
"""Makes a parser that remembers earlier messages, for one side of one flow."""

Side = tuple[int, int]
"""A flow, and which of its two sides sends."""

IsUninteresting = Callable[[int, Side, bytes], bool]
"""Whether a message of a kind, which one side sent, shows only uninteresting names."""


class StreamParsers:
    """Parses the messages of all streams of one capture, by their kind.

    `parsers` parse single messages, `new_conversations` makes the parsers of conversations, in
    which messages build on each other (HTTP/2). In a conversation, and if the kind is in
    `persistent`, the next message starts where one ends. What could not be parsed is counted in
    `anomalies`.
    """

    def __init__(
        self,
        parsers: Mapping[int, Parse],
        new_conversations: Mapping[int, NewConversation],
        persistent: Set[int],
        is_uninteresting: IsUninteresting,
    ) -> None:
        self._parsers = parsers
        self._new_conversations = new_conversations
        self._persistent = persistent | new_conversations.keys()
        self._is_uninteresting = is_uninteresting
        self._conversations: dict[Side, Parse] = {}
        self.anomalies: Counter[str] = Counter()

    def is_persistent(self, kind: int) -> bool:
        """Whether the next message of a stream of this kind starts where one ends."""
        return kind in self._persistent

    def is_sequence(self, kind: int) -> bool:
        """Whether a stream of this kind has one message after another, each of which can be read
        by itself."""
        return kind in self._persistent and kind not in self._new_conversations

    def is_conversation(self, kind: int) -> bool:
        """Whether messages of this kind build on earlier ones."""
        return kind in self._new_conversations

    def start(self, kind: int, side: Side) -> None:
        """Begin to parse messages of this kind on a side; a conversation starts again."""
        new_conversation = self._new_conversations.get(kind)
        if new_conversation:
            self._conversations[side] = new_conversation()

    def forget(self, side: Side) -> None:
        """Forget the conversation of a side, if there is one."""
        self._conversations.pop(side, None)

    def names(self, kind: int, data: bytes) -> Iterator[bytes]:
        """The names in a message, of interest or not, in lower case."""
        with suppress(ParseError, Incomplete):
            for shown in self._parsers[kind](data, True).names:
                yield (shown.raw or shown.name).lower().encode()

    def parse(self, kind: int, side: Side, data: bytes, last: bool) -> Message | None:
        """The message at the start of `data`; without names if they are uninteresting, None
        (counted) if the bytes are not a message of this kind.

        `last` means that no more bytes will come. Raises `Incomplete` if more are needed.
        """
        if self._is_uninteresting(kind, side, data):
            return Message((), len(data))
        parse = self._parsers.get(kind) or self._conversations[side]
        try:
            return parse(data, last)
        except ParseError as error:
            self.anomalies[error.anomaly] += 1
            return None
