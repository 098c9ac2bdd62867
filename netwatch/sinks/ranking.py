"""The order of verdicts and severities, by which outputs filter and digests sort alerts."""

from collections.abc import Sequence

from netwatch.core.alert import AlertRecord

VERDICTS = ("exempt", "advisory", "violation")
"""From the least to the most serious, as `min_verdict` compares them."""

SEVERITIES = ("low", "medium", "high", "critical")
"""From the least to the most serious, as `min_severity` compares them."""


def verdict_rank(record: AlertRecord) -> int:
    """The position of an alert's verdict in `VERDICTS`."""
    return _rank(VERDICTS, record.get("verdict"))


def severity_rank(record: AlertRecord) -> int:
    """The position of an alert's severity in `SEVERITIES`."""
    return _rank(SEVERITIES, record.get("severity"))


def _rank(words: Sequence[str], word: object) -> int:
    """An unknown word ranks as the most serious one, so that no filter suppresses it."""
    return words.index(word) if isinstance(word, str) and word in words else len(words) - 1
