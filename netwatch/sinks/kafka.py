"""Kafka, by librdkafka (the extra ``netwatch-bans[kafka]``).

An idempotent producer that waits for all in-sync replicas. The key of a message is the id of the
incident, so all reports of an incident stay in order in one partition. The header ``netwatch-key``
allows a consumer to drop duplicates.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from netwatch.core.errors import NetwatchError
from netwatch.core.file_keys import Key, key, nested
from netwatch.core.installing import install_command
from netwatch.core.text import quantity
from netwatch.core.user_yaml import Fields
from netwatch.core.value_kinds import DURATION, TEXT, choice, matching_text, texts
from netwatch.sinks.base import (
    Delivered,
    MisconfiguredError,
    Outcome,
    OutgoingAlert,
    Refused,
    Retry,
    UnavailableError,
)
from netwatch.sinks.options import (
    TLS_FILES,
    TlsFiles,
    cleartext_warning,
    insecure_key,
    only_secrets,
    parse_host_port,
)
from netwatch.sinks.secrets import SECRET, Secret

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
"""The SASL mechanisms that librdkafka supports without further libraries."""

DEFAULT_PORT = 9092
"""The port of Kafka."""

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_REFUSED = ("MSG_SIZE_TOO_LARGE", "_INVALID_ARG", "INVALID_RECORD", "INVALID_MSG")
_MISCONFIGURED = (
    "_AUTHENTICATION",
    "SASL_AUTHENTICATION_FAILED",
    "TOPIC_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    "TOPIC_EXCEPTION",
)
_CERTIFICATE_REASONS = "expired, not valid for this name, or not issued by the CA under 'tls'"


@dataclass(frozen=True, slots=True)
class Sasl:
    """How a client authenticates."""

    mechanism: str = key(choice(MECHANISMS), f"one of {', '.join(MECHANISMS)}", "SCRAM-SHA-512")
    user: str = key(TEXT, "the user to authenticate as", required="the user to authenticate as")
    password: Secret | None = key(SECRET, "the password", required="{env: NAME} or {file: path}")


def _broker(entry: Fields, declared: Key, _: int, text: str) -> str:
    host, port = parse_host_port(entry, declared.name, text, DEFAULT_PORT, DEFAULT_PORT)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """`brokers` are ``host:port``. `sasl` is None if it is not used. `timeout` in s is how long
    until a batch counts as not delivered. `cleartext` says what is sent in clear text, empty if
    nothing is."""

    brokers: tuple[str, ...] = key(
        texts("list of host:port", _broker),
        f"brokers to start from; port {DEFAULT_PORT} if none is given",
        required="a list like [kafka.example:9092]",
    )
    topic: str = key(
        matching_text(_TOPIC, "letters, digits, '.', '_' and '-'"),
        "the topic",
        required="the name of a topic",
    )
    sasl: Sasl | None = key(nested(Sasl), "how to authenticate", shown="without")
    timeout: float = key(DURATION, "limit for a batch: to connect, send and acknowledge", "30s")
    insecure: bool = insecure_key()
    tls: TlsFiles | None = key(
        TLS_FILES,
        "if present, even empty (`{}`), TLS is used; see [`tls`](outputs.md#tls). There is no"
        " `server_name`: librdkafka verifies the name of each broker",
        shown="no TLS",
    )
    cleartext: str = ""

    def checked(self, fields: Fields, _: Path) -> Self:
        """The options, checked together."""
        # SCRAM proves that the password is known, without sending it (RFC 5802).
        is_plain = self.sasl is not None and self.sasl.mechanism == "PLAIN"
        credential = "sasl" if is_plain and self.tls is None else ""
        hosts = [urlsplit(f"//{broker}").hostname or "" for broker in self.brokers]
        warning = cleartext_warning(fields, self.insecure, credential, hosts, "use 'tls' or SCRAM")
        return replace(self, cleartext=warning)

    def secrets(self) -> tuple[Secret, ...]:
        """The password."""
        return only_secrets(self.sasl.password if self.sasl else None)

    def warning(self) -> str:
        """The data sent in clear text."""
        return self.cleartext

    def open(self) -> "KafkaSink":
        """Create the sink. Raises `NetwatchError` if the library is not installed."""
        return KafkaSink(self)


class KafkaSink:
    """Produces to one topic."""

    max_batch = 500

    def __init__(self, options: KafkaOptions) -> None:
        try:
            import confluent_kafka
        except ImportError:
            command = install_command("kafka")
            raise NetwatchError(f"an output of type kafka needs an extra: {command}") from None
        self._library = confluent_kafka
        self._options = options
        self._producer: Any = None
        self._last_error = ""
        self._misconfiguration = ""

    def _producer_configuration(self) -> dict[str, Any]:
        options = self._options
        configuration: dict[str, Any] = {
            "bootstrap.servers": ",".join(options.brokers),
            "client.id": "netwatch",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "message.timeout.ms": int(options.timeout * 1000),
            "error_cb": self._on_error,
            "log_level": 0,
        }
        sasl = options.sasl
        if sasl is not None and sasl.password is not None:
            configuration["sasl.mechanism"] = sasl.mechanism
            configuration["sasl.username"] = sasl.user
            configuration["sasl.password"] = sasl.password.value()
        tls = options.tls
        if tls is not None:
            files = {"ca": tls.ca, "certificate": tls.certificate, "key": tls.key}
            configuration |= {
                f"ssl.{name}.location": str(path) for name, path in files.items() if path
            }
        transport = "SSL" if tls else "PLAINTEXT"
        configuration["security.protocol"] = f"{'SASL_' if sasl else ''}{transport}"
        return configuration

    def _on_error(self, error: Any) -> None:
        """Note an error that does not belong to a message; librdkafka calls this."""
        text = str(error.str())
        if error.name() == "_ALL_BROKERS_DOWN" and self._last_error:
            return  # Each broker has reported its own reason before.
        if "certificate verify failed" in text:
            # librdkafka's text names only one of the possible reasons.
            text = f"{text.partition(': ')[0]}: certificate rejected: {_CERTIFICATE_REASONS}"
        self._last_error = text
        if error.name() in _MISCONFIGURED:
            self._misconfiguration = text

    def send(self, alerts: Sequence[OutgoingAlert]) -> Sequence[Outcome]:
        """Produce a batch and wait for all delivery reports."""
        no_report = Retry(f"no acknowledgement within {self._options.timeout:g} s")
        outcomes: list[Outcome] = [no_report] * len(alerts)
        self._connect()
        for index, alert in enumerate(alerts):
            self._produce(index, alert, outcomes)
        unreported = self._producer.flush(self._options.timeout)
        if self._misconfiguration:
            self.close()
            raise MisconfiguredError(self._misconfiguration)
        if unreported or any(isinstance(outcome, Retry) for outcome in outcomes):
            # The producer would continue to send what is still in its queues.
            self.close()
        if self._last_error:
            cause = Retry(self._last_error)
            outcomes = [cause if outcome is no_report else outcome for outcome in outcomes]
        return outcomes

    def _connect(self) -> None:
        self._misconfiguration = self._last_error = ""
        if self._producer is None:
            try:
                self._producer = self._library.Producer(self._producer_configuration())
            except NetwatchError as error:
                raise MisconfiguredError(str(error)) from None
            except self._library.KafkaException as error:
                raise MisconfiguredError(error.args[0].str()) from None

    def check_connection(self) -> str:
        """Ask the brokers for the metadata of the topic."""
        self._connect()
        try:
            metadata = self._producer.list_topics(self._options.topic, self._options.timeout)
        except self._library.KafkaException as error:
            self._producer.poll(0)
            if self._misconfiguration:
                raise MisconfiguredError(self._misconfiguration) from None
            raise UnavailableError(self._last_error or error.args[0].str()) from None
        topic_error = metadata.topics[self._options.topic].error
        topic = f", topic {self._options.topic}: {topic_error.str()}" if topic_error else ""
        return f"reached {quantity(len(metadata.brokers), 'broker')}{topic}"

    def _produce(self, index: int, alert: OutgoingAlert, outcomes: list[Outcome]) -> None:
        """Queue one message. Its delivery report replaces `outcomes[index]`."""

        def on_delivery(error: Any, message: Any) -> None:
            if error is None:
                position = f"partition {message.partition()}, offset {message.offset()}"
                outcomes[index] = Delivered(f"acknowledged: {position}")
            else:
                outcomes[index] = self._outcome(error)

        try:
            self._producer.produce(
                self._options.topic,
                key=str(alert.record.get("id", "")),
                value=alert.text.encode("utf-8", "backslashreplace"),
                headers={"netwatch-key": alert.key},
                on_delivery=on_delivery,
            )
        except BufferError as error:
            outcomes[index] = Retry(str(error))
        except self._library.KafkaException as error:
            outcomes[index] = self._outcome(error.args[0])

    def _outcome(self, error: Any) -> Outcome:
        text = str(error.str())
        if error.name() in _REFUSED:
            return Refused(text)
        if error.name() in _MISCONFIGURED:
            self._misconfiguration = text
        return Retry(self._last_error or text)

    def on_idle(self) -> None:
        """Keep the connections. Errors of idle ones that brokers closed do not matter."""
        self._last_error = ""
        if self._producer is not None:
            self._producer.poll(0)

    def close(self) -> None:
        """Discard the producer with everything in its queues."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(0)
            self._producer = None
