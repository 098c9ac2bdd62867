# cython: language_level=3
"""What is remembered of one exporter between its messages: templates, sampling, what must follow.

An exporter is an observation domain (a source ID in NetFlow v9) of one sender: each has template
numbers, samplers and sequence numbers of its own (RFC 3954 section 5.1, RFC 7011 section 3.1).
Everything has a limit, so that whoever invents templates or domains takes only their own room.
"""

from collections import Counter
from collections.abc import Sequence

try:
    import cython
except ImportError:
    from netwatch.core import cython_shadow as cython  # type: ignore[no-redef]

if cython.compiled:
    from cython.cimports.netwatch.flow_export.layouts import Layout
else:
    from netwatch.flow_export.layouts import Layout

from netwatch.flow_export.elements import Field

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

_NUMBERS = cython.declare(cython.longlong, 0xFFFFFFFF)
_TEMPLATE_AGE = cython.declare(cython.longlong, TEMPLATE_AGE)
_MAX_CHANGES = cython.declare(cython.longlong, MAX_CHANGES)
_MAX_GAP = cython.declare(cython.longlong, MAX_GAP)
_RESTART = cython.declare(cython.longlong, RESTART)
_RESTARTED_MESSAGES = cython.declare(cython.longlong, RESTARTED_MESSAGES)
_NONE = cython.declare(cython.longlong, -1)


@cython.final
@cython.cclass
class Template:
    """A template that was sent at a time (ns), and how often it was redefined `since` another.
    `unread` is the anomaly of its records, if they are not read."""

    def __init__(self, layout: Layout, is_options: bool, sent: cython.longlong) -> None:
        self.layout = layout
        self.is_options = is_options
        self.sent = self.since = sent
        self.changes = 0
        self.unread = ""


@cython.final
@cython.cclass
class Exporter:
    """One observation domain. `counts` takes what was wrong with its messages, by anomaly,
    `impossible` how many records had a time that cannot be, and `lost` how many (messages of
    NetFlow v9) were sent that did not arrive. `boot_time` is when it was started, ms since the
    epoch, if it says so in its options."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.lost = self.impossible = self.without_template = 0
        self.boot_time: int | None = None
        self.samplers: dict[int, int] = {}
        self.templates: dict[int, Template] = {}
        # The sequence number of the last message, `_NONE` before the first, and by how much it has
        # raised that; the same of the last one that came late.
        self.sequence = self.late = _NONE
        self.counted = self.late_counted = 0
        self.counts_itself = False
        self.uptime = _NONE
        self.late_in_order = self.lost_before = 0

    def anomalies(self) -> Counter[str]:
        """What was wrong with its messages, and what of them is missing."""
        return self.counts + Counter(
            {"flow-records-lost": self.lost, "flow-time-impossible": self.impossible}
        )

    def unread(self) -> cython.longlong:
        """How many records it has sent that are not read, as far as that is known: of those without
        a template at least one a set."""
        return self.lost + self.without_template + self.impossible

    def template(self, number: cython.longlong, now: cython.longlong) -> Template | None:
        """A template that is valid at a time (ns); None where it is not known, or too old."""
        found: Template | None = self.templates.get(number)
        if found is None:
            why = "flow-template-missing"
        elif found.unread:
            why = found.unread
        elif now - found.sent > _TEMPLATE_AGE:
            # It stays: a file tells no other time than that which its messages have.
            why = "flow-template-old"
        elif found.changes > _MAX_CHANGES and now - found.since <= _TEMPLATE_AGE:
            why = "flow-template-unsteady"
        else:
            return found
        self.without_template += 1
        self.counts[why] += 1
        return None

    def define(
        self, number: int, fields: Sequence[Field], is_options: bool, now: cython.longlong
    ) -> None:
        """A template was sent, again or anew."""
        known: Template | None = self.templates.pop(number, None)
        made: Template
        if known is not None and known.layout.fields == tuple(fields):
            known.is_options, known.sent, known.unread = is_options, now, ""
        else:
            try:
                made = Template(Layout(fields), is_options, now)
            except ValueError:
                self.counts["flow-template-bad"] += 1
                return
            if known is not None:
                self.note_change(known, made)
            known = made
        self.templates[number] = known
        if len(self.templates) > MAX_TEMPLATES:
            del self.templates[next(iter(self.templates))]
            self.counts["flow-templates-full"] += 1

    def note_change(self, known: Template, made: Template) -> cython.void:
        """A template is redefined: it has to be sent again if nobody had withdrawn the other."""
        self.counts["flow-template-changed"] += 1
        made.changes = 1
        if made.sent - known.since <= _TEMPLATE_AGE:
            made.changes, made.since = known.changes + 1, known.since
        if not known.unread or known.unread == "flow-template-unsteady":
            made.unread = "flow-template-unsteady"

    def withdraw(self, number: int) -> None:
        """A template is not valid any more (RFC 7011 section 8.1); 2 and 3 say so of all."""
        known: Template
        for each, known in self.templates.items():
            if each == number or (number in (2, 3) and known.is_options == (number == 3)):
                known.unread = "flow-template-missing"

    def note_sampler(self, sampler: int, interval: int) -> None:
        """The exporter said how many packets one is taken of, by a sampler (0: by any)."""
        if sampler in self.samplers or len(self.samplers) < MAX_SAMPLERS:
            self.samplers[sampler] = max(1, interval)

    def sampling(self, sampler: int | None) -> int:
        """Of how many packets one was looked at, as the exporter said; that of its coarsest sampler
        if it named one that it never described."""
        if not self.samplers:
            return 1
        if sampler is not None and sampler in self.samplers:
            return self.samplers[sampler]
        return max(self.samplers.values())

    def follow(
        self, sequence: cython.longlong, counted: cython.longlong, uptime: cython.longlong
    ) -> cython.void:
        """Compare the sequence number of a message with what must follow the one before it;
        `counted` is by how much this message raises it. `uptime` (ms, -1 where the message does
        not say) shows a restart.

        The number is that of the first record of the message (RFC 7011 section 3.1); softflowd
        sends that of the first one behind it. Whichever fits says how this exporter counts.
        """
        before: cython.longlong = self.sequence
        before_counted: cython.longlong = self.counted
        restarted: cython.bint = uptime >= 0 and uptime < self.uptime - _RESTART
        if uptime >= 0:
            self.uptime = uptime
        self.sequence, self.counted = sequence, counted
        if before == _NONE:
            return
        missing: cython.longlong = sequence - before - before_counted & _NUMBERS
        missing_behind: cython.longlong = sequence - before - counted & _NUMBERS
        if missing != missing_behind and (missing == 0 or missing_behind == 0):
            self.counts_itself = missing_behind == 0
        if self.counts_itself:
            missing = missing_behind
        behind: cython.longlong = -missing & _NUMBERS
        if restarted or (missing > _MAX_GAP and behind > _MAX_GAP):
            self.counts["flow-exporter-restarted"] += 1
        elif missing <= _MAX_GAP:
            self.lost += missing
        elif self.follows_late(sequence, counted):
            self.counts["flow-exporter-restarted"] += 1
        else:
            # It came late: it was counted as lost, and what follows stays what it was.
            self.lost = max(0, self.lost - counted)
            self.sequence, self.counted = before, before_counted
            self.counts["flow-message-late"] += 1

    def follows_late(self, sequence: cython.longlong, counted: cython.longlong) -> cython.bint:
        """Whether so many late messages follow each other that the exporter was restarted."""
        late: cython.longlong = self.late
        is_next: cython.bint = late != _NONE and (
            sequence == late + self.late_counted or sequence == late + counted
        )
        self.late, self.late_counted = sequence, counted
        if not is_next:
            self.late_in_order, self.lost_before = 0, self.lost
        self.late_in_order += 1
        if self.late_in_order < _RESTARTED_MESSAGES:
            return False
        # They were not late, so that nothing came of what was lost.
        self.lost = self.lost_before
        self.late, self.late_in_order = _NONE, 0
        return True
