"""What is remembered of one exporter between its messages: templates, sampling, what must follow.

An exporter is an observation domain (a source ID in NetFlow v9) of one sender: each has template
numbers, samplers and sequence numbers of its own (RFC 3954 section 5.1, RFC 7011 section 3.1).
Everything has a limit, so that whoever invents templates or domains takes only their own room.
"""

from collections import Counter
from collections.abc import Sequence

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
of the exporter's configuration. One that changes it more often is broken or lies, or is several
exporters, and which fields its records have is anybody's guess."""

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
        self._templates: dict[int, tuple[Layout, bool, int]] = {}
        # How often a template was redefined, and since when (ns).
        self._changes: dict[int, tuple[int, int]] = {}
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
        return self.lost + self._without_template

    def layout(self, number: int, now: int) -> tuple[Layout, bool] | None:
        """The layout of a template at a time (ns), and whether its records are
        options; None where it is not known, or too old."""
        found = self._templates.get(number)
        if found is None:
            why = "flow-template-missing"
        elif now - found[2] > TEMPLATE_AGE:
            # It stays: a file tells no other time than that which its messages have.
            why = "flow-template-old"
        elif number in self._changes and self._is_unsteady(number, now):
            why = "flow-template-unsteady"
        else:
            return found[0], found[1]
        self._without_template += 1
        self.counts[why] += 1
        return None

    def _is_unsteady(self, number: int, now: int) -> bool:
        changes, since = self._changes[number]
        return changes > MAX_CHANGES and now - since <= TEMPLATE_AGE

    def define(self, number: int, fields: Sequence[Field], is_options: bool, now: int) -> None:
        """A template was sent, again or anew."""
        known = self._templates.pop(number, None)
        if known is not None and known[0].fields == tuple(fields):
            layout = known[0]
        else:
            try:
                layout = Layout(fields)
            except ValueError:
                self.counts["flow-template-bad"] += 1
                return
            if known is not None:
                self.counts["flow-template-changed"] += 1
                changes, since = self._changes.get(number, (0, now))
                if now - since > TEMPLATE_AGE:
                    changes, since = 0, now
                self._changes[number] = changes + 1, since
        self._templates[number] = layout, is_options, now
        if len(self._templates) > MAX_TEMPLATES:
            forgotten = next(iter(self._templates))
            del self._templates[forgotten]
            self._changes.pop(forgotten, None)
            self.counts["flow-templates-full"] += 1

    def withdraw(self, number: int) -> None:
        """A template is not valid any more (RFC 7011 section 8.1); 2 and 3 say so of all."""
        if number in (2, 3):
            for each, (_, is_options, _) in list(self._templates.items()):
                if is_options == (number == 3):
                    del self._templates[each]
        else:
            self._templates.pop(number, None)

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
