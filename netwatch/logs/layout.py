"""What the plain lines of a log look like, for the splitter, which makes no Python objects of them.

A format that has such lines says where their fields are; the reader of the format reads all others.
A layout is only data: what a line is divided by, which column or key has which role, and which
words a field may have. A line with anything else is not plain.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

ROLE_NONE = 0
ROLE_TIME = 1
ROLE_CLIENT_IP = 2  # the source, where the ports tell which side is the client
ROLE_CLIENT_PORT = 3
ROLE_SERVER_IP = 4
ROLE_SERVER_PORT = 5
ROLE_TRANSPORT = 6
ROLE_VLAN = 7
ROLE_EVENT = 8
ROLE_MESSAGE = 9  # 0 for a query, 1 for an answer; without it, the code tells
ROLE_VERSION = 10
ROLE_OPCODE = 11
ROLE_NAME = 12
ROLE_TYPE = 13
ROLE_RCODE = 14
ROLE_RCODE_NUMBER = 15
ROLE_ANSWERS = 16  # data of the records of an answer, separated by commas
ROLE_TTLS = 17
ROLE_REFUSED = 18  # a line that has it is not plain
ROLE_DNS = 19  # objects and lists of JSON
ROLE_QUESTIONS = 20
ROLE_RECORDS = 21
ROLE_GROUPED = 22
ROLE_OWNER = 23  # of each record, as the next three
ROLE_RECORD_TYPE = 24
ROLE_TTL = 25
ROLE_DATA = 26
ROLE_FLAGS = 27  # letters behind a sign, of which T stands for TCP
ROLE_DURATION = 28  # in ms, of a request whose time is that of its end
ROLE_RESULT = 29
ROLE_SIZE = 30
ROLE_METHOD = 31
ROLE_URL = 32
ROLE_IS_SERVER = 33  # 1 if the address of the server is that of the one asked for
ROLES = 34

Split = Literal["tabs", "json", "text"]
"""What a line is: columns with a tab between them, where ``-`` is unset; an object of JSON; or a
text with the fields of a pattern."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Plain lines. `fields` are the roles of columns by their number, of keys by their path, in
    which ``[]`` stands for each entry of a list, or of the words in braces of a `pattern`. There
    are so many `columns`. In a pattern ``[]`` is around what may be missing, ``{}`` is a field that
    does not matter, ``{hex}`` such a number, and two blanks stand for any number of them. A field
    ends before a blank and before what follows it; only a time may have blanks.

    `words` are the only ones that some fields may have, with what they stand for; lines without one
    of the roles `required` are not plain. `minute` returns the time in ns since the epoch of a text
    like ``2026-11-27T02:04:00.000000+0100``, None if it is no such text. A line with the key
    `kind` in another place is not plain. With `by_port` the side with a port of DNS is the
    server; `silent_port` is that of servers whose lookups are left out. `has_lists` means that
    answers and their times to live are lists.
    """

    split: Split
    fields: Mapping[int, int] | Mapping[str, int]
    required: tuple[int, ...]
    words: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    columns: int = 0
    minute: Callable[[str], int | None] | None = None
    kind: str = ""
    by_port: bool = False
    silent_port: int = 0
    has_lists: bool = False
    pattern: str = ""
    outcome: Callable[[bytes, bytes, bool], tuple[str, str] | None] | None = None
