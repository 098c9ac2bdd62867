"""The devices of a NetBox, from a server that speaks its API."""

import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from support.netbox import TOKEN, Netbox, address, device, interface, serving_netbox

from netwatch.core.addresses import ip_text, mac_text
from netwatch.core.errors import NetwatchError
from netwatch.inventory.netbox_objects import KINDS, NetboxRegister, read_page
from netwatch.inventory.registered import ClassRule, Registered
from netwatch.refresh import netbox as client
from netwatch.refresh.netbox import read_netbox
from netwatch.refresh.options import NetboxHttp, NetboxSource
from netwatch.sinks.options import TlsOptions
from netwatch.sinks.secrets import Secret

RULES = (
    ClassRule("personal", (("tag", ("byod",)),)),
    ClassRule("infrastructure", (("role", ("switch", "router")),)),
    ClassRule("service", (("site", ("hq",)), ("type", ("lap*",)))),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Netbox]:
    with serving_netbox() as netbox:
        yield netbox


@pytest.fixture
def netbox(server: Netbox, monkeypatch: pytest.MonkeyPatch) -> Netbox:
    server.reset()
    monkeypatch.setenv("NETBOX_TOKEN", TOKEN)
    server.lists = {"dcim/devices": [], "dcim/interfaces": [], "ipam/ip-addresses": []}
    return server


def source(netbox: Netbox, **changes: Any) -> NetboxSource:
    http = NetboxHttp(url=netbox.url, timeout=20)
    token = Secret("NETBOX_TOKEN", None)
    made = NetboxSource(url=netbox.url, http=http, token=token, kinds=("devices",), rules=RULES)
    return replace(made, **changes)


def shown(found: list[Registered]) -> dict[str, tuple[str, ...]]:
    return {
        each.id: (
            " ".join(map(mac_text, each.macs)),
            " ".join(map(ip_text, each.ips)),
            each.hostname,
            each.owner,
            each.device_class or "",
        )
        for each in found
    }


def test_devices_with_their_interfaces_and_addresses(netbox: Netbox) -> None:
    netbox.lists = {
        "dcim/devices": [
            device(1, "ws-021", tenant={"id": 1, "name": "Finance", "slug": "finance"}),
            device(2, "Switch, floor 2", role={"id": 3, "slug": "switch"}),
            device(3, None, tags=[{"id": 1, "name": "BYOD", "slug": "byod"}]),
            device(
                4,
                "Old role",
                role=None,
                device_role={"slug": "router"},
                primary_ip={"id": 9, "address": "10.0.0.1/24", "dns_name": "gw.city.example"},
            ),
        ],
        "dcim/interfaces": [
            interface(11, 1, "02:00:00:00:00:01"),
            interface(
                12,
                1,
                "02:00:00:00:00:02",
                mac_addresses=[
                    {"id": 1, "mac_address": "02:00:00:00:00:02"},
                    {"id": 2, "mac_address": "02:00:00:00:00:03"},
                ],
            ),
            interface(21, 2, None),
            interface(31, 3, "02:00:00:00:00:31"),
        ],
        "ipam/ip-addresses": [
            address(1, "10.0.0.21/24", 11),
            address(2, "2001:db8::21/64", 12, status={"value": "slaac", "label": "SLAAC"}),
            address(3, "10.0.0.22/24", 11, status={"value": "dhcp", "label": "DHCP"}),
            address(4, "10.0.0.254/24", 21, role={"value": "vrrp", "label": "VRRP"}),
            address(5, "10.0.0.2/24", 21),
            address(6, "10.0.0.3/24", None),
            address(7, "10.0.0.4/24", 11, assigned_object_type="virtualization.vminterface"),
        ],
    }
    assert shown(read_netbox(source(netbox))) == {
        "ws-021": (
            "02:00:00:00:00:01 02:00:00:00:00:02 02:00:00:00:00:03",
            "10.0.0.21 2001:db8::21",
            "ws-021",
            "Finance",
            "service",
        ),
        "Switch, floor 2": ("", "10.0.0.2", "", "", "infrastructure"),
        "netbox-3": ("02:00:00:00:00:31", "", "", "", "personal"),
        "Old role": ("", "", "gw.city.example", "", "infrastructure"),
    }
    assert netbox.authorization == f"Token {TOKEN}"
    assert "exclude=config_context" in netbox.requests[0]


def test_virtual_machines_filters_owners_and_tokens_of_version_two(
    netbox: Netbox, tmp_path: Path
) -> None:
    machine = device(1, "vm-1", custom_fields={"contact": {"id": 1, "display": "Ada"}})
    netbox.lists = {
        "dcim/devices": [device(1, "ws-1"), device(2, "ws-2", status={"value": "planned"})],
        "virtualization/virtual-machines": [machine],
        "virtualization/interfaces": [
            {"id": 11, "virtual_machine": {"id": 1}, "mac_address": "02:00:00:00:00:11"}
        ],
        "dcim/interfaces": [],
        "ipam/ip-addresses": [
            address(1, "10.0.0.1/24", 11, assigned_object_type="virtualization.vminterface")
        ],
    }
    token = tmp_path / "token"
    token.write_text("nbt_key.secret\n")
    wanted = source(
        netbox,
        token=Secret("", token),
        kinds=("devices", "virtual_machines"),
        filters=(("status", "active"), ("status", "offline")),
        owner="custom_fields.contact",
        rules=(),
    )
    assert shown(read_netbox(wanted)) == {
        "ws-1": ("", "", "ws-1", "", ""),
        "vm-1": ("02:00:00:00:00:11", "10.0.0.1", "vm-1", "Ada", ""),
    }
    assert netbox.authorization == "Bearer nbt_key.secret"


@pytest.mark.parametrize("most", [2, 3, 7, 500])
def test_lists_are_read_in_parts_as_large_as_the_server_gives(netbox: Netbox, most: int) -> None:
    netbox.max_part = most
    netbox.lists["dcim/devices"] = [device(n, f"ws-{n}") for n in range(1, 121)]
    netbox.lists["dcim/interfaces"] = [
        interface(1000 + n, n, f"02:00:00:00:00:{n:02x}") for n in range(1, 121)
    ]
    found = read_netbox(source(netbox))
    assert len(found) == 120
    assert {len(each.macs) for each in found} == {1}
    assert not any("attacker" in target for target in netbox.requests)


def test_a_list_that_changes_meanwhile_is_read_again(netbox: Netbox) -> None:
    netbox.max_part = 3
    devices = netbox.lists["dcim/devices"] = [device(n, f"ws-{n}") for n in range(1, 10)]
    asked = []

    def answer(path: str, query: dict[str, list[str]]) -> None:
        asked.append(path)
        # One is removed and another one added, so that the count is the same.
        if len(asked) == 2:
            devices[:] = [*devices[1:], device(20, "ws-20")]

    netbox.answer = answer
    assert [each.id for each in read_netbox(source(netbox))] == [
        *(f"ws-{n}" for n in range(2, 10)),
        "ws-20",
    ]


def test_a_list_that_never_rests_is_an_error(netbox: Netbox) -> None:
    netbox.max_part = 3
    devices = netbox.lists["dcim/devices"] = [device(n, f"ws-{n}") for n in range(1, 10)]
    netbox.answer = lambda path, query: devices.append(device(len(devices) + 1, "new"))
    with pytest.raises(NetwatchError, match="the list dcim/devices changes while it is read"):
        read_netbox(source(netbox))


def body(**values: Any) -> bytes:
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((302, {"Location": "http://attacker.example/"}, b""), "redirection .* is not followed"),
        ((500, {}, b"oops"), "HTTP 500 Internal Server Error: oops"),
        ((404, {}, b""), "is 'url' the address of NetBox"),
        ((200, {}, b"<html>"), "expected JSON"),
        ((200, {}, b"[" * 100_000), "expected JSON"),
        ((200, {}, b"[]"), "expected a list of the API"),
        ((200, {}, body(count=True, results=[])), "expected a list of the API"),
        ((200, {}, body(count=1, results=[1])), "expected a list of the API"),
        ((200, {}, body(count=1, results=[{}])), "expected an object with an 'id', found nothing"),
        ((200, {}, body(count=1, results=[{"id": -1}])), "expected an object with an 'id'"),
        ((200, {}, body(count=2, results=[{"id": 2}, {"id": 1}])), "in order of their id"),
        ((200, {}, body(count=5, results=[])), "expected 5 objects, found 0"),
        ((200, {}, body(count=10**9, results=[])), "expected at most 1,000,000 objects"),
        ((200, {}, b" " * (17 << 20)), "more than 16,777,216 bytes"),
        ((200, {"Content-Length": "0"}, b""), "expected JSON"),
    ],
)
def test_an_answer_that_is_none_is_an_error(netbox: Netbox, answer: Any, message: str) -> None:
    netbox.answer = lambda path, query: answer
    with pytest.raises(NetwatchError, match=message):
        read_netbox(source(netbox))


def test_the_token_is_never_shown(netbox: Netbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETBOX_TOKEN", "wrong-token-of-somebody")
    with pytest.raises(NetwatchError, match="HTTP 403 Forbidden") as raised:
        read_netbox(source(netbox))
    assert "somebody" not in str(raised.value)
    assert "may the token read" in str(raised.value)
    monkeypatch.delenv("NETBOX_TOKEN")
    with pytest.raises(NetwatchError, match="NETBOX_TOKEN is not set"):
        read_netbox(source(netbox))


def test_all_requests_share_one_deadline(netbox: Netbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_NETBOX_SECONDS", 0.3)
    netbox.max_part = 2
    netbox.lists["dcim/devices"] = [device(n, f"ws-{n}") for n in range(1, 60)]
    netbox.answer = lambda path, query: time.sleep(0.05)
    with pytest.raises(NetwatchError, match=r"no answer within|timed out"):
        read_netbox(source(netbox))
    assert len(netbox.requests) < 15


def test_the_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETBOX_TOKEN", TOKEN)
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with serving_netbox(context) as netbox:
        netbox.lists = {"dcim/devices": [device(1, "ws-1")]}
        netbox.lists |= {"dcim/interfaces": [], "ipam/ip-addresses": []}
        with pytest.raises(NetwatchError, match="certificate rejected"):
            read_netbox(source(netbox))
        assert netbox.requests == []
        http = NetboxHttp(url=netbox.url, timeout=20, tls=TlsOptions(ca=tmp_path / "ca.pem"))
        assert [each.id for each in read_netbox(source(netbox, http=http))] == ["ws-1"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["id", "name", "device", "mac_address", "mac_addresses", "address", "status", "value",
             "tags", "slug", "tenant", "assigned_object_type", "assigned_object_id", "role"]
        ),
        inner,
        max_size=6,
    ),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_any_object_is_a_device_or_an_error(value: Any) -> None:
    register = NetboxRegister(KINDS["devices"], RULES, "tenant")
    mistake = "expected"
    try:
        page = read_page(json.dumps({"count": 1, "results": [value]}).encode())
        register.add_devices(map(register.device, page.objects))
        register.add_interfaces(map(register.interface, page.objects))
        register.add_addresses(map(register.address, page.objects))
    except NetwatchError as error:
        mistake = str(error)
    assert "expected" in mistake
    assert all(each.id for each in register.devices())


@given(st.binary())
def test_any_answer_is_a_part_of_a_list_or_an_error(raw: bytes) -> None:
    with pytest.raises(NetwatchError, match="expected"):
        read_page(raw)
