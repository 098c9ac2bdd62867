"""What takes down the confidence of a contact that a log shows and no packet."""

from collections.abc import Iterator

from netwatch.core.observation import Observation
from netwatch.core.verdict import Confidence
from netwatch.language.sentences import sentence

HIGHEST: Confidence = "probable"
"""The highest confidence of a contact of which it is not sure when it was and of which device, and
of a request that was denied."""

_LACKS = {
    "year": "log-year",
    "time-zone": "log-time-zone",
    "device-behind-nat": "log-behind-nat",
}
"""What a log may lack so that time or device are not sure, with the code of the sentence."""


def limited(confidence: Confidence | None, shown: Observation) -> Confidence | None:
    """The confidence of a contact, which has this one by its rule and its evidence."""
    if confidence == "confirmed" and any(log_reasons(shown)):
        return HIGHEST
    return confidence


def log_reasons(shown: Observation) -> Iterator[str]:
    """Why the confidence of a contact is not above `HIGHEST`, as sentences; none for packets, and
    where the log says everything."""
    log = shown.log
    if log is None:
        return
    for lack, code in _LACKS.items():
        if lack in log.lacks:
            yield sentence(code, format=log.format, grade=HIGHEST)
    if log.outcome == "blocked":
        yield sentence("log-denied", by=log.blocked_by or log.format, grade=HIGHEST)
