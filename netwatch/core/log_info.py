"""What a record of a log says beside what packets show: where it is written, and what it lacks."""

from dataclasses import dataclass

PACKETS = "packets"
"""The origin of what was read from captures and interfaces."""


@dataclass(frozen=True, slots=True)
class LogInfo:
    """The log of an observation that comes from one.

    `lacks` are words of `netwatch.logs.records.Lack`, in the order of that table. `outcome` is what
    the log itself says came of the contact (a word of `netwatch.core.verdict.Outcome`), empty where
    it says nothing, and `blocked_by` its own word for what denied it.
    """

    format: str
    lacks: tuple[str, ...] = ()
    outcome: str = ""
    blocked_by: str = ""


def origin_of(log: "LogInfo | None") -> str:
    """Who has seen a contact: `PACKETS`, or the program whose log shows it, which is the name of
    the format up to the first hyphen (``zeek-tsv`` and ``zeek-json`` are both of ``zeek``). What
    two origins show may be the same contact twice."""
    return PACKETS if log is None else log.format.partition("-")[0]
