"""Notifications of people: Teams, Slack, Matrix, ntfy, PagerDuty and all other services of apprise.

The service is an apprise address, which contains its credentials and is therefore a secret. Alerts
of a period go into one message, so that nobody is flooded: one line per alert, the most serious
first, or the output of a template. The content of alerts is sent as plain text in which nothing is
markup or addresses people (`netwatch.sinks.templates`).

apprise reports that a service failed and why, as log lines. The HTTP status in them decides what
happens to the alerts.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from netwatch.core.alert import AlertRecord
from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import key
from netwatch.core.installing import install_command
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import DURATION
from netwatch.sinks.base import (
    BatchRefusedError,
    Delivered,
    MisconfiguredError,
    Outcome,
    OutgoingAlert,
    UnavailableError,
)
from netwatch.sinks.secrets import SECRET, Secret, redact
from netwatch.sinks.templates import (
    MessageTemplate,
    digest_order,
    digest_title,
    plain,
    sample_alert,
    template_file,
)

DIGEST_INTERVAL = 60.0
"""Default time during which alerts are collected for one message, in s."""

MAX_LINES = 20
"""Alerts to list in the message without a template; it says how many more there are."""

_DEFAULT_TEMPLATE = f"""\
{{% for alert in alerts[:{MAX_LINES}] %}}
{{{{ alert | line }}}}
{{% endfor %}}
{{% if alerts | length > {MAX_LINES} %}}
and {{{{ alerts | length - {MAX_LINES} }}}} more
{{% endif %}}
"""

_STATUS = re.compile(r"\berror[=: ]+(\d{3})\b")
_DENIED = {401, 403, 404, 405, 410}
_RETRIED = {408, 425, 429}


@dataclass(frozen=True, slots=True)
class NotifyOptions:
    """`url` is the apprise address, `template` the text of a template, empty for the built-in one.
    `timeout` is in s."""

    url: Secret | None = key(
        SECRET,
        "the address of the service, as apprise writes it: `slack://…`, `msteams://…`,"
        " `ntfys://…`, `pagerduty://…`",
        required="the address of the service as a secret",
    )
    template: str = key(
        template_file(escapes=True, example=lambda: _values([sample_alert(0, "", "")])),
        "a template of Jinja2 for the text. It has `alerts` (records, the most serious first) and"
        " `title`; the filter `line` makes a line of an alert",
        shown=f"a line an alert, at most {MAX_LINES}",
    )
    timeout: float = key(DURATION, "limit for one message", "30s")

    def checked(self, _: Fields, __: Path) -> Self:
        """The options, of which none depends on another."""
        return self

    def secrets(self) -> tuple[Secret, ...]:
        """The address."""
        return () if self.url is None else (self.url,)

    def warning(self) -> str:
        """Empty: apprise decides which services are encrypted."""
        return ""

    def open(self) -> "NotifySink":
        """Create the sink. Raises `NetwatchError` if apprise or Jinja2 is not installed."""
        return NotifySink(self)


class NotifySink:
    """Sends messages to one service of apprise."""

    max_batch = 500

    def __init__(self, options: NotifyOptions) -> None:
        self._options = options
        self._template = MessageTemplate(options.template or _DEFAULT_TEMPLATE, escapes=True)
        self._apprise = _library()

    def send(self, alerts: Sequence[OutgoingAlert]) -> Sequence[Outcome]:
        """Send one message for all alerts. Raises `UnavailableError`, `MisconfiguredError` and
        `BatchRefusedError`."""
        records = sorted((alert.record for alert in alerts), key=digest_order)
        values = _values(records)
        try:
            text = self._template.render(**values)
        except NetwatchError as error:
            raise MisconfiguredError(str(error)) from None
        service = self._service()
        library = self._apprise.Apprise()
        library.add(service)
        result = library.notify(
            body=text,
            title=f"netwatch: {plain(values['title'])}",
            notify_type=self._apprise.NotifyType.WARNING,
            body_format=self._apprise.NotifyFormat.TEXT,
            timeout=self._options.timeout,
        )
        if not result:
            self._raise([str(entry.message) for entry in result.logs()])
        return [Delivered(f"accepted by {service.service_name}")] * len(alerts)

    def check_connection(self) -> str:
        """Read the address; a service cannot be checked without a message to people."""
        return f"is an address of {self._service().service_name}; no message was sent"

    def on_idle(self) -> None:
        """Nothing is open between messages."""

    def close(self) -> None:
        """Nothing is open between messages."""

    def _service(self) -> Any:
        assert self._options.url is not None
        try:
            service = self._apprise.Apprise.instantiate(self._options.url.value())
        except NetwatchError as error:
            raise MisconfiguredError(str(error)) from None
        if service is None:
            raise MisconfiguredError("the secret 'url' is no address that apprise knows")
        return service

    def _raise(self, lines: Sequence[str]) -> None:
        """Raise the error in the log lines of a message that was not sent."""
        text = redact(" ".join(lines), self._options.secrets()) or "the service did not accept it"
        found = [int(status) for line in lines for status in _STATUS.findall(line)]
        status = found[-1] if found else 0
        if status in _DENIED:
            raise MisconfiguredError(text)
        if 400 <= status < 500 and status not in _RETRIED:
            raise BatchRefusedError(text)
        raise UnavailableError(text)


def _values(records: Sequence[AlertRecord]) -> dict[str, Any]:
    """The values that a template can use."""
    return {"alerts": list(records), "title": digest_title(records)}


def _library() -> Any:
    try:
        import apprise
    except ImportError:
        raise NetwatchError(
            f"an output of type apprise needs an extra: {install_command('notify')}"
        ) from None
    # The first address loads all services. After privileges were dropped, they may be unreadable.
    apprise.Apprise.instantiate("json://localhost")
    return apprise
