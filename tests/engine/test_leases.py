"""Devices that lease files of DHCP servers name: in alerts, in the coverage, and in `explain`."""

import json
from pathlib import Path

import pytest
from craft import Host, Wire
from support.office import CONFIG, FAR, capture, configured, hello

from netwatch.cli import main
from netwatch.config import load

Captured = pytest.CaptureFixture[str]

IP = "10.20.1.7"
ROUTER = "02:00:00:20:00:01"
ONE, TWO = "02:00:00:20:01:07", "02:00:00:20:01:08"
LEASES = """lease 10.20.1.7 {
  starts 1 2023/04/03 08:00:00;
  ends 1 2023/04/03 09:00:00;
  binding state active;
  hardware ethernet 02:00:00:20:01:07;
  client-hostname "ws-one";
}
lease 10.20.1.7 {
  starts 1 2023/04/03 10:00:00;
  ends 1 2023/04/03 11:00:00;
  binding state active;
  hardware ethernet 02:00:00:20:01:08;
}
"""


@pytest.fixture
def office(tmp_path: Path) -> str:
    """The office, with a lease file."""
    (tmp_path / "dhcpd.leases").write_text(LEASES)
    leases = "  inventory: devices.csv\n  leases: [{path: dhcpd.leases}]\n"
    return configured(tmp_path, CONFIG.replace("  inventory: devices.csv\n", leases))


def day(tmp_path: Path, sender: str = ROUTER) -> str:
    """A capture in which the address calls the app three times, behind a router: in the first
    lease, in none, and in the second."""
    client = Host(IP, sender)
    frames = []
    for seed, clock in enumerate(("08:30", "09:30", "10:30")):
        wire = Wire(f"2023-04-03T{clock}:00+00:00", seed)
        hello(wire, client, FAR)
        frames += wire.frames
    wire.frames = frames
    return capture(tmp_path / "day.pcap", wire)


def alerts(path: str, place: str, capsys: Captured) -> list[dict[str, object]]:
    capsys.readouterr()
    assert main(["scan", "-q", path, "-c", place, "--format", "jsonl"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_each_contact_is_that_of_the_device_with_the_lease(
    office: str, tmp_path: Path, capsys: Captured
) -> None:
    found = alerts(day(tmp_path), office, capsys)
    assert [alert["device"]["id"] for alert in found] == [ONE, IP, TWO]  # type: ignore[index]
    assert [alert["device"]["hostname"] for alert in found] == ["ws-one", None, None]  # type: ignore[index]
    first, none, second = (alert["binding"] for alert in found)
    assert none == {"source": "address", "from": None, "until": None, "file": None, "line": None}
    assert first == {
        "source": "dhcpd",
        "from": "2023-04-03T08:00:00.000000Z",
        "until": "2023-04-03T09:00:00.000000Z",
        "file": str(tmp_path / "dhcpd.leases"),
        "line": 1,
    }
    assert second["line"] == 8  # type: ignore[index]


def test_the_inventory_knows_a_leased_device_by_its_mac(
    office: str, tmp_path: Path, capsys: Captured
) -> None:
    with (tmp_path / "devices.csv").open("a") as inventory:
        inventory.write(f"laptop-one,{ONE},,laptop-one,Press,personal\n")
    first, *_ = alerts(day(tmp_path), office, capsys)
    device = first["device"]
    assert isinstance(device, dict)
    assert (device["id"], device["owner"], device["class"]) == ("laptop-one", "Press", "personal")
    assert first["verdict"] == "advisory"


def test_another_client_that_uses_a_leased_address_is_unknown(
    office: str, tmp_path: Path, capsys: Captured
) -> None:
    with (tmp_path / "dhcpd.leases").open("a") as leases:
        text = LEASES.replace("10.20.1.7 {", "10.20.1.99 {").replace(ONE, TWO)
        leases.write(text.replace("09:00:00", "12:00:00"))
    path = day(tmp_path, TWO)
    assert [alert["device"]["id"] for alert in alerts(path, office, capsys)] == [IP, TWO]  # type: ignore[index]


def test_the_coverage_counts_the_devices(office: str, tmp_path: Path, capsys: Captured) -> None:
    path = day(tmp_path)
    assert main(["scan", "-v", path, "-c", office, "--coverage"]) == 0
    out = capsys.readouterr().out
    rows = out[out.index("flows") :].splitlines()
    for device in (ONE, TWO, IP):
        assert any(f" {device} " in f"{row} " for row in rows), device


def test_policy_explains_the_lease(office: str, capsys: Captured) -> None:
    question = ["policy", "explain", "-c", office, "--device", IP, "--name", "www.tiktok.com"]
    assert main([*question, "--time", "2023-04-03T08:30Z"]) == 0
    out = capsys.readouterr().out
    lease = "from 2023-04-03T08:00:00Z until 2023-04-03T09:00:00Z (dhcpd)"
    assert f"lease     leased to {ONE} {lease}\n" in out
    assert f"device    {ONE} (class service)" in out
    assert main([*question, "--time", "2023-04-03T09:30Z"]) == 0
    assert "lease " not in capsys.readouterr().out


def test_policy_check_counts_leases_and_reports_mistakes(
    office: str, tmp_path: Path, capsys: Captured
) -> None:
    assert main(["policy", "check", "-c", office]) == 0
    assert "2 in the inventory  2 leases in lease files" in capsys.readouterr().out
    (tmp_path / "dhcpd.leases").write_text(LEASES.replace("10:00:00", "10h"))
    assert main(["policy", "check", "-c", office]) == 2
    place = tmp_path / "dhcpd.leases"
    error = capsys.readouterr().err
    assert error.startswith(f"netwatch: {place}:9: 'starts': expected a time like ")


@pytest.mark.parametrize(
    ("source", "text", "options"),
    [
        (
            "kea",
            "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,"
            f"state\n{IP},{ONE},,3600,1680512400,1,0,0,ws-one,0\n",
            "",
        ),
        ("dnsmasq", f"1680512400 {ONE} {IP} ws-one *\n", ", lease_time: 1h"),
    ],
)
def test_the_binding_names_the_lease_file(
    tmp_path: Path, capsys: Captured, source: str, text: str, options: str
) -> None:
    (tmp_path / "leases").write_text(text)
    leases = f"  inventory: devices.csv\n  leases: [{{path: leases{options}}}]\n"
    place = configured(tmp_path, CONFIG.replace("  inventory: devices.csv\n", leases))
    first, *_ = alerts(day(tmp_path), place, capsys)
    assert first["device"]["id"] == ONE  # type: ignore[index]
    assert first["binding"] == {
        "source": source,
        "from": "2023-04-03T08:00:00.000000Z",
        "until": "2023-04-03T09:00:00.000000Z",
        "file": str(tmp_path / "leases"),
        "line": 2 if source == "kea" else 1,
    }


def test_leases_count_in_the_version_of_the_configuration(office: str, tmp_path: Path) -> None:
    def version() -> str:
        return load(office).version

    before = version()
    (tmp_path / "dhcpd.leases").write_text(LEASES.replace("11:00:00", "11:00:01"))
    later = version()
    (tmp_path / "dhcpd.leases").write_text(f"# written again\n{LEASES}")
    assert before != later
    assert version() == before
