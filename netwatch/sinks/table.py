"""The types of outputs, by the word that netwatch.yaml has under ``type``."""

from netwatch.sinks import elastic, file, kafka, mail, nats, splunk, syslog, webhook
from netwatch.sinks.base import JSON_FORMATS, SinkType

SINKS: dict[str, SinkType] = {
    "file": SinkType(file.read),
    "syslog": SinkType(syslog.read),
    "http": SinkType(webhook.read),
    "splunk_hec": SinkType(splunk.read),
    "elastic": SinkType(elastic.read, default="ecs", formats=JSON_FORMATS),
    "kafka": SinkType(kafka.read),
    "nats": SinkType(nats.read),
    "email": SinkType(mail.read, default="", every=mail.EVERY),
}
"""By type; libraries that only one type needs are imported when it opens."""
