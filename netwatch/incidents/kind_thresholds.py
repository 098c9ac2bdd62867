"""The thresholds by which the kind of an incident is judged.

They reflect what apps and pages do: an app in use opens a dozen connections or more and keeps
loading; an installed app in the background exchanges a few thousand bytes within seconds; a page
loads what it embeds within seconds and stops. Each row is documented, and tested on both sides.
"""

from dataclasses import dataclass

KIB = 1024
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Threshold:
    """A number that the judgement depends on, and the reason for it."""

    name: str
    value: float
    unit: str
    reason: str


THRESHOLDS: tuple[Threshold, ...] = (
    Threshold(
        "burst_gap",
        300,
        "s",
        "contacts further apart belong to different bursts of activity; an app in use opens "
        "connections more often, an app in the background seldom does",
    ),
    Threshold(
        "session_app_only",
        2,
        "contacts",
        "hosts that only the app calls, contacted in the burst; a single contact may be a check "
        "for messages",
    ),
    Threshold(
        "session_contacts",
        3,
        "contacts",
        "hosts of the app, contacted in the burst; opening an app takes a dozen or more",
    ),
    Threshold(
        "session_seconds",
        30,
        "s",
        "from the first to the last contact of the burst, and from the first contact with a host "
        "that only the app calls to the last packet of such a connection; what an app fetches in "
        "the background it fetches within seconds",
    ),
    Threshold(
        "session_connection",
        8 * KIB,
        "bytes",
        "received in a connection within `burst_gap` of its contact, if it is even; a connection "
        "with less is a check for messages, however many of them one device makes, or several "
        "behind one address",
    ),
    Threshold(
        "session_bytes_in",
        32 * KIB,
        "bytes",
        "received in the burst by such connections, within `burst_gap` of their contacts; checks "
        "for messages add up over a day, or over many devices",
    ),
    Threshold(
        "session_bytes_out",
        2 * KIB,
        "bytes",
        "sent in the burst; more than the hellos of its connections",
    ),
    Threshold(
        "session_rate",
        6 * KIB,
        "bytes/min",
        "of that by the minute; contacts every minute with a few thousand bytes each are the app's "
        "heartbeat",
    ),
    Threshold(
        "long_bytes_in",
        256 * KIB,
        "bytes",
        "received from hosts that only the app calls, if the app multiplexes its use over few "
        "long connections",
    ),
    Threshold(
        "long_seconds",
        60,
        "s",
        "from the first contact to the last packet of such connections",
    ),
    Threshold(
        "long_rate",
        6 * KIB,
        "bytes/min",
        "received in such connections by the minute, as for `session_connection`; a connection for "
        "notifications stays open for days and receives a few hundred",
    ),
    Threshold(
        "device_stacks",
        5,
        "lists",
        "of cipher suites in the hellos of an incident; in 127 public captures no device has more "
        "than 4. Contacts of several devices behind one address add up to a use that no single"
        " device made",
    ),
    Threshold(
        "regular_bursts",
        4,
        "bursts",
        "at least so many bursts are needed to speak of regular intervals",
    ),
    Threshold(
        "regular_variation",
        0.35,
        "ratio",
        "standard deviation of the intervals by their mean; a timer with the tolerance of a "
        "mobile system stays below, people (1 for random times) stay above",
    ),
    Threshold(
        "regular_seconds",
        600,
        "s",
        "mean interval of regular bursts that are taken for a timer of the app",
    ),
    Threshold(
        "regular_bytes_in",
        512 * KIB,
        "bytes",
        "received in each of the regular bursts; more is no check for messages",
    ),
    Threshold(
        "page_contacts",
        10,
        "contacts",
        "with hosts of the app that pages call as well, in a burst without the app's own hosts",
    ),
    Threshold(
        "page_bytes_in",
        10 * MIB,
        "bytes",
        "received in such a burst; an embedded player loads a few million bytes and stops",
    ),
    Threshold(
        "page_seconds",
        180,
        "s",
        "between the first and the last contact of such a burst; a page loads what it embeds "
        "within seconds",
    ),
    Threshold(
        "page_minutes",
        4,
        "minutes",
        "of such a burst that have new contacts; who goes from video to video makes them again "
        "and again",
    ),
    Threshold(
        "one_way_contacts",
        8,
        "contacts",
        "with hosts that only the app calls, if only the device's side was captured",
    ),
    Threshold(
        "one_way_seconds",
        60,
        "s",
        "between the first and the last of them",
    ),
    Threshold(
        "one_way_bytes_out",
        16 * KIB,
        "bytes",
        "sent to them; more than their hellos",
    ),
)
"""All thresholds of the judgement: minimum values, except for `burst_gap`, `regular_variation` and
`regular_bytes_in`, which are maxima."""

VALUES = {row.name: row.value for row in THRESHOLDS}
"""The values by name."""


def limit(name: str) -> str:
    """A threshold as text, with its unit."""
    row = next(row for row in THRESHOLDS if row.name == name)
    return f"{row.value:,} {row.unit}"
