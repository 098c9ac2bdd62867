import datetime
import os
import pickle
from pathlib import Path

import pytest
from support.paths import ROOT

from netwatch.config import load, load_catalog
from netwatch.core.errors import ConfigError
from netwatch.core.verdict import Exemption
from netwatch.rules import bans as packs
from netwatch.rules import load as catalog_load
from netwatch.watch.endpoint_options import EndpointOptions
from netwatch.watch.health import Thresholds

SIGNATURE = """\
app: tiktok
name: TikTok
vendor: bytedance
category: video
domains:
  - {suffix: tiktok.com, role: exclusive, sources: [observed]}
"""
BAN = "{id: our-rule, authority: City, apps: [tiktok], from: 2023-03-10}"
HOUR = 3600 * 10**9


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder of one's own, with a signature file, where no other configuration is."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("netwatch.config.SEARCH_PATHS", ("netwatch.yaml", "etc/netwatch.yaml"))
    for module in (packs, catalog_load):
        monkeypatch.setattr(module, "shipped", lambda: ROOT / "signatures")
    (tmp_path / "signatures").mkdir()
    (tmp_path / "signatures" / "tiktok.yaml").write_text(SIGNATURE)
    return tmp_path


def write(text, name="netwatch.yaml"):
    path = Path(name)
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"version: 1\nsignatures: [./signatures]\n{text}")
    return name


def messages(text):
    """The mistakes of a configuration, as texts; the text given starts at line 3."""
    with pytest.raises(ConfigError) as caught:
        load(write(text))
    return [str(problem) for problem in caught.value.problems]


def test_the_built_in_defaults():
    config = load()
    assert config.path is None
    (scope,) = config.networks.scopes
    assert (scope.network.name, scope.network.device_class) == ("private", "service")
    (ban,) = config.policy.bans
    assert (ban.id, ban.forbids, ban.start) == ("default", {"service"}, None)
    assert "tiktok" in ban.apps
    assert config.quiet_gap == HOUR // 2
    assert config.sensor_name
    assert config.geo.lookup("192.0.2.1") == (None, None, None)
    assert len(config.notes) == 3
    assert "tiktok" in config.catalog.apps()


def test_a_whole_configuration():
    Path("devices.csv").write_text("id,ip,class\nlab-07,10.20.0.7,service\n")
    config = load(
        write(
            """
networks:
  - {name: hq, cidrs: [10.20.0.0/16, "2001:db8:20::/48"], class: service, authority: BE-FED}
  - {name: byod, cidrs: [10.30.0.0/16], vlans: [30], class: personal, authority: BE-FED}
  - {name: resolvers, cidrs: [10.20.0.53/32], class: infrastructure}
devices: {inventory: devices.csv, learn: [dhcp, mdns]}
bans:
  - id: our-rule
    authority: City of Example
    apps: [tiktok]
    forbids: [service]
    advises: [personal]
    from: 2023-03-10
    until: 2023-09-10
    review: 2023-09-01
    timezone: Europe/Brussels
    legal_basis: Decision 2023/12 art. 3
    min_confidence: probable
    severity: high
    networks: [hq]
exemptions:
  - {ban: our-rule, device: lab-07, until: 2023-06-30, reason: research, approved_by: CISO}
search_suffixes: [localdomain, Corp.Example., example]
incidents: {quiet_gap: 2h}
outputs: []
sensor: {name: probe-1}
"""
        )
    )
    assert config.path == "netwatch.yaml"
    assert len(config.networks) == 3
    assert config.devices.find("lab-07") is not None
    assert config.learn == ("dhcp", "mdns")
    (ban,) = config.policy.bans
    assert (ban.id, ban.networks, ban.timezone) == ("our-rule", {"hq"}, "Europe/Brussels")
    assert config.policy.exemptions == (
        Exemption("our-rule", "lab-07", None, datetime.date(2023, 6, 30), "research", "CISO"),
    )
    assert config.search_suffixes == ("corp.example", "localdomain", "example")
    assert config.quiet_gap == 2 * HOUR
    assert config.sensor_name == "probe-1"
    assert config.notes == ()


def test_can_be_sent_to_another_process():
    config = pickle.loads(pickle.dumps(load(write(f"bans: [{BAN}]"))))
    assert config.policy.bans[0].id == "our-rule"
    assert config.catalog.match("www.tiktok.com").app.id == "tiktok"


def test_where_a_configuration_is_searched_for():
    write("sensor: {name: system}", "etc/netwatch.yaml")
    Path("etc/signatures").symlink_to(Path("signatures").absolute())
    assert load().sensor_name == "system"
    write("sensor: {name: here}")
    assert load().sensor_name == "here"
    write("sensor: {name: named}", "other.yaml")
    assert load("other.yaml").sensor_name == "named"


def test_paths_count_from_the_file(folder):
    Path("site").mkdir()
    Path("site/devices.csv").write_text("id,ip\na,10.0.0.1\n")
    Path("site/signatures").symlink_to(folder / "signatures")
    write("devices: {inventory: devices.csv}", "site/netwatch.yaml")
    assert load("site/netwatch.yaml").devices.find("a") is not None


def test_load_catalog_reads_the_signatures_alone():
    assert list(load_catalog(write("networks: [nonsense]")).apps()) == ["tiktok"]
    Path("signatures/tiktok.yaml").write_text("app: tiktok\n")
    with pytest.raises(ConfigError) as caught:
        load_catalog("netwatch.yaml")
    assert caught.value.problems[0].file.endswith("signatures/tiktok.yaml")


def test_the_shipped_signatures_are_the_default():
    Path("netwatch.yaml").write_text("version: 1\n")
    assert len(load_catalog().apps()) > 10


def test_metrics():
    assert load(write("")).metrics is None
    plain = load(write("metrics: {listen: 127.0.0.1:9477}")).metrics
    assert plain == EndpointOptions(("127.0.0.1", 9477), Thresholds(60, 60, 300))
    text = "metrics: {listen: '[::1]:80', silence: 1h, dropping: 10s, stuck: 2m}"
    assert load(write(text)).metrics == EndpointOptions(("::1", 80), Thresholds(3600, 10, 120))
    hosts = load(write("metrics: {listen: ':80', hosts: [probe.example.org]}")).metrics
    assert hosts == EndpointOptions(("127.0.0.1", 80), hosts=("probe.example.org",))


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("www.tiktok.com.corp.example", "www.tiktok.com"),
        ("www.tiktok.com.lab.corp.example", "www.tiktok.com"),
        ("www.tiktok.com.notcorp.example", "www.tiktok.com.notcorp.example"),
        ("www.tiktok.com", "www.tiktok.com"),
        ("corp.example", "corp.example"),
        ("", ""),
    ],
)
def test_search_suffixes_are_stripped(name, bare):
    config = load(write("search_suffixes: [corp.example, .lab.corp.example]"))
    assert config.strip_search_suffix(name) == bare


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("1s", 10**9), ("90s", 90 * 10**9), ("30m", HOUR // 2), ("2h", 2 * HOUR), ("1d", 24 * HOUR)],
)
def test_quiet_gap(text, nanoseconds):
    assert load(write(f"incidents: {{quiet_gap: {text}}}")).quiet_gap == nanoseconds


def test_empty_lists_are_noted():
    config = load(write("networks: []\nbans: []"))
    assert (len(config.networks), config.policy.bans) == (0, ())
    assert len(config.notes) == 2


@pytest.mark.parametrize(
    ("device", "spelled"),
    [
        ("lab-07", "lab-07"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("02-00-00-00-00-0A", "02:00:00:00:00:0a"),
    ],
)
def test_the_device_of_an_exemption_is_normalised(device, spelled):
    Path("devices.csv").write_text("id,ip\nlab-07,10.20.0.7\n")
    config = load(
        write(
            f"networks: []\ndevices: {{inventory: devices.csv}}\nbans: [{BAN}]\n"
            f"exemptions: [{{ban: our-rule, device: '{device}'}}]"
        )
    )
    assert config.policy.exemptions[0].device == spelled
    assert len(config.notes) == 1


def test_an_exemption_of_an_unknown_device_is_noted():
    Path("devices.csv").write_text("id,ip\nlab-07,10.20.0.7\n")
    config = load(
        write(
            f"networks: []\ndevices: {{inventory: devices.csv}}\nbans: [{BAN}]\n"
            "exemptions: [{ban: our-rule, device: lab-08}]"
        )
    )
    assert config.notes[-1] == (
        "exemption of 'lab-08': no device of the inventory has this id, so it never applies;"
        " did you mean 'lab-07'?"
    )


NETWORKS = "networks: [{name: hq, cidrs: [10.0.0.0/8], class: service}]\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("netwroks: []", "netwatch.yaml:3: unknown key 'netwroks' in the configuration"),
        ("bans: []\nbans: []", "netwatch.yaml:4: duplicate key 'bans' (first on line 3)"),
        (
            "networks:\n- {name: a, cidrs: [10.0.0.0/8], class: service}\n"
            "- {name: b, cidrs: [10.0.0.0/8], class: guest}",
            "netwatch.yaml:5: duplicate range 10.0.0.0/8 (first in network 'a' on line 4",
        ),
        (
            "networks:\n- {name: a, cidrs: [10.0.0.0/8], class: service}\n"
            "- {name: a, cidrs: [11.0.0.0/8], class: service}",
            "netwatch.yaml:5: duplicate network 'a' (first on line 4)",
        ),
        (
            "networks:\n- {name: a, cidrs: [10.20.1.0/16], class: service}",
            "netwatch.yaml:4: 'cidrs': expected a range of addresses like 10.20.0.0/16, found"
            " '10.20.1.0/16', which has bits set behind its prefix; did you mean '10.20.0.0/16'?",
        ),
        (
            "networks:\n- {name: a, vlans: [4095], class: service}",
            "netwatch.yaml:4: 'vlans': expected a number from 1 to 4094",
        ),
        (
            "networks:\n- {name: a, vlans: [1], class: secret}",
            "netwatch.yaml:4: 'class': expected one of service, personal",
        ),
        (
            "bans:\n- {id: r, authority: City, apps: [tictok]}",
            "netwatch.yaml:4: expected an app id, vendor:… or category:… (see netwatch signatures"
            " list), found unknown app 'tictok'; did you mean 'tiktok'?",
        ),
        ("bans:\n- {id: r, authority: C, apps: [tiktok], forbids: [servers]}", "netwatch.yaml:4: "),
        ("bans:\n- {pack: be-fed-tiktok-2032}", "netwatch.yaml:4: expected the id of"),
        (
            "bans:\n- {id: r, autority: City, apps: [tiktok], authority: C}",
            "netwatch.yaml:4: unkno",
        ),
        (
            f"bans:\n- {BAN}\n- {BAN}",
            "netwatch.yaml:5: duplicate ban 'our-rule' (first on line 4)",
        ),
        (
            f"bans: [{BAN}, {BAN}]",
            "netwatch.yaml:3: duplicate ban 'our-rule' (first on line 3)",
        ),
        (
            NETWORKS + "bans:\n- {id: r, authority: C, apps: [tiktok],\n   networks: [hqq]}",
            "netwatch.yaml:6: 'networks': expected the name of a network of this configuration,"
            " found 'hqq'; did you mean 'hq'?",
        ),
        (
            f"bans:\n- {BAN}\nexemptions:\n- {{ban: out-rule, device: 10.0.0.1}}",
            "netwatch.yaml:6: 'ban': expected the id of a ban of this configuration, found"
            " 'out-rule'; did you mean 'our-rule'?",
        ),
        (
            f"bans:\n- {BAN}\nexemptions:\n- {{ban: our-rule}}",
            "netwatch.yaml:6: an exemption needs 'device': expected an id of the inventory",
        ),
        (
            f"bans:\n- {BAN}\nexemptions:\n- {{device: 10.0.0.1}}",
            "netwatch.yaml:6: an exemption needs 'ban': expected the id of a ban",
        ),
        (
            f"bans:\n- {BAN}\nexemptions:\n- {{ban: our-rule, device: 10.0.0.1, from: 2023-02-02,\n"
            "   until: 2023-02-01}",
            "netwatch.yaml:7: 'until': expected a day not before 'from' (2023-02-02), found",
        ),
        (
            f"bans:\n- {BAN}\nexemptions:\n- {{ban: our-rule, device: 10.0.0.1, until: June}}",
            "netwatch.yaml:6: 'until': expected a date as YYYY-MM-DD, found 'June'",
        ),
        (
            f"bans:\n- {BAN}\nexemptions:\n- {{ban: our-rule, device: 10.0.0.1, apps: [x]}}",
            "netwatch.yaml:6: expected an app id",
        ),
        (
            f"bans:\n- {BAN}\nexemptions:\n- {{ban: our-rule, device: 10.0.0.1, by: CISO}}",
            "netwatch.yaml:6: unknown key 'by' in an exemption",
        ),
        ("devices: {inventory: none.csv}", "none.csv: the inventory cannot be read: No such file"),
        (
            "devices: {learn: [arp, lldp]}",
            "netwatch.yaml:3: 'learn': expected one of dhcp, mdns, arp, found 'lldp'",
        ),
        ("devices: {file: x}", "netwatch.yaml:3: unknown key 'file' in devices"),
        (
            "geoip: {asn: none.mmdb}",
            "none.mmdb: cannot be read: No such file or directory; expected",
        ),
        ("geoip: {city: x}", "netwatch.yaml:3: unknown key 'city' in geoip"),
        (
            "sinkholes: [10.20.0.80, filter.example]",
            "netwatch.yaml:3: 'sinkholes': expected a range of addresses like 10.20.0.0/16, found"
            " 'filter.example'",
        ),
        ("sinkholes: [10.20.0.80/16]", "netwatch.yaml:3: 'sinkholes': expected a range"),
        ("sinkholes: 10.20.0.80", "netwatch.yaml:3: 'sinkholes': expected a list"),
        ("search_suffixes: [a b]", "netwatch.yaml:3: 'search_suffixes': expected a domain name"),
        ("search_suffixes: ['.']", "netwatch.yaml:3: 'search_suffixes': expected a domain name"),
        (
            "incidents: {quiet_gap: 30}",
            "netwatch.yaml:3: 'quiet_gap': expected a time like 90s, 30m, 2h or 1d, found 30",
        ),
        ("metrics: {}", "netwatch.yaml:3: metrics needs 'listen'"),
        (
            "metrics: {listen: ':1', hosts: ['probe.example.org:1']}",
            "netwatch.yaml:3: 'hosts': expected a host name without a port",
        ),
        (
            "metrics: {listen: 9477}",
            "netwatch.yaml:3: 'listen': expected an address and port like 127.0.0.1:9477",
        ),
        (
            "metrics: {listen: ':1', silence: 5}",
            "netwatch.yaml:3: 'silence': expected a time",
        ),
        ("metrics: {listen: ':1', path: /m}", "netwatch.yaml:3: unknown key 'path' in metrics"),
        ("incidents: {quiet_gap: 0m}", "netwatch.yaml:3: 'quiet_gap': expected a time"),
        (
            "incidents: {unknown_clients: 0}",
            "netwatch.yaml:3: 'unknown_clients': expected a number from 1 to 1,000,000, found 0",
        ),
        ("incidents: {unknown_clients: yes}", "netwatch.yaml:3: 'unknown_clients': expected a"),
        ("incidents: {quiet: 1m}", "netwatch.yaml:3: unknown key 'quiet' in incidents"),
        (
            "outputs:\n- {type: file}",
            "netwatch.yaml:4: an output needs 'path': expected the file to append to",
        ),
        ("outputs: all", "netwatch.yaml:3: 'outputs': expected a list, found 'all'"),
        ("sensor: {nmae: x}", "netwatch.yaml:3: unknown key 'nmae' in sensor"),
        (
            "sensor: probe",
            "netwatch.yaml:3: 'sensor': expected a mapping (key: value), found 'probe'",
        ),
    ],
)
def test_each_mistake_has_file_and_line(text, expected):
    problems = messages(text)
    assert len(problems) == 1
    assert problems[0].startswith(expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "x.yaml: expected a mapping (key: value), found an empty file"),
        ("- 1\n", "x.yaml:1: expected a mapping (key: value), found a list"),
        ("version: 2\n", "x.yaml:1: 'version': expected 1, found 2"),
        ("version: true\n", "x.yaml:1: 'version': expected 1, found true"),
        ("sensor: {name: x}\n", "x.yaml:1: the configuration needs 'version': expected 1"),
        (
            "version: 1\nsignatures: []\n",
            "x.yaml:2: 'signatures': expected builtin or a path, found an empty list",
        ),
        (
            "version: 1\nsignatures: [none]\n",
            "none: expected a file or folder of signatures, found nothing",
        ),
        ("version: 1\nbans: [\n", "x.yaml:3: is not valid YAML"),
        ("a: &x 1\nb: *x\n", "x.yaml:2: expected values written out, found an alias"),
    ],
)
def test_mistakes_at_the_top(content, expected):
    Path("x.yaml").write_text(content)
    with pytest.raises(ConfigError) as caught:
        load("x.yaml")
    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith(expected)


def test_a_named_configuration_must_exist():
    with pytest.raises(ConfigError, match=r"^none\.yaml: cannot be read: No such file"):
        load("none.yaml")
    with pytest.raises(ConfigError, match=r"^none\.yaml: cannot be read: No such file"):
        load_catalog("none.yaml")


def test_a_configuration_that_may_not_be_read():
    write("")
    Path("netwatch.yaml").chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything
    try:
        with pytest.raises(ConfigError, match="Permission denied"):
            load("netwatch.yaml")
    finally:
        os.seteuid(user)


def test_all_mistakes_in_all_files_are_reported_at_once():
    Path("devices.csv").write_text("id,ip\na,b\n")
    problems = messages(
        "networks:\n- {name: a, cidrs: [10.0.0.1/8], class: service}\n"
        "devices: {inventory: devices.csv}\n"
        f"bans:\n- {BAN}\n- {{id: r, authority: C, apps: [wechat]}}\n"
        "exemptions:\n- {ban: q, device: 10.0.0.1}\n"
        "geoip: {asn: none.mmdb}\n"
        "colour: red\n"
    )
    assert [problem.partition(" ")[0] for problem in problems] == [
        "devices.csv:2:",
        "netwatch.yaml:4:",
        "netwatch.yaml:8:",
        "netwatch.yaml:10:",
        "netwatch.yaml:12:",
        "none.mmdb:",
    ]


def test_an_exemption_from_a_ban_with_a_mistake_is_not_a_mistake():
    problems = messages(
        "bans:\n- {id: r, authority: C, apps: [wechat]}\nexemptions:\n- {ban: r, device: 10.0.0.1}"
    )
    assert len(problems) == 1


def test_packs_may_be_changed_and_limited_to_networks():
    Path("netwatch.yaml").write_text(
        "version: 1\n"
        + NETWORKS
        + "bans: [{pack: be-fed-tiktok-2023, severity: low, min_confidence: confirmed,"
        " networks: [hq]}]\n"
        "exemptions: [{ban: be-fed-tiktok-2023, device: 10.0.0.1}]\n"
    )
    (ban,) = load().policy.bans
    assert (ban.start, ban.timezone) == (datetime.date(2023, 3, 10), "Europe/Brussels")
    assert (ban.severity, ban.min_confidence, ban.networks) == ("low", "confirmed", {"hq"})


def test_a_mistake_does_not_hide_others_in_the_same_entry():
    """A network, ban, exemption, output or device with a mistake still counts as present: its name,
    its ranges and its references are checked as well."""
    Path("devices.csv").write_text("id,ip,class\na,10.0.0.300,servce,x,y\na,10.0.0.1,,\n")
    found = messages(
        f"""networks:
  - {{name: a, class: servce, cidrs: [10.0.0.0/8], vlan: 3}}
  - {{name: a, class: service, cidrs: [10.0.0.0/8]}}
  - {{name: b, class: guest, cidrs: [10.0.0.0/8, 10.0.0.1/8]}}
  - {{name: b, class: guest, vlans: [3, 9999, 1{"0" * 5000}-3]}}
devices: {{inventory: devices.csv}}
bans:
  - {{pack: nosuch, networks: [a, nowhere], severity: severe}}
  - {{id: x, networks: [nowhere], apps: [tiktok], review: soon}}
  - {{id: x, authority: City, networks: [c], apps: [tiktok], until: 2023-02-30}}
  - {{pack: nosuch}}
exemptions:
  - {{ban: y, apps: [nosuch], until: 2022-01-01, from: 2023-01-01}}
outputs:
  - {{type: http, url: x, token: {{env: NOT_SET}}, format: no}}
  - {{type: no, format: no}}
"""
    )
    expected = [
        "devices.csv:2: 'class': expected one of",
        "devices.csv:2: 'ip': expected IP addresses",
        "devices.csv:2: expected at most 3 values",
        "netwatch.yaml:4: 'class': expected one of",
        "netwatch.yaml:4: unknown key 'vlan'",
        "netwatch.yaml:5: duplicate network 'a' (first on line 4)",
        "netwatch.yaml:5: duplicate range 10.0.0.0/8 (first in network 'a' on line 4",
        "netwatch.yaml:6: 'cidrs': expected a range",
        "netwatch.yaml:7: 'vlans': expected a number from 1 to 4094",
        "netwatch.yaml:7: 'vlans': expected a number from 1 to 4094",
        "netwatch.yaml:7: duplicate network 'b' (first on line 6)",
        "netwatch.yaml:10: 'networks': expected the name of a network",
        "netwatch.yaml:10: 'severity': expected one of",
        "netwatch.yaml:10: expected the id of a shipped ban",
        "netwatch.yaml:11: 'networks': expected the name of a network",
        "netwatch.yaml:11: 'review': expected a date",
        "netwatch.yaml:11: a ban needs 'authority'",
        "netwatch.yaml:12: 'networks': expected the name of a network",
        "netwatch.yaml:12: duplicate ban 'x' (first on line 11)",
        "netwatch.yaml:12: expected a date: day is out of range",
        "netwatch.yaml:13: duplicate ban 'nosuch' (first on line 10)",
        "netwatch.yaml:13: expected the id of a shipped ban",
        "netwatch.yaml:15: 'ban': expected the id of a ban",
        "netwatch.yaml:15: 'until': expected a day not before",
        "netwatch.yaml:15: an exemption needs 'device'",
        "netwatch.yaml:15: expected an app id",
        "netwatch.yaml:17: 'format': expected one of",
        "netwatch.yaml:17: 'url': expected a URL",
        "netwatch.yaml:18: 'format': expected one of",
        "netwatch.yaml:18: 'type': expected one of",
    ]
    assert [text[: len(start)] for text, start in zip(found, expected, strict=True)] == expected


def test_a_secret_that_cannot_be_read_is_a_mistake_on_request(monkeypatch):
    monkeypatch.delenv("NETWATCH_TEST_TOKEN", raising=False)
    Path("empty").write_text("")
    name = write(
        """outputs:
  - {type: http, url: "https://siem.example/", token: {env: NETWATCH_TEST_TOKEN}}
  - {type: splunk_hec, url: "https://siem.example/", token: {file: empty}, more: 1}
"""
    )
    text = Path(name).read_text()
    Path(name).write_text(text.replace(", more: 1", ""))
    assert len(load(name).outputs) == 2
    Path(name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(name, with_secrets=True)
    first, *others = map(str, caught.value.problems)
    variable = "the environment variable NETWATCH_TEST_TOKEN is not set"
    assert first == f"netwatch.yaml:4: output 'http': {variable}"
    assert [text[:40] for text in others] == [
        "netwatch.yaml:5: output 'splunk_hec': th",
        "netwatch.yaml:5: unknown key 'more' in a",
    ]
    monkeypatch.setenv("NETWATCH_TEST_TOKEN", "secret")
    Path("empty").write_text("secret")
    Path(name).write_text(text.replace(", more: 1", ""))
    assert len(load(name, with_secrets=True).outputs) == 2


def test_versions_change_with_what_they_are_of():
    def versions(text):
        sensor = load(write(NETWORKS + text)).sensor
        return sensor.signatures, sensor.bans, sensor.policy

    ban = "bans: [{id: r, authority: C, apps: [tiktok]%s}]\n"
    plain, again = versions(ban % ""), versions(ban % "")
    later, renamed = versions(ban % ", until: 2030-01-01"), versions(ban % "" + "sensor: {name: x}")
    assert plain == again
    assert later[0] == plain[0]
    assert later[1] != plain[1]
    assert later[2] != plain[2]
    assert renamed[:2] == plain[:2]
    assert renamed[2] != plain[2]
    exempt = ban % "" + "exemptions: [{ban: r, device: 10.0.0.1}]\n"
    assert versions(exempt)[1] != plain[1]
