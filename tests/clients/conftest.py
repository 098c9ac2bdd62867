"""What the tests with real clients share: a capture, and a certificate for local servers."""

from pathlib import Path

import pytest
from support.certificates import self_signed
from support.loopback import Capture, Certificate, Watch

CERTIFIED = ("shop.example.com", "*.static.example.com", "api.example.net")


@pytest.fixture(scope="package")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate that signs itself."""
    return self_signed(tmp_path_factory.mktemp("certificate"), CERTIFIED)


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    """Captures what comes and goes on the ports that it is given."""
    return lambda *ports: Capture(tmp_path / "loopback.pcap", *ports)
