"""Apps that hide others: their addresses, and the bans that cover them."""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import pytest

from netwatch.core.errors import ConfigError, Problem
from netwatch.core.flow import BYPASS_CATEGORIES
from netwatch.core.user_yaml import Fields, Problems
from netwatch.core.verdict import Ban
from netwatch.core.yaml_reader import parse_yaml
from netwatch.rules.bans import load_pack, read_ban
from netwatch.rules.catalog import Catalog
from netwatch.rules.load import load_signatures

Write = Callable[..., Path]

HIDING = {"encrypted-dns", "yandex-dns", "icloud-private-relay", "vpn", "tor"}


def packed(text: str) -> bytes:
    return ip_address(text).packed


def ban(text: str, catalog: Catalog) -> tuple[Ban | None, list[Problem]]:
    problems = Problems()
    mapping = parse_yaml(text, "netwatch.yaml", problems)
    assert mapping is not None
    found = read_ban(Fields(mapping, "netwatch.yaml", problems, "a ban"), catalog)
    return found, problems.found


# addresses


def test_addresses_belong_to_the_app(write: Write) -> None:
    rest = "addresses: [192.0.2.53, '2001:db8::53']\n"
    catalog = load_signatures(
        [write("clips", "suffix: clips.example, role: exclusive", rest=rest)], Path()
    )
    for address in ("192.0.2.53", "2001:db8::53"):
        app = catalog.apps_by_address().get(packed(address))
        assert app
        assert app.id == "clips"
    assert packed("192.0.2.54") not in catalog.apps_by_address()
    assert catalog.match("192.0.2.53") is None


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (
            "addresses:\n  - 192.0.2.0/24\n",
            "8: expected an IP address like 192.0.2.53 or 2001:db8::53, found '192.0.2.0/24'",
        ),
        (
            "addresses:\n  - dns.example\n",
            "8: expected an IP address like 192.0.2.53 or 2001:db8::53, found 'dns.example'",
        ),
        ("addresses:\n  - 17\n", "8: 'addresses': expected a list of texts, found 17"),
        ("addresses: 192.0.2.53\n", "7: 'addresses': expected a list, found '192.0.2.53'"),
        (
            "addresses:\n  - '2001:db8::53'\n  - '2001:DB8:0::53'\n",
            "9: duplicate address 2001:DB8:0::53 (first on line 8)",
        ),
    ],
)
def test_invalid_addresses(write: Write, rest: str, expected: str) -> None:
    path = write("clips", "suffix: clips.example, role: exclusive", rest=rest)
    with pytest.raises(ConfigError) as caught:
        load_signatures([path], Path())
    (problem,) = caught.value.problems
    assert f"{path}:{expected}" in str(problem)


def test_an_address_belongs_to_one_app(write: Write) -> None:
    for app in ("clips", "other"):
        write(app, f"suffix: {app}.example, role: exclusive", rest="addresses: [192.0.2.53]\n")
    with pytest.raises(ConfigError, match=r"duplicate address 192\.0\.2\.53, also of app 'clips'"):
        load_signatures(["mine"], write("last", "suffix: last.example, role: exclusive").parents[1])


def test_a_later_layer_overrides_an_address(write: Write, tmp_path: Path) -> None:
    rest = "addresses: [192.0.2.53, 192.0.2.54]\n"
    write("clips", "suffix: clips.example, role: exclusive", folder="below", rest=rest)
    rest = "addresses: [192.0.2.53]\n"
    write("other", "suffix: other.example, role: exclusive", folder="above", rest=rest)
    rest = "addresses: [192.0.2.55]\n"
    write("clips", "host: www.clips.example, role: exclusive", folder="above", rest=rest)
    catalog = load_signatures(["below", "above"], tmp_path)
    apps = catalog.apps_by_address()
    owners = {n: apps.get(packed(f"192.0.2.{n}")) for n in (53, 54, 55)}
    assert {n: app and app.id for n, app in owners.items()} == {
        53: "other",
        54: "clips",
        55: "clips",
    }


# what is shipped


def test_shipped_apps_of_the_four_categories(shipped_catalog: Catalog) -> None:
    found = {app.id for app in shipped_catalog.apps().values() if app.category in BYPASS_CATEGORIES}
    assert found == HIDING
    assert {app.category for app in shipped_catalog.apps().values()} >= set(BYPASS_CATEGORIES)


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("dns.google", "encrypted-dns"),
        ("mozilla.cloudflare-dns.com", "encrypted-dns"),
        ("abc123.dns.nextdns.io", "encrypted-dns"),
        ("common.dot.dns.yandex.net", "encrypted-dns"),
        ("mask-h2.icloud.com", "relay"),
        ("api.nordvpn.com", "vpn"),
        ("bridges.torproject.org", "tor"),
    ],
)
def test_names_of_the_four_categories(shipped_catalog: Catalog, name: str, category: str) -> None:
    match = shipped_catalog.match(name)
    assert match
    assert (match.app.category, match.role) == (category, "exclusive")


@pytest.mark.parametrize(
    "name", ["www.google.com", "icloud.com", "proton.me", "cloudflare-ech.com", "cloudflare.com"]
)
def test_names_that_hide_nothing(shipped_catalog: Catalog, name: str) -> None:
    assert shipped_catalog.match(name) is None


def test_a_canary_is_not_use_of_the_relay(shipped_catalog: Catalog) -> None:
    match = shipped_catalog.match("mask-canary.icloud.com")
    assert match
    assert match.role == "embed"


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "9.9.9.9", "2001:4860:4860::8888"])
def test_addresses_of_resolvers(shipped_catalog: Catalog, address: str) -> None:
    app = shipped_catalog.apps_by_address().get(packed(address))
    assert app
    assert app.category == "encrypted-dns"


# bans

WRITTEN = "id: a\nauthority: b\napps: [tiktok]\n"


@pytest.mark.parametrize(
    ("line", "covered"),
    [("", set()), ("bypass: count\n", set()), ("bypass: alert\n", HIDING)],
)
def test_a_ban_covers_bypass_apps_only_with_bypass_alert(
    shipped_catalog: Catalog, line: str, covered: set[str]
) -> None:
    for text in (WRITTEN, "pack: be-fed-tiktok-2023\n"):
        found, problems = ban(text + line, shipped_catalog)
        assert problems == []
        assert found
        assert (found.apps, found.bypass) == ({"tiktok"}, covered)
        assert [app in found.apps | found.bypass for app in ("tiktok", "tor", "wechat")] == [
            True,
            bool(covered),
            False,
        ]


def test_no_shipped_pack_covers_bypass_apps_by_default(shipped_catalog: Catalog) -> None:
    assert load_pack("default", shipped_catalog).ban.bypass == frozenset()


@pytest.mark.parametrize("text", [WRITTEN, "pack: default\n"])
def test_invalid_values_of_bypass(shipped_catalog: Catalog, text: str) -> None:
    _, problems = ban(f"{text}bypass: forbid\n", shipped_catalog)
    line = text.count("\n") + 1
    expected = "'bypass': expected one of count, alert, found 'forbid'"
    assert [(each.line, each.message) for each in problems] == [(line, expected)]


def test_bypass_alert_without_bypass_apps(write: Write) -> None:
    catalog = load_signatures([write("clips", "suffix: clips.example, role: exclusive")], Path())
    text = "id: a\nauthority: b\napps: [clips]\nbypass: alert\n"
    found, (problem,) = ban(text, catalog)
    assert found is None
    assert problem.line == 4
    assert "expected an app of category encrypted-dns, vpn, relay or tor" in problem.message
