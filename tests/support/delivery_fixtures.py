"""Fixtures of the outputs: receivers, certificates, deliveries that end with the test."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from support.made_deliveries import Certificates, Deliveries
from support.receivers import Http

from netwatch.delivery.output import OutboxOptions


@pytest.fixture
def http() -> Iterator[Http]:
    """The suite's own HTTP receiver."""
    server = Http()
    yield server
    server.end()


@pytest.fixture
def outbox(tmp_path: Path) -> OutboxOptions:
    """A folder for an outbox."""
    return OutboxOptions(tmp_path / "spool")


@pytest.fixture
def deliver(outbox: OutboxOptions) -> Iterator[Deliveries]:
    """Starts deliveries, which end with the test."""
    deliveries = Deliveries(outbox, [], [])
    with contextlib.ExitStack() as ends:
        yield deliveries
        for delivery in deliveries.made:
            ends.callback(delivery.stop, timeout=60)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """A CA of the test's own."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    return Certificates(authority, folder / "ca.pem", folder)
