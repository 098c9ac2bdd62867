"""What ``fleet status`` says where the server of the centre does not run."""

from pathlib import Path

import pytest
from support.ports import free_port

from netwatch.cli import main
from netwatch.store.opening import open_catalogue
from netwatch.store.options import StoreOptions

Captured = pytest.CaptureFixture[str]


def test_a_server_that_does_not_answer_is_named(tmp_path: Path, capsys: Captured) -> None:
    port = free_port()
    config = tmp_path / "centre.yaml"
    config.write_text(
        "version: 1\nstore: {path: store}\n"
        f"fleet: {{centre: 'nats://127.0.0.1:{port}', server: {{folder: fleet}}}}\n"
    )
    with open_catalogue(StoreOptions(str(tmp_path / "store")), create=True) as catalogue:
        catalogue.set_sensor_status(
            "brussels-1", {"health": "ok", "outside": ["brussels-1 speaks of hq"]}
        )
    assert main(["fleet", "status", "-c", str(config)]) == 1
    out, err = capsys.readouterr()
    assert "brussels-1" in out
    assert out.endswith("brussels-1 speaks of hq\n")
    assert "the server does not answer" in err
    assert "the state shown is from before" in err
    assert err.count("\n") == 1
