# cython: language_level=3, boundscheck=True, wraparound=False
"""Plain lines of requests, as proxies log them: the host of a URL or the target of CONNECT, and how
the request ended."""

from collections.abc import Callable

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.core import observation_columns as columns
    from cython.cimports.netwatch.logs import layout as roles
    from cython.cimports.netwatch.logs.line_values import LineValues
else:
    from netwatch.core import observation_columns as columns
    from netwatch.logs import layout as roles
    from netwatch.logs.line_values import LineValues

from netwatch.core.buffers import Octets, Words, array
from netwatch.logs.layout import Layout

# Of each result that is remembered: its text and the method, whether anything was sent, and the
# texts of the outcome and of what has blocked it.
OUTCOME_WORDS = cython.declare(cython.Py_ssize_t, 5)
OUTCOMES = cython.declare(cython.Py_ssize_t, 64)

LONGEST = cython.declare(cython.longlong, 10_000_000_000_000)
MOST = cython.declare(cython.longlong, 999_999_999_999_999_999)
MILLISECOND = cython.declare(cython.longlong, 1_000_000)
PORT_DIGITS = cython.declare(cython.Py_ssize_t, 5)
HTTPS = cython.declare(cython.longlong, 443)
HTTP = cython.declare(cython.longlong, 80)
TCP = cython.declare(cython.longlong, 6)

POINT = cython.declare(cython.uchar, 46)
SLASH = cython.declare(cython.uchar, 47)
ZERO = cython.declare(cython.uchar, 48)
COLON = cython.declare(cython.uchar, 58)


@cython.cclass
class LineRequests(LineValues):
    """Reads requests."""

    def __init__(self, layout: Layout, name: str, lacks: tuple[str, ...]) -> None:
        self.outcomes: Words = array("q", bytes(8 * OUTCOME_WORDS * OUTCOMES))
        self.outcome_of: Callable[[bytes, bytes, bool], tuple[str, str] | None] | None = (
            layout.outcome
        )
        self.words_of_urls: Octets = b"CONNECThttp://https://"
        LineValues.__init__(self, layout, name, lacks)

    def begin_batch(self) -> None:
        """Begin a batch, in which texts have other numbers."""
        i: cython.Py_ssize_t
        for i in range(OUTCOME_WORDS * OUTCOMES):
            self.outcomes[i] = 0
        LineValues.begin_batch(self)

    def add_request(self, line: cython.longlong) -> cython.bint:
        """Add the row of the line that was divided; false if it is not plain."""
        name: cython.longlong
        client: cython.longlong
        server: cython.longlong = 0
        duration: cython.longlong = self.number(roles.ROLE_DURATION, LONGEST)
        size: cython.longlong = self.number(roles.ROLE_SIZE, MOST)
        at: cython.Py_ssize_t
        batch = self.batch
        batch.reserve()
        if duration < 0 or size < 0 or not self.read_time():
            return False
        self.time = max(self.time - duration * MILLISECOND, 0)
        client = self.address(self.begins[roles.ROLE_CLIENT_IP], self.ends[roles.ROLE_CLIENT_IP])
        if self.values[roles.ROLE_IS_SERVER]:
            server = self.address(
                self.begins[roles.ROLE_SERVER_IP], self.ends[roles.ROLE_SERVER_IP]
            )
            if server == 0:
                return False
        name = self.host_of_url()
        ended: cython.Py_ssize_t = self.outcome(size > 0)
        if client == 0 or name == 0 or ended < 0:
            return False
        at = self.new_row(line)
        batch.words[at + columns.WORD_EVIDENCE] = columns.EVIDENCE_HTTP_HOST
        batch.words[at + columns.WORD_NAME] = name
        batch.words[at + columns.WORD_CLIENT_IP] = client
        batch.words[at + columns.WORD_CLIENT_PORT] = -1
        batch.words[at + columns.WORD_SERVER_IP] = server
        batch.words[at + columns.WORD_SERVER_PORT] = self.port if server and self.port else -1
        batch.words[at + columns.WORD_TRANSPORT] = TCP
        batch.words[at + columns.WORD_LOG_OUTCOME] = self.outcomes[ended + 3]
        batch.words[at + columns.WORD_LOG_BLOCKED_BY] = self.outcomes[ended + 4]
        return True

    def outcome(self, has_size: cython.bint) -> cython.Py_ssize_t:
        """Where the outcome of a request is in `outcomes`; -1 if the line is not plain."""
        result: cython.longlong = self.text(roles.ROLE_RESULT)
        method: cython.longlong = self.text(roles.ROLE_METHOD)
        at: cython.Py_ssize_t = OUTCOME_WORDS * ((31 * result + 7 * method + has_size) % OUTCOMES)
        if result == 0 or method == 0:
            return -1
        if (
            self.outcomes[at] == result
            and self.outcomes[at + 1] == method
            and self.outcomes[at + 2] == has_size
        ):
            return at
        assert self.outcome_of is not None
        batch = self.batch
        found = self.outcome_of(batch.packed(result), batch.packed(method), bool(has_size))
        if found is None:
            return -1
        self.outcomes[at] = result
        self.outcomes[at + 1] = method
        self.outcomes[at + 2] = has_size
        self.outcomes[at + 3] = batch.number_of_text(found[0])
        self.outcomes[at + 4] = batch.number_of_text(found[1])
        return at

    @cython.boundscheck(False)
    def host_of_url(self) -> cython.longlong:
        """The text of the host, and in `port` the port (as `netwatch.logs.fields.target` reads
        them); 0 if the URL is not plain."""
        at: cython.Py_ssize_t = self.begins[roles.ROLE_URL]
        end: cython.Py_ssize_t = self.ends[roles.ROLE_URL]
        stop: cython.Py_ssize_t
        i: cython.Py_ssize_t
        is_tunnel: cython.bint = self.is_at(
            self.begins[roles.ROLE_METHOD], self.ends[roles.ROLE_METHOD], self.words_of_urls, 0, 7
        )
        self.port = HTTPS
        if not is_tunnel:
            if end - at > 8 and self.is_at(at, at + 8, self.words_of_urls, 14, 8):
                at += 8
            elif end - at > 7 and self.is_at(at, at + 7, self.words_of_urls, 7, 7):
                at += 7
                self.port = HTTP
            else:
                return 0
        stop = at
        while stop < end and self.lowered[self.data[stop]] != 0:
            stop += 1
        if stop == at or self.data[stop - 1] == POINT:
            return 0
        i = stop
        if i < end and self.data[i] == COLON:
            i += 1
            while i < end and self.data[i] != SLASH:
                i += 1
            if i - stop - 1 > PORT_DIGITS or self.data[stop + 1] == ZERO:
                return 0
            self.port = self.digits_at(stop + 1, i)
            if not 0 < self.port < 65536:
                return 0
        if i < end and (is_tunnel or self.data[i] != SLASH):
            return 0
        return self.host(at, stop)
