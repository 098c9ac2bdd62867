"""Deliveries and certificates for tests."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from support.made_alerts import QUICK

from netwatch.core.tls_sockets import TlsSocket
from netwatch.delivery.delivery import Delivery
from netwatch.delivery.output import OutboxOptions, Output
from netwatch.delivery.worker import RetryTiming


@dataclass
class Deliveries:
    """Creates and starts deliveries, which are in `made`. `log` has the messages of all."""

    outbox: OutboxOptions
    log: list[str]
    made: list[Delivery]

    def __call__(
        self, *outputs: Output, timing: RetryTiming = QUICK, outbox: OutboxOptions | None = None
    ) -> Delivery:
        delivery = Delivery(outputs, outbox or self.outbox, self.log.append, timing)
        self.made.append(delivery)
        delivery.start()
        return delivery


@dataclass
class Certificates:
    """A CA with its certificate in the file `ca`, and certificates that it signs."""

    authority: trustme.CA
    ca: Path
    folder: Path

    def issue(self, *names: str, days: int = 30) -> tuple[Path, Path]:
        """The files of a certificate with its chain and of its key. With negative `days`, it has
        expired so many days ago."""
        until = datetime.now(UTC) + timedelta(days=days)
        leaf = self.authority.issue_cert(
            *names,
            not_before=min(until, datetime.now(UTC)) - timedelta(days=1),
            not_after=until,
        )
        stem = "-".join(names).replace("*", "any") + str(days)
        certificate, key = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        for blob in leaf.cert_chain_pems:
            blob.write_to_path(str(certificate), append=blob is not leaf.cert_chain_pems[0])
        leaf.private_key_pem.write_to_path(str(key))
        return certificate, key

    def server(self, *names: str, days: int = 30, client: bool = False) -> ssl.SSLContext:
        """A context for a server. With `client`, clients need a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslsocket_class = TlsSocket
        context.load_cert_chain(*self.issue(*names, days=days))
        if client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context
