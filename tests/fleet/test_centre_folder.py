"""The folder of a centre, which commands and the running centre share."""

from pathlib import Path

import pytest

from netwatch.config.fleet_section import FleetOptions, ServerOptions
from netwatch.fleet.centre_folder import CentreFolder

pytest.importorskip("nkeys")


def centre_folder(folder: Path) -> CentreFolder:
    server = ServerOptions(listen=("127.0.0.1", 4222), folder=folder)
    return CentreFolder(FleetOptions(centre="nats://127.0.0.1:4222", server=server))


def test_a_centre_reads_again_what_a_command_has_written(tmp_path: Path) -> None:
    running, command = centre_folder(tmp_path), centre_folder(tmp_path)
    running.prepare()
    assert running.write_configuration()
    assert not running.write_configuration()
    command.enrol("brussels-1")
    command.write_configuration()
    assert running.write_configuration()
    assert not running.write_configuration()
    command.revoke("brussels-1")
    command.write_configuration()
    assert running.write_configuration()
    assert {path.name for path in tmp_path.glob("nats*")} == {"nats.conf"}
