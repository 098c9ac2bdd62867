"""Who may say who somebody is: the proxy and the provider of the console."""

from pathlib import Path

import pytest

from netwatch.config import load_console
from netwatch.config.console_section import CHANGEABLE_CLAIMS, ProxyOptions, wide_addresses
from netwatch.core.errors import ConfigError


def proxy(folder: Path, addresses: str) -> ProxyOptions:
    path = folder / "netwatch.yaml"
    path.write_text(
        f"version: 1\nconsole:\n  proxy: {{addresses: [{addresses}], roles: {{a: admin}}}}\n"
    )
    options = load_console(str(path))
    assert options is not None
    assert options.proxy is not None
    return options.proxy


@pytest.mark.parametrize(
    "addresses",
    [
        "0.0.0.0/0",
        '"::/0"',
        "192.0.2.10, 0.0.0.0/0",
        "0.0.0.0/1, 128.0.0.0/1",
        '"8000::/1", "::/2", 192.0.2.10, "4000::/2"',
        "64.0.0.0/2, 0.0.0.0/2, 128.0.0.0/1",
    ],
)
def test_everybody_is_no_proxy(tmp_path: Path, addresses: str) -> None:
    with pytest.raises(ConfigError) as caught:
        proxy(tmp_path, addresses)
    (problem,) = caught.value.problems
    assert problem.line == 3
    assert "whoever reaches the console could sign in as anybody" in problem.message


@pytest.mark.parametrize(
    ("addresses", "wide"),
    [
        ('192.0.2.10, "2001:db8::1", 127.0.0.1, "::1"', ""),
        ('10.1.0.0/16, "fd00:1:2::/48", 203.0.112.0/24, "2a00:1:2:3::/64"', ""),
        ("128.0.0.0/1", "128.0.0.0/1"),
        ("9.0.0.0/8, 192.0.2.10", "9.0.0.0/8"),
        ("9.9.0.0/16", "9.9.0.0/16"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ('"2a00:1:2::/48"', "2a00:1:2::/48"),
        ('"fc00::/7"', "fc00::/7"),
    ],
)
def test_ranges_with_others_in_them_are_wide(tmp_path: Path, addresses: str, wide: str) -> None:
    assert ", ".join(map(str, wide_addresses(proxy(tmp_path, addresses)))) == wide


@pytest.mark.parametrize("claim", [*sorted(CHANGEABLE_CLAIMS), "login"])
def test_a_claim_that_people_change_gives_no_role(tmp_path: Path, claim: str) -> None:
    path = tmp_path / "netwatch.yaml"
    path.write_text(
        "version: 1\nconsole:\n  oidc:\n    {issuer: 'https://id.example', client_id: netwatch,"
        f" name_claim: login, roles: {{maria: admin}}, role_claim: {claim}}}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_console(str(path))
    (problem,) = caught.value.problems
    assert f"like groups, found '{claim}'" in problem.message
    assert "whoever takes such a name would have its role" in problem.message
