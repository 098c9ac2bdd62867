import csv
import io
from dataclasses import replace

import pytest
from support.made_records import ALERT, BARE, BLOCKED, EARLIER, FULL, FULL_ALERT, HOSTILE
from support.observing import batch_of, record_of

from netwatch.core.community_id import community_id
from netwatch.core.text import escaped
from netwatch.formats import csv as ours
from netwatch.formats import jsonl


def read(records, write):
    out = io.StringIO()
    writer = ours.CsvWriter(out)
    for record in records:
        getattr(writer, write)(batch_of(record) if write == "observations" else record)
    writer.end()
    text = out.getvalue()
    assert len(text.splitlines()) == len(records) + 1
    text.encode("utf-8")
    return list(csv.DictReader(io.StringIO(text), strict=True))


def test_observations():
    bare, full = read([BARE, FULL], "observations")
    assert {key: value for key, value in bare.items() if value} == {
        "time": "2023-03-10T00:00:00.123456Z",
        "evidence": "dns-query",
        "name": "tiktok.com",
        "client_ip": "10.20.0.7",
        "client_port": "53124",
        "server_ip": "192.0.2.53",
        "server_port": "53",
        "transport": "udp",
        "community_id": community_id(BARE.client_ip, BARE.server_ip, 53124, 53, 17),
        "source": "office.pcap",
        "packet": "17",
    }
    assert full["client_mac"] == "02:00:00:00:00:ab"
    assert full["vlan"] == "30"
    assert full["dns_answers"] == "192.0.2.1 192.0.2.2"
    assert full["dns_chain"] == "a.example b.example"
    assert full["tls_alpn"] == "h2 http/1.1"
    assert full["dns_ech_configs"] == "public.example/42/0011223344556677/300"
    assert full["tls_ech_config_id"] == "42"
    # What packets show has none of what logs and stores say.
    of_others = {key for key in full if key.startswith("log_")}
    of_others |= {"client_hostname", "client_network", "sensor"}
    assert {key for key, value in full.items() if not value} == of_others


def test_alerts():
    bare, full = read([ALERT, FULL_ALERT], "alert")
    assert bare["exemption_reason"] == bare["destinations"] == bare["first_source"] == ""
    assert bare["evidence_count"] == bare["counts_lookups"] == "0"
    assert full["app_name"] == "TikTok"
    assert full["ban_from"] == "2023-03-10"
    assert full["exemption_apps"] == "capcut tiktok"
    assert full["device_class"] == "service"
    assert full["network_vlan"] == "30"
    assert full["destinations"] == "192.0.2.80:443 [2001:db8::80]:443"
    assert full["names"] == "tiktok.com v16-webapp.tiktok.com"
    assert full["evidence"] == "tls-sni=v16-webapp.tiktok.com dns-query=tiktok.com"
    assert full["evidence_count"] == "5"
    assert full["evidence_seen"] == " ".join(
        ["server=false,directions=client,checksum=unknown"] * 2
    )
    assert full["candidates"] == "m.tiktok.com|www.tiktok.com"
    assert bare["candidates"] == ""
    assert (full["first_source"], full["first_packet"]) == ("office.pcap", "17")
    assert (full["versions_bans"], full["versions_configuration"]) == ("ba25", "c0ff")
    assert (full["versions_set_version"], full["versions_set_hash"]) == ("12", "0a1b2c3d4e5f")
    assert bare["versions_set_version"] == ""
    empty = {key for key, value in full.items() if not value}
    of_logs = {"first_log_format", "first_log_line", "first_log_lacks"}
    of_stores = {"unheard_since", "unheard_status"}
    of_stores |= {"triage_state", "triage_by", "triage_at"}
    of_floods = {"clients"}
    assert empty == {"ban_until", "ban_periods", "exemption_from", *of_logs, *of_stores, *of_floods}


@pytest.mark.parametrize(
    ("columns", "record"),
    [
        (ours.OBSERVATION_COLUMNS, record_of(FULL)),
        (ours.ALERT_COLUMNS, jsonl.alert_record(FULL_ALERT)),
    ],
)
def test_every_key_of_the_json_record_has_a_column(columns, record):
    assert set(leaves(record)) <= set(columns)


def leaves(record, path=""):
    for key, value in record.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{path}{key}_")
        else:
            yield f"{path}{key}"


def test_kind_and_outcome_keep_their_columns():
    (row,) = read([BLOCKED], "alert")
    first = list(row).index("kind_value")
    assert list(row)[first : first + 9] == [
        *("kind_value", "kind_reasons", "outcome", "blocked_by", "confidence_reasons"),
        *(f"counts_outcomes_{word}" for word in ("reached", "attempted", "blocked", "unknown")),
    ]
    assert list(row.values())[first : first + 9] == [
        *("lookup", "Only lookups, no handshake.", "blocked", "NXDOMAIN", ""),
        *("0", "0", "6", "6"),
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_one_cell_and_not_a_formula(text):
    name = text if text and text.isascii() else BARE.name
    (row,) = read([replace(BARE, name=name, source=text)], "observations")
    (alert,) = read([replace(FULL_ALERT, names=(text, "b"), evidence=(EARLIER,))], "alert")
    guard = "'" if text[:1] in ("=", "+", "-", "@", "\t", "\r") and text else ""
    assert row["source"] == guard + escaped(text)
    assert row["name"] == (guard + escaped(name) if name is text else BARE.name)
    assert alert["names"] == guard + escaped(f"{text} b")
    assert not row["name"].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_nothing_is_written_without_records():
    out = io.StringIO()
    ours.CsvWriter(out).end()
    assert out.getvalue() == ""


def test_stream_contains_one_kind_of_records():
    writer = ours.CsvWriter(io.StringIO())
    writer.alert(ALERT)
    with pytest.raises(ValueError, match="cannot share"):
        writer.observations(batch_of(BARE))
