"""Messages and bundles of version 1, recorded as the first release wrote them: later releases read
them, with fields that still later ones add, and refuse another major version by name."""

import json
from pathlib import Path

import pytest

from netwatch.fleet.access import read_public_key
from netwatch.fleet.bundle import BundleError, read_bundle
from netwatch.fleet.envelope import UnknownSchemaError, decode
from netwatch.fleet.publisher import read_index

RECORDED = Path(__file__).parent / "recorded"
KINDS = ("alerts", "applied", "facts")


def message(kind: str, **changes: object) -> bytes:
    """A recorded message, with changes to its first line."""
    data = (RECORDED / f"{kind}-1.message").read_bytes()
    line, _, content = data.partition(b"\n")
    return json.dumps({**json.loads(line), **changes}).encode() + b"\n" + content


@pytest.mark.parametrize("changes", [{}, {"schema": "netwatch.fleet/1.9", "mood": {"of": [1]}}])
@pytest.mark.parametrize("kind", KINDS)
def test_recorded_messages_are_read(kind: str, changes: dict[str, object]) -> None:
    found = decode(message(kind, **changes), "ghent-1", kind)
    assert (found.sensor, found.kind, found.sequence) == ("ghent-1", kind, 7)
    assert (found.sent, found.version) == (1_700_000_000_000_000_000, "0.1.0")
    if kind == "facts":
        assert found.payload == b"PAR1\x00\xff"
        assert (found.fields["epoch"], found.fields["rows"]) == ("e", 2)
    elif kind == "alerts":
        assert [each["id"] for each in found.body] == ["0a1b"]
    else:
        assert (found.body["state"], found.body["version"]) == ("rejected", 3)


@pytest.mark.parametrize("kind", KINDS)
def test_another_major_version_is_named(kind: str) -> None:
    with pytest.raises(UnknownSchemaError) as caught:
        decode(message(kind, schema="netwatch.fleet/2", version="9.0"), "ghent-1", kind)
    assert (caught.value.schema, caught.value.version) == ("netwatch.fleet/2", "9.0")


def test_a_recorded_bundle_and_its_index_are_read() -> None:
    keys = read_public_key((RECORDED / "configuration-1.key").read_text().strip())
    data = (RECORDED / "configuration-1.bundle").read_bytes()
    bundle = read_bundle(data, keys)
    assert (bundle.kind, bundle.audience, bundle.manifest.version) == ("configuration", "all", 1)
    assert b"10.20.0.0/16" in bundle.files()["netwatch.yaml"]
    entry = read_index((RECORDED / "index-1.json").read_bytes())["configuration"]
    assert (entry.version, entry.hash, entry.length) == (1, bundle.hash, len(data))
    with pytest.raises(BundleError, match="not signed"):
        read_bundle(data, read_public_key("00" * 32))
