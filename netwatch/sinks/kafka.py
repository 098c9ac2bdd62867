"""Kafka, by librdkafka (the extra ``netwatch[kafka]``).

An idempotent producer that waits for all replicas in sync. The key of a message is the
id of the incident, so that what is told of one incident stays in order in one partition;
the header ``netwatch-key`` is what a consumer drops repetitions by.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netwatch.core.errors import NetwatchError
from netwatch.core.user_yaml import Fields
from netwatch.sinks.base import (
    Again,
    Delivered,
    DeniedError,
    Item,
    Outcome,
    Refused,
    UnavailableError,
)
from netwatch.sinks.secrets import Secret, take
from netwatch.sinks.settings import duration, given, split_host
from netwatch.sinks.tls import Tls
from netwatch.sinks.tls import read as read_tls

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
"""Of SASL, as librdkafka knows them without other libraries."""

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_REFUSED = ("MSG_SIZE_TOO_LARGE", "_INVALID_ARG", "INVALID_RECORD", "INVALID_MSG")
_REFUSAL = "expired, not valid for this name, or not of the CA under 'tls'"
_DENIED = (
    "_AUTHENTICATION",
    "SASL_AUTHENTICATION_FAILED",
    "TOPIC_AUTHORIZATION_FAILED",
    "CLUSTER_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
    "TOPIC_EXCEPTION",
)


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """`brokers` are host:port; `timeout` in s until a batch counts as not delivered."""

    brokers: tuple[str, ...]
    topic: str
    mechanism: str
    user: str
    password: Secret | None
    timeout: float
    tls: Tls | None

    def secrets(self) -> tuple[Secret, ...]:
        """The password."""
        return given(self.password)

    def open(self) -> "KafkaSink":
        """The sink. Raises `NetwatchError` where the library is not installed."""
        return KafkaSink(self)


def read(fields: Fields, base: Path) -> KafkaSettings:
    """The keys ``brokers``, ``topic``, ``sasl``, ``timeout`` and ``tls``."""
    brokers = []
    for _, text in fields.texts("brokers", required="a list like [kafka.example:9092]"):
        host, port = split_host(fields, "brokers", text, 9092)
        brokers.append(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    topic = fields.text("topic", required="the name of a topic")
    if topic and not _TOPIC.fullmatch(topic):
        fields.add_problem(
            "topic", f"'topic' is '{topic}', expected letters, digits, '.', '_' and '-'"
        )
    mechanism, user, password = "", "", None
    part = fields.nested("sasl", "sasl")
    if part is not None:
        mechanism = part.choice("mechanism", MECHANISMS, "SCRAM-SHA-512")
        user = part.text("user", required="the name to sign in with")
        password = take(part, "password", base, required="{env: NAME} or {file: path}")
        part.reject_unknown()
    timeout, tls = duration(fields, "timeout", 30), read_tls(fields, base)
    if tls and tls.server_name:
        fields.add_problem(
            "tls", "'server_name' has no place here: librdkafka checks the name of each broker"
        )
    return KafkaSettings(tuple(brokers), topic, mechanism, user, password, timeout, tls)


class KafkaSink:
    """Produces to one topic."""

    batch = 500

    def __init__(self, settings: KafkaSettings) -> None:
        try:
            import confluent_kafka
        except ImportError:
            told = "an output of type kafka needs: pip install 'netwatch[kafka]'"
            raise NetwatchError(told) from None
        self._library = confluent_kafka
        self._settings = settings
        self._producer: Any = None
        self._trouble = ""
        self._denied = ""

    def _options(self) -> dict[str, Any]:
        settings = self._settings
        options: dict[str, Any] = {
            "bootstrap.servers": ",".join(settings.brokers),
            "client.id": "netwatch",
            "enable.idempotence": True,
            "compression.type": "zstd",
            "message.timeout.ms": int(settings.timeout * 1000),
            "error_cb": self._heard,
            "log_level": 0,
        }
        if settings.password is not None:
            options["sasl.mechanism"] = settings.mechanism
            options["sasl.username"] = settings.user
            options["sasl.password"] = settings.password.value()
        tls = settings.tls
        if tls is not None:
            files = {"ca": tls.ca, "certificate": tls.certificate, "key": tls.key}
            options |= {f"ssl.{name}.location": str(at) for name, at in files.items() if at}
        secured = ("SASL_" if settings.password else "") + ("SSL" if tls else "PLAINTEXT")
        options["security.protocol"] = secured
        return options

    def _heard(self, error: Any) -> None:
        told = str(error.str())
        if error.name() == "_ALL_BROKERS_DOWN" and self._trouble:
            return  # each has said why
        if "certificate verify failed" in told:
            # The library guesses at one cause of these.
            told = f"{told.partition(': ')[0]}: its certificate is refused: {_REFUSAL}"
        self._trouble = told
        if error.name() in _DENIED:
            self._denied = told

    def send(self, items: Sequence[Item]) -> Sequence[Outcome]:
        """Produce a batch and wait for all reports."""
        outcomes: list[Outcome] = [Again("no report")] * len(items)
        self._connect()
        for number, item in enumerate(items):
            self._produce(number, item, outcomes)
        left = self._producer.flush(self._settings.timeout + 1)
        if self._denied:
            self.close()
            raise DeniedError(self._denied)
        if left or any(isinstance(outcome, Again) for outcome in outcomes):
            # What is still in its queues would be sent behind our back.
            self.close()
        return outcomes

    def _connect(self) -> None:
        self._denied = self._trouble = ""
        if self._producer is None:
            try:
                self._producer = self._library.Producer(self._options())
            except NetwatchError as error:
                raise DeniedError(str(error)) from None
            except self._library.KafkaException as error:
                raise DeniedError(error.args[0].str()) from None

    def reach(self) -> str:
        """Ask the brokers for the topic."""
        self._connect()
        try:
            found = self._producer.list_topics(self._settings.topic, self._settings.timeout)
        except self._library.KafkaException as error:
            self._producer.poll(0)
            if self._denied:
                raise DeniedError(self._denied) from None
            raise UnavailableError(self._trouble or error.args[0].str()) from None
        wrong = found.topics[self._settings.topic].error
        known = "" if wrong is None else f", topic {self._settings.topic}: {wrong.str()}"
        return f"{len(found.brokers)} brokers answer{known}"

    def _produce(self, number: int, item: Item, outcomes: list[Outcome]) -> None:
        def report(error: Any, message: Any) -> None:
            if error is None:
                place = f"partition {message.partition()}, offset {message.offset()}"
                outcomes[number] = Delivered(f"acknowledged: {place}")
            else:
                outcomes[number] = self._outcome(error)

        try:
            self._producer.produce(
                self._settings.topic,
                key=str(item.record.get("id", "")),
                value=item.text.encode("utf-8", "backslashreplace"),
                headers={"netwatch-key": item.key},
                on_delivery=report,
            )
        except BufferError as error:
            outcomes[number] = Again(str(error))
        except self._library.KafkaException as error:
            outcomes[number] = self._outcome(error.args[0])

    def _outcome(self, error: Any) -> Outcome:
        told = str(error.str())
        if error.name() in _REFUSED:
            return Refused(told)
        if error.name() in _DENIED:
            self._denied = told
        return Again(self._trouble or told)

    def rest(self) -> None:
        """Connections stay; errors of those that the brokers closed are of no interest."""
        self._trouble = ""
        if self._producer is not None:
            self._producer.poll(0)

    def close(self) -> None:
        """Drop the producer with all that it holds."""
        if self._producer is not None:
            self._producer.purge()
            self._producer.flush(0)
            self._producer = None
