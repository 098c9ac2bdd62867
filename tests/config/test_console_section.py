"""Who may say who somebody is: the proxy and the provider of the console."""

from pathlib import Path

import pytest

from netwatch.config import load, load_console
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
    assert "anyone who reaches the console could sign in as any user" in problem.message


@pytest.mark.parametrize(
    ("addresses", "wide"),
    [
        ('192.0.2.10, "2001:db8::1", 127.0.0.1, "::1"', ""),
        ('10.1.0.0/16, "fd00:1:2::/48", 203.0.112.0/24, "2a00:1:2:3::/64"', ""),
        ("128.0.0.0/1", "128.0.0.0/1"),
        ("9.0.0.0/8, 192.0.2.10", "9.0.0.0/8"),
        ("9.9.0.0/16", "9.9.0.0/16"),
        ("203.0.112.0/23", "203.0.112.0/23"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ('"2a00:1:2::/48"', "2a00:1:2::/48"),
        ('"2a00:1:2:2::/63"', "2a00:1:2:2::/63"),
        ('"fc00::/7"', "fc00::/7"),
        ('"fd00:1:2::/47"', "fd00:1:2::/47"),
    ],
)
def test_ranges_with_others_in_them_are_wide(tmp_path: Path, addresses: str, wide: str) -> None:
    assert ", ".join(map(str, wide_addresses(proxy(tmp_path, addresses)))) == wide


def problems(folder: Path, console: str) -> list[str]:
    """What is wrong with the keys of a console."""
    path = folder / "netwatch.yaml"
    path.write_text(f"version: 1\nconsole: {{{console}}}\n")
    try:
        load_console(str(path))
    except ConfigError as error:
        return [each.message for each in error.problems]
    return []


@pytest.mark.parametrize(
    ("url", "is_valid"),
    [
        ("https://netwatch.example", True),
        ("http://192.0.2.1:1/path/", True),
        ("https://netwatch.example:0", False),
        ("https://netwatch.example:99999", False),
        ("ftp://netwatch.example", False),
        ("https://", False),
        ("netwatch.example", False),
    ],
)
def test_an_address_is_one_of_http(tmp_path: Path, url: str, is_valid: bool) -> None:
    found = problems(tmp_path, f"url: '{url}'")
    assert len(found) == (not is_valid)
    assert all("expected an address like https://netwatch.example" in each for each in found)


@pytest.mark.parametrize(("idle", "is_valid"), [("9999999s", True), ("10000000s", False)])
def test_a_session_has_an_end(tmp_path: Path, idle: str, is_valid: bool) -> None:
    assert len(problems(tmp_path, f"idle: {idle}")) == (not is_valid)


def test_who_signs_people_in_gives_roles(tmp_path: Path) -> None:
    assert proxy(tmp_path, "192.0.2.10").roles == {"a": "admin"}
    (found,) = problems(tmp_path, "oidc: {issuer: 'https://id.example', client_id: netwatch}")
    assert "a mapping like {netwatch-analysts: analyst}" in found


@pytest.mark.parametrize(
    ("console", "signs_in", "hides"),
    [
        ("{}", False, False),
        ("url: 'https://a.example'", False, True),
        ("url: 'https://a.example', proxy: {addresses: [192.0.2.10]}", False, False),
        ("proxy: {addresses: [192.0.2.10], roles: {a: admin}}", True, False),
        ("url: 'http://a.example'", False, False),
    ],
)
def test_a_proxy_may_only_say_where_clients_are(
    tmp_path: Path, console: str, signs_in: bool, hides: bool
) -> None:
    path = tmp_path / "netwatch.yaml"
    path.write_text(f"version: 1\nconsole: {console if console == '{}' else f'{{{console}}}'}\n")
    options = load_console(str(path))
    assert options is not None
    assert (options.signs_in_elsewhere, options.hides_addresses) == (signs_in, hides)
    if options.proxy is not None:
        power = "sign in as any user" if signs_in else "choose the address that the audit has"
        assert options.proxy.power == power


def test_a_certificate_has_a_key_and_is_no_file_of_others(tmp_path: Path) -> None:
    for name in ("a.pem", "None"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o666)
    (found,) = problems(tmp_path, "tls: {certificate: a.pem}")
    assert "expected the path of a PEM file" in found
    (found,) = problems(tmp_path, "tls: {certificate: a.pem, key: a.key}")
    assert "a.pem is refused: users other than its owner can write to it" in found


def test_it_listens_on_this_machine_unless_told(tmp_path: Path) -> None:
    assert problems(tmp_path, "") == []
    console = load_console(str(tmp_path / "netwatch.yaml"))
    assert console is not None
    assert (console.host, console.port) == ("127.0.0.1", 8477)


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
    assert "a user who chose such a name would get its role" in problem.message


FILES = """\
version: 1
console:
  tls: {certificate: a.pem, key: a.key}
  oidc:
    issuer: "https://id.example"
    client_id: netwatch
    client_secret: {file: a.secret}
    ca_file: ca.pem
    roles: {a: admin}
"""


def test_files_of_the_console_are_there_where_it_is_checked(tmp_path: Path) -> None:
    """Others than the console, such as a scan, may not be able to see them."""
    path = tmp_path / "netwatch.yaml"
    path.write_text(FILES)
    assert load(str(path)).console == load_console(str(path))
    with pytest.raises(ConfigError) as caught:
        load(str(path), with_secrets=True)
    assert [(each.line, each.message.replace(f"{tmp_path}/", "")) for each in
            caught.value.problems] == [
        (3, "'certificate': there is no file a.pem; check the path"),
        (3, "'key': there is no file a.key; check the path"),
        (7, "'client_secret': the secret in a.secret cannot be read: No such file or directory"),
        (8, "'ca_file': there is no file ca.pem; check the path"),
    ]  # fmt: skip
    for name in ("a.pem", "a.key", "a.secret", "ca.pem"):
        (tmp_path / name).write_text("x")
    assert load(str(path), with_secrets=True).console == load_console(str(path))


def test_a_file_in_a_folder_that_is_closed_is_a_mistake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    path = tmp_path / "netwatch.yaml"
    path.write_text("version: 1\nconsole: {tls: {certificate: a.pem, key: a.key}}\n")
    monkeypatch.setattr(Path, "is_file", closed)
    with pytest.raises(ConfigError, match=r"a\.key cannot be read: Permission denied"):
        load(str(path), with_secrets=True)
