import contextlib
import os
import pickle
import subprocess
import sys
from ipaddress import ip_address

import maxminddb
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from support.examples import examples
from support.paths import PCAPS

from netwatch.cli import main
from netwatch.core.errors import ConfigError, Problem
from netwatch.inventory import geo as geo_module
from netwatch.inventory.geo import Geo


def write(path, kind, records):
    writer = MMDBWriter(ip_version=6, ipv4_compatible=True, database_type=kind, int_type="u32")
    for span, record in records.items():
        writer.insert_network(IPSet([span]), record)
    writer.to_db_file(str(path))
    return path


def system(number, name):
    return {"autonomous_system_number": number, "autonomous_system_organization": name}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("geo")


@pytest.fixture(scope="module")
def asn(folder):
    records = {
        "192.0.2.0/24": system(138699, "TIKTOK PTE. LTD."),
        "203.0.113.16/28": system(64496, "Example"),
        "2001:db8:1::/48": system(396986, "Bytedance Inc."),
    }
    return write(folder / "asn.mmdb", "GeoLite2-ASN", records)


@pytest.fixture(scope="module")
def country(folder):
    records = {
        "192.0.2.0/25": {"country": {"iso_code": "SG", "names": {"en": "Singapore"}}},
        "198.51.100.0/24": {"country": {"iso_code": "BE"}},
    }
    return write(folder / "country.mmdb", "GeoLite2-Country", records)


@pytest.fixture
def geo(asn, country):
    opened = Geo(asn, country)
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("ip", "place"),
    [
        ("192.0.2.1", (138699, "TIKTOK PTE. LTD.", "SG")),
        ("192.0.2.200", (138699, "TIKTOK PTE. LTD.", None)),
        ("198.51.100.7", (None, None, "BE")),
        ("203.0.113.1", (None, None, None)),
        ("2001:db8:1::5", (396986, "Bytedance Inc.", None)),
        ("2001:db8:2::5", (None, None, None)),
    ],
)
def test_lookup(geo, ip, place):
    assert geo.lookup(ip) == place
    assert geo.lookup(ip_address(ip).packed) == place


def test_one_database_or_none_is_enough(asn, country):
    only_asn, only_country = Geo(asn), Geo(None, country)
    assert only_asn.lookup("192.0.2.1") == (138699, "TIKTOK PTE. LTD.", None)
    assert only_country.lookup("192.0.2.1") == (None, None, "SG")
    assert Geo().lookup("192.0.2.1") == (None, None, None)
    only_asn.close()
    only_country.close()


@pytest.mark.parametrize("kind", ["DBIP-ASN-Lite (compat=GeoLite2-ASN)", "GeoIP2-ISP"])
def test_other_databases_of_systems(folder, kind):
    path = write(folder / f"{kind[:6]}.mmdb", kind, {"192.0.2.0/24": system(64500, "Example")})
    geo = Geo(path)
    assert geo.lookup("192.0.2.1")[:2] == (64500, "Example")
    geo.close()


@pytest.mark.parametrize("kind", ["GeoLite2-City", "GeoIP2-Enterprise"])
def test_other_databases_of_countries(folder, kind):
    record = {"country": {"iso_code": "BE"}, "city": {"names": {"en": "Brussels"}}}
    geo = Geo(None, write(folder / f"{kind}.mmdb", kind, {"192.0.2.0/24": record}))
    assert geo.lookup("192.0.2.1")[2] == "BE"
    geo.close()


def test_a_record_without_values_gives_nothing(folder):
    path = write(folder / "bare.mmdb", "GeoLite2-Country", {"192.0.2.0/24": {"continent": {}}})
    geo = Geo(None, path)
    assert geo.lookup("192.0.2.1") == (None, None, None)
    geo.close()


def problems_of(*paths):
    with pytest.raises(ConfigError) as caught:
        Geo(*paths).check()
    return caught.value.problems


def test_an_absent_database_is_reported(folder):
    path = folder / "none.mmdb"
    assert problems_of(path) == [
        Problem(
            str(path),
            0,
            0,
            "cannot be read: No such file or directory;"
            " expected a MaxMind-format database of type ASN or ISP",
        )
    ]


def test_a_folder_is_reported(folder):
    (problem,) = problems_of(None, folder)
    assert problem.file == str(folder)
    assert problem.message.startswith(
        "cannot be read: expected a file, found a folder; expected a MaxMind-format database of"
    )


def test_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "pipe")
    (problem,) = problems_of(folder / "pipe", None)
    assert problem.message.startswith("cannot be read: expected a file, found a pipe; expected")


@pytest.mark.parametrize("content", [b"", b"not a database", bytes(5000)])
def test_a_file_that_is_not_a_database_is_reported(folder, content):
    path = folder / "bad.mmdb"
    path.write_bytes(content)
    (problem,) = problems_of(None, path)
    assert problem.message == (
        "'country': expected a MaxMind-format database of type Country or City or Enterprise,"
        " found another or a damaged file"
    )


def test_swapped_databases_are_both_reported(asn, country):
    first, second = problems_of(country, asn)
    assert first.file == str(country)
    assert first.message.startswith("'asn': expected")
    assert first.message.endswith("found type 'GeoLite2-Country'")
    assert second.message.startswith("'country': expected")
    assert second.message.endswith("found type 'GeoLite2-ASN'")


def test_lookup_without_check_raises_too(folder):
    with pytest.raises(ConfigError):
        Geo(folder / "none.mmdb").lookup("192.0.2.1")


def test_can_be_sent_to_another_process(geo):
    geo.check()
    copy = pickle.loads(pickle.dumps(geo))
    assert copy.lookup("192.0.2.1") == geo.lookup("192.0.2.1")
    copy.close()


def test_the_cache_is_bounded(geo, monkeypatch):
    monkeypatch.setattr(geo_module, "CACHE_LIMIT", 2)
    for low in range(5):
        assert geo.lookup(f"192.0.2.{low}")[0] == 138699
    assert len(geo._cache) <= 2


@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_anywhere_is_reported_or_counted(asn, tmp_path, data):
    content = bytearray(asn.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.mmdb"
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    geo = Geo(path)
    with contextlib.suppress(ConfigError):
        geo.check()
        assert len(geo.lookup("192.0.2.1")) == 3
    geo.close()


def test_a_damaged_record_is_counted_and_said(asn, tmp_path, capsys):
    path = tmp_path / "damaged.mmdb"
    content = bytearray(asn.read_bytes())
    with maxminddb.open_database(asn) as reader:
        tree = reader.metadata()
    start = tree.node_count * tree.record_size // 4 + 16
    end = content.rindex(b"\xab\xcd\xefMaxMind.com")
    content[start:end] = b"\x3f" * (end - start)  # pointers to nowhere
    path.write_bytes(content)
    geo = Geo(path)
    assert geo.lookup("192.0.2.1") == (None, None, None)
    assert geo.damaged == 1
    geo.close()
    # Destinations of the capture, which has some of 203.0.113.16/28.
    site = tmp_path / "netwatch.yaml"
    text = (PCAPS / "netwatch.yaml").read_text()
    site.write_text(
        text.replace("devices.csv", str(PCAPS / "devices.csv")) + "geoip: {asn: damaged.mmdb}\n"
    )
    capsys.readouterr()
    assert main(["scan", "-v", "-c", str(site), str(PCAPS / "five-kinds.pcap")]) == 0
    assert "geo-record-damaged" in capsys.readouterr().err


def test_geoip2_is_imported_only_for_a_database(tmp_path):
    code = (
        "import sys; from netwatch.config import load; load().geo.lookup('192.0.2.1');"
        "print('geoip2' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("False\n", "")
