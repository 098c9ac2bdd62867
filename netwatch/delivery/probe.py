"""Checks of an output for ``netwatch outputs test`` and ``netwatch doctor``: send it a marked test
alert, or check the connection without sending anything.
"""

from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.delivery.attempt import AttemptResult, attempt
from netwatch.delivery.output import Output
from netwatch.delivery.queue_values import QueuedAlert
from netwatch.delivery.stored_record import deduplication_key
from netwatch.sinks.redaction import redact


def send(output: Output, record: dict[str, Any]) -> AttemptResult:
    """Send an alert to one output immediately, bypassing the outbox. Raises `NetwatchError` if the
    output cannot even be opened."""
    sink = output.options.open()
    try:
        alert = QueuedAlert(1, deduplication_key(record), 0.0, record)
        return attempt(output, sink, [alert])
    finally:
        sink.close()


def check_connection(output: Output) -> tuple[bool, str]:
    """Whether the receiver of an output can be reached, without sending it an alert, and its answer
    or the reason why not."""
    try:
        sink = output.options.open()
        try:
            reached, text = True, sink.check_connection()
        finally:
            sink.close()
    except NetwatchError as error:
        reached, text = False, str(error)
    except Exception as error:  # From a receiver's library.
        reached, text = False, f"{type(error).__name__}: {error}"
    return reached, redact(text, output.options.secrets())
