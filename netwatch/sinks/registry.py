"""The table of output types. A new type is one module and one row here.

The configuration reader, the delivery worker and the documentation read this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from netwatch.sinks import elastic, file, kafka, mail, nats, notify, splunk, syslog, webhook
from netwatch.sinks.base import DeclaredOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkType:
    """A row of `SINKS`.

    `title` and `description` are for the documentation, and so is `connection_check`, which says
    how far ``netwatch doctor`` goes. `options` declares the keys of an entry of ``outputs``.
    `extra` is the extra of the package that the type needs. `default_format` is empty if the type
    has a form of its own, and `json_only` is set if it accepts only formats whose lines are JSON
    objects.
    `digest_interval` is the default time in s during which alerts are collected before they are
    sent; 0 if the type sends each alert immediately.
    """

    title: str
    description: str
    connection_check: str
    options: type[DeclaredOptions]
    extra: str = ""
    default_format: str = "jsonl"
    json_only: bool = False
    digest_interval: float = 0.0


SINKS: Mapping[str, SinkType] = {
    "file": SinkType(
        title="File",
        description="Appends a line an alert to a file, each in one write, and syncs them. The file"
        " is reopened when it was renamed, removed or truncated, and on SIGHUP.",
        connection_check="whether the file can be written, or created in its folder",
        options=file.FileOptions,
    ),
    "syslog": SinkType(
        title="Syslog",
        description="Sends RFC 5424 messages over UDP, TCP or TLS, with APP-NAME `netwatch`, MSGID"
        " `alert`, the time of the alert and no structured data.",
        connection_check="UDP: resolves the name. TCP and TLS: connects; TLS verifies both"
        " certificates",
        options=syslog.SyslogOptions,
    ),
    "http": SinkType(
        title="Webhook",
        description="Sends a POST request an alert, signed according to Standard Webhooks."
        " `webhook-id` is the same whenever the same alert is sent.",
        connection_check="sends HEAD with the credentials; any status is accepted except a"
        " redirect, 401, 403 and 407",
        options=webhook.WebhookOptions,
    ),
    "splunk_hec": SinkType(
        title="Splunk HTTP Event Collector",
        description="Sends batches of up to 100 events. The event is the record, or the line if the"
        " format is not JSON; the indexed field `netwatch_key` is the same whenever the same alert"
        " is sent.",
        connection_check="sends a request without an event, which a collector refuses after it has"
        " accepted the token",
        options=splunk.SplunkOptions,
    ),
    "elastic": SinkType(
        title="Elasticsearch and OpenSearch",
        description="Sends `_bulk` requests of up to 500 documents with the operation `create` and"
        " an `_id` that is the same whenever the same alert is sent, so a duplicate is a conflict"
        " and not a second document.",
        connection_check="sends an empty bulk request, which a cluster refuses after it has"
        " accepted the credentials",
        options=elastic.ElasticOptions,
        default_format="ecs",
        json_only=True,
    ),
    "kafka": SinkType(
        title="Kafka",
        description="Produces idempotently and waits for all in-sync replicas. The key of a message"
        " is the `id` of the alert; the header `netwatch-key` is the same whenever the same alert"
        " is sent.",
        connection_check="asks the brokers for the metadata of the topic",
        options=kafka.KafkaOptions,
        extra="kafka",
    ),
    "nats": SinkType(
        title="NATS JetStream",
        description="Publishes to a subject that a stream is bound to. The header `Nats-Msg-Id` is"
        " the same whenever the same alert is sent.",
        connection_check="connects and asks which stream is bound to the subject",
        options=nats.NatsOptions,
        extra="nats",
    ),
    "email": SinkType(
        title="Mail",
        description="Sends a digest: one line an alert, the most serious first. `scan --deliver`"
        " and the end of a live capture send it immediately.",
        connection_check="connects, with TLS and the credentials",
        options=mail.MailOptions,
        default_format="",
        digest_interval=mail.DIGEST_INTERVAL,
    ),
    "apprise": SinkType(
        title="Notifications",
        description="Sends messages to people by any service that apprise speaks: Teams, Slack,"
        " Mattermost, Telegram, Matrix, ntfy, PagerDuty, Opsgenie and a hundred others. The text is"
        " plain: no name in it becomes markup, a link or a mention. `scan --deliver` and the end of"
        " a live capture send it immediately.",
        connection_check="reads the address; no message is sent",
        options=notify.NotifyOptions,
        extra="notify",
        default_format="",
        digest_interval=notify.DIGEST_INTERVAL,
    ),
}
"""By the word under ``type``. A library that only one type needs is imported when it is opened."""
