"""What is remembered of one exporter between its messages: templates, sampling, what must follow.

An exporter is an observation domain (a source ID in NetFlow v9) of one sender: each has template
numbers, samplers and sequence numbers of its own (RFC 3954 section 5.1, RFC 7011 section 3.1).
Everything has a limit, so that whoever invents templates or domains takes only their own room.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from netwatch.flow_export.elements import Field
from netwatch.flow_export.layouts import Layout

MAX_TEMPLATES = 512
"""Templates of an exporter; of more, the one that was sent or used longest ago is forgotten."""

TEMPLATE_AGE = 30 * 60_000_000_000
"""How long a template is valid that is not sent again, ns of this machine's clock; in files of the
exporter's. Over UDP they are sent again by time (RFC 7011 section 8.4); the usual
interval is 10 minutes."""

MAX_CHANGES = 1
"""How often a template may be redefined with other fields within `TEMPLATE_AGE`, as after a change
of the exporter's configuration; its records are read once it was sent again. One that changes it
more often is broken or lies, or is several exporters, and which fields its records have is
anybody's guess."""

MAX_SAMPLERS = 64
"""Samplers of an exporter whose intervals are known."""

MAX_GAP = 1 << 20
"""Sequence numbers that may be missing between two messages. A greater step says that the exporter
counts anew."""

RESTARTED_MESSAGES = 8
"""Messages that come late one behind the other, in their order, after which the exporter counts as
restarted: those of a datagram that was overtaken are few."""

RESTART = 60_000
"""By how many ms the uptime of an exporter may step back without a restart: messages overtake."""

_NUMBERS = 0xFFFFFFFF


@dataclass(slots=True)
class _Template:
    """A template that was sent at a time (ns), and how often it was redefined since another.
    `unread` is the anomaly of its records, if they are not read."""

    layout: Layout
    is_options: bool
    sent: int
    changes: int = 0
    since: int = 0
    unread: str = ""


class Exporter:
    """One observation domain. `counts` takes what was wrong with its messages, by anomaly, and
    `lost` how many records (messages of NetFlow v9) were sent that did not arrive. `boot_time` is
    when it was started, ms since the epoch, if it says so in its options."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lost = 0
        self._without_template = 0
        self.boot_time: int | None = None
        self._samplers: dict[int, int] = {}
        self._templates: dict[int, _Template] = {}
        self._before: tuple[int, int] | None = None
        self._counts_itself = False
        self._uptime = -1
        self._late: tuple[int, int] | None = None
        self._late_in_order = self._lost_before = 0

    def anomalies(self) -> Counter[str]:
        """What was wrong with its messages, and what of them is missing."""
        return self.counts + Counter({"flow-records-lost": self.lost})

    @property
    def unread(self) -> int:
        """How many records it has sent that are not read, as far as that is known: of those without
        a template at least one a set."""
        return self.lost + self._without_template + self.counts["flow-time-impossible"]

    def layout(self, number: int, now: int) -> tuple[Layout, bool] | None:
        """The layout of a template at a time (ns), and whether its records are
        options; None where it is not known, or too old."""
        found = self._templates.get(number)
        if found is None:
            why = "flow-template-missing"
        elif found.unread:
            why = found.unread
        elif now - found.sent > TEMPLATE_AGE:
            # It stays: a file tells no other time than that which its messages have.
            why = "flow-template-old"
        elif found.changes > MAX_CHANGES and now - found.since <= TEMPLATE_AGE:
            why = "flow-template-unsteady"
        else:
            return found.layout, found.is_options
        self._without_template += 1
        self.counts[why] += 1
        return None

    def define(self, number: int, fields: Sequence[Field], is_options: bool, now: int) -> None:
        """A template was sent, again or anew."""
        known = self._templates.pop(number, None)
        if known is not None and known.layout.fields == tuple(fields):
            known.is_options, known.sent, known.unread = is_options, now, ""
        else:
            try:
                made = _Template(Layout(fields), is_options, now, since=now)
            except ValueError:
                self.counts["flow-template-bad"] += 1
                return
            if known is not None:
                self._note_change(known, made)
            known = made
        self._templates[number] = known
        if len(self._templates) > MAX_TEMPLATES:
            del self._templates[next(iter(self._templates))]
            self.counts["flow-templates-full"] += 1

    def _note_change(self, known: _Template, made: _Template) -> None:
        """A template is redefined: it has to be sent again if nobody had withdrawn the other."""
        self.counts["flow-template-changed"] += 1
        made.changes = 1
        if made.sent - known.since <= TEMPLATE_AGE:
            made.changes, made.since = known.changes + 1, known.since
        if not known.unread or known.unread == "flow-template-unsteady":
            made.unread = "flow-template-unsteady"

    def withdraw(self, number: int) -> None:
        """A template is not valid any more (RFC 7011 section 8.1); 2 and 3 say so of all."""
        for each, known in self._templates.items():
            if each == number or (number in (2, 3) and known.is_options == (number == 3)):
                known.unread = "flow-template-missing"

    def note_sampler(self, sampler: int, interval: int) -> None:
        """The exporter said how many packets one is taken of, by a sampler (0: by any)."""
        if sampler in self._samplers or len(self._samplers) < MAX_SAMPLERS:
            self._samplers[sampler] = max(1, interval)

    def sampling(self, sampler: int | None) -> int:
        """Of how many packets one was looked at, as the exporter said; that of its coarsest sampler
        if it named one that it never described."""
        if not self._samplers:
            return 1
        if sampler is not None and sampler in self._samplers:
            return self._samplers[sampler]
        return max(self._samplers.values())

    def follow(self, sequence: int, counted: int, uptime: int | None = None) -> None:
        """Compare the sequence number of a message with what must follow the one before it;
        `counted` is by how much this message raises it. `uptime` (ms) shows a restart.

        The number is that of the first record of the message (RFC 7011 section 3.1); softflowd
        sends that of the first one behind it. Whichever fits says how this exporter counts.
        """
        before = self._before
        restarted = uptime is not None and uptime < self._uptime - RESTART
        if uptime is not None:
            self._uptime = uptime
        self._before = sequence, counted
        if before is None:
            return
        missing = sequence - before[0] - before[1] & _NUMBERS
        missing_behind = sequence - before[0] - counted & _NUMBERS
        if 0 in (missing, missing_behind) and missing != missing_behind:
            self._counts_itself = missing_behind == 0
        if self._counts_itself:
            missing = missing_behind
        behind = -missing & _NUMBERS
        if restarted or (missing > MAX_GAP and behind > MAX_GAP):
            self.counts["flow-exporter-restarted"] += 1
        elif missing <= MAX_GAP:
            self.lost += missing
        elif self._follows_late(sequence, counted):
            self.counts["flow-exporter-restarted"] += 1
        else:
            # It came late: it was counted as lost, and what follows stays what it was.
            self.lost = max(0, self.lost - counted)
            self._before = before
            self.counts["flow-message-late"] += 1

    def _follows_late(self, sequence: int, counted: int) -> bool:
        """Whether so many late messages follow each other that the exporter was restarted."""
        late, self._late = self._late, (sequence, counted)
        is_next = late is not None and sequence in (late[0] + late[1], late[0] + counted)
        if not is_next:
            self._late_in_order, self._lost_before = 0, self.lost
        self._late_in_order += 1
        if self._late_in_order < RESTARTED_MESSAGES:
            return False
        # They were not late, so that nothing came of what was lost.
        self.lost = self._lost_before
        self._late, self._late_in_order = None, 0
        return True
