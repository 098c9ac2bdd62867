"""``devices: sources`` of netwatch.yaml."""

from pathlib import Path

import pytest

from netwatch.config import load, load_refresh
from netwatch.core.errors import ConfigError
from netwatch.inventory.registered import ClassRule
from netwatch.refresh.options import CsvSource, DirectorySource, NetboxSource

SOURCES = """\
version: 1
devices:
  inventory: inventory/
  timezone: Europe/Brussels
  keep: 730d
  sources:
    - type: netbox
      url: https://netbox.example/dcim/
      token: {file: netbox.token}
      objects: [devices, virtual_machines]
      filter: {status: active, site: [hq, annex], rack_id: 7}
      classes:
        - {class: infrastructure, role: [router, switch]}
        - {class: service}
    - type: directory
      path: computers.ldif
      owner: description
      classes: [{class: personal, under: "OU=BYOD, DC=City,DC=Example"}]
    - type: csv
      path: assets.csv
      columns: {hostname: "Device Name"}
"""


def write(folder: Path, text: str) -> str:
    path = folder / "netwatch.yaml"
    path.write_text(text)
    return str(path)


def test_sources_of_each_type(tmp_path: Path) -> None:
    options = load_refresh(write(tmp_path, SOURCES))
    assert options is not None
    assert (options.path, options.is_folder) == (tmp_path / "inventory", True)
    assert (options.timezone, options.keep) == ("Europe/Brussels", 730 * 86_400 * 10**9)
    netbox, directory, csv = options.sources
    assert isinstance(netbox, NetboxSource)
    assert netbox.http.timeout == 60
    assert netbox.token is not None
    assert netbox.token.file == tmp_path / "netbox.token"
    assert netbox.kinds == ("devices", "virtual_machines")
    assert netbox.filters == (
        ("status", "active"),
        ("site", "hq"),
        ("site", "annex"),
        ("rack_id", "7"),
    )
    assert netbox.rules == (
        ClassRule("infrastructure", (("role", ("router", "switch")),)),
        ClassRule("service"),
    )
    assert directory == DirectorySource(
        tmp_path / "computers.ldif",
        rules=(ClassRule("personal", (("under", ("ou=byod,dc=city,dc=example",)),)),),
        owner="description",
    )
    assert csv == CsvSource(tmp_path / "assets.csv", {"hostname": "Device Name"})


def test_without_sources_there_is_nothing_to_refresh(tmp_path: Path) -> None:
    assert load_refresh(write(tmp_path, "version: 1\n")) is None
    assert load_refresh(write(tmp_path, "version: 1\ndevices: {inventory: missing.csv}\n")) is None


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ("{sources: [{type: csv, path: a.csv}]}", "'sources': expected 'inventory' next to it"),
        ("{inventory: i.csv, keep: 1d}", "'keep': expected 'sources' next to it"),
        ("{inventory: i.csv, sources: [{type: ldap}]}", "'type': expected one of netbox, direct"),
        ("{inventory: i.csv, sources: [{type: csv}]}", "needs 'path'"),
        ("{inventory: i.csv, sources: [{type: csv, path: i.csv}]}", "is the inventory that is"),
        ("{inventory: i.csv, sources: [{type: csv, path: a, url: b}]}", "unknown key 'url'"),
        ("{inventory: i, columns: {id: a}, sources: [{type: csv, path: a}]}", "'columns': expect"),
        ("{inventory: i, sources: [{type: netbox}]}", "needs 'url'"),
        ("{inventory: i, sources: [{type: netbox, url: 'https://n/api/'}]}", "the address of NetB"),
        (
            "{inventory: i, sources: [{type: netbox, url: 'https://n/', token: x}]}",
            "must not be in",
        ),
        (
            "{inventory: i, sources: [{type: netbox, url: 'http://192.0.2.1/', token: {env: X}}]}",
            "'token' is sent in the clear to 192.0.2.1",
        ),
        (
            "{inventory: i, sources: [{type: netbox, url: 'https://n/', objects: [racks]}]}",
            "'objects': expected one of devices, virtual_machines, found 'racks'",
        ),
        (
            "{inventory: i, sources: [{type: netbox, url: 'https://n/', filter: {limit: 1}}]}",
            "'limit': expected a filter",
        ),
        (
            "{inventory: i, sources: [{type: directory, path: a, classes: [{class: all}]}]}",
            "'class': expected one of service",
        ),
        (
            "{inventory: i, sources: [{type: directory, path: a, classes: [{ou: b}]}]}",
            "unknown key 'ou' in a rule of classes",
        ),
        ("{inventory: i, sources: [" + "{type: csv, path: a}," * 65 + "]}", "expected at most 64"),
    ],
)
def test_mistakes(tmp_path: Path, devices: str, message: str) -> None:
    path = write(tmp_path, f"version: 1\ndevices: {devices}\n")
    with pytest.raises(ConfigError) as raised:
        load_refresh(path)
    assert message in str(raised.value)
    assert all(problem.line for problem in raised.value.problems)
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert message in str(raised.value)


def test_an_inventory_that_was_never_refreshed_says_how(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'netwatch inventory refresh' writes it"):
        load(write(tmp_path, SOURCES))
