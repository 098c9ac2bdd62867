"""Deliveries and certificates as tests make them."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme
from support.made_alerts import QUICK

from netwatch.delivery.delivery import Delivery
from netwatch.delivery.worker import Timing
from netwatch.sinks.base import Outbox, Output
from netwatch.sinks.tls import Connection


@dataclass
class Deliveries:
    """Makes deliveries; `said` is what all of them told."""

    outbox: Outbox
    said: list[str]
    made: list[Delivery]

    def __call__(
        self, *outputs: Output, timing: Timing = QUICK, outbox: Outbox | None = None
    ) -> Delivery:
        delivery = Delivery(outputs, outbox or self.outbox, self.said.append, timing)
        self.made.append(delivery)
        delivery.start()
        return delivery


@dataclass
class Certificates:
    """A CA in the file `ca`, and what it signs."""

    authority: trustme.CA
    ca: Path
    folder: Path

    def issue(self, *names: str, days: int = 30) -> tuple[Path, Path]:
        """Certificate with chain, and key; with negative `days` one that ended then."""
        until = datetime.now(UTC) + timedelta(days=days)
        leaf = self.authority.issue_cert(
            *names, not_before=min(until, datetime.now(UTC)) - timedelta(days=1), not_after=until
        )
        stem = "-".join(names).replace("*", "any") + str(days)
        certificate, key = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        for blob in leaf.cert_chain_pems:
            blob.write_to_path(str(certificate), append=blob is not leaf.cert_chain_pems[0])
        leaf.private_key_pem.write_to_path(str(key))
        return certificate, key

    def server(self, *names: str, days: int = 30, client: bool = False) -> ssl.SSLContext:
        """A context for a server; `client`: clients have to prove who they are."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslsocket_class = Connection
        context.load_cert_chain(*self.issue(*names, days=days))
        if client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.ca)
        return context
