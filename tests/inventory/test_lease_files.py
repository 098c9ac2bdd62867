"""Lease files of DHCP servers: who had an address, and when."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.addresses import parse_ip, parse_mac
from netwatch.core.user_yaml import Problems
from netwatch.inventory import lease_files
from netwatch.inventory.lease_files import FORMATS, LeaseFile, read_leases
from netwatch.inventory.lease_table import NEVER, LeaseTable

HOUR = 3600 * 10**9
ONE, TWO = "02:00:00:00:00:01", "02:00:00:00:00:02"


def at(clock: str) -> int:
    """A time on 20 March 2023 (UTC) in ns."""
    hour, minute = map(int, clock.split(":"))
    return int(datetime(2023, 3, 20, hour, minute, tzinfo=UTC).timestamp()) * 10**9


def seconds(clock: str) -> int:
    return at(clock) // 10**9


def read(text: str, tmp_path: Path, **options: object) -> tuple[LeaseTable, list[str]]:
    path = tmp_path / "leases"
    path.write_text(text)
    problems = Problems()
    leases = read_leases(LeaseFile(path, **options), problems)  # type: ignore[arg-type]
    return LeaseTable(leases), [str(each).removeprefix(f"{path}:") for each in problems.found]


def who(table: LeaseTable, ip: str, clock: str, frame: str = "") -> str | None:
    """The id and name of the device that had an address."""
    packed = parse_ip(ip)
    assert packed is not None
    binding = table.binding_at(packed, parse_mac(frame) if frame else None, at(clock))
    if binding is None:
        return None
    return binding.ambiguity or f"{binding.id} {binding.hostname}"


def declared(mac: str, starts: str, ends: str, state: str = "active", name: str = "pc") -> str:
    return (
        "lease 10.0.0.5 {\n"
        f"  starts 1 2023/03/20 {starts}:00;\n  ends 1 2023/03/20 {ends}:00;\n"
        f"  cltt 1 2023/03/20 {starts}:00;\n  binding state {state};\n"
        f"  next binding state free;\n  hardware ethernet {mac};\n"
        f'  uid "\\001\\002;}}\\000";\n  set vendor = "a }} b; #";\n'
        f'  client-hostname "{name}";\n}}\n'
    )


HEAD = (
    "# The format of this file is documented in the dhcpd.leases(5) manual page.\n"
    'authoring-byte-order little-endian;\n\nserver-duid "\\000\\001{";\n'
    'failover peer "x" state {\n  my state normal at 1 2023/03/20 08:00:00;\n}\n'
)


def test_dhcpd_a_lease_counts_from_its_start_to_its_end(tmp_path: Path) -> None:
    table, mistakes = read(HEAD + declared(ONE, "09:00", "10:00"), tmp_path)
    assert mistakes == []
    found = [who(table, "10.0.0.5", clock) for clock in ("08:59", "09:00", "09:59", "10:00")]
    assert found == [None, f"{ONE} pc", f"{ONE} pc", None]
    binding = table.binding_at(parse_ip("10.0.0.5"), None, at("09:30"))  # type: ignore[arg-type]
    assert binding is not None
    assert binding.period is not None
    period = binding.period
    assert (period.source, period.since, period.until) == ("dhcpd", at("09:00"), at("10:00"))


def test_dhcpd_declarations_repeated_over_time(tmp_path: Path) -> None:
    """Renewed twice, released early, leased to another, which it loses to a third when that is
    leased the same address; in between nobody has it."""
    text = HEAD + "".join(
        [
            declared(ONE, "09:00", "10:00"),
            declared(ONE, "09:30", "10:30", name=""),
            declared(ONE, "10:00", "11:00"),
            declared(ONE, "10:00", "10:20", "free"),
            declared(TWO, "12:00", "13:00", name="other"),
            declared(ONE, "12:30", "13:30"),
            declared(ONE, "14:00", "15:00"),
            declared(ONE, "14:10", "14:10", "abandoned"),
        ]
    )
    table, mistakes = read(text, tmp_path)
    assert mistakes == []
    clocks = ["09:00", "10:19", "10:20", "11:59", "12:00", "12:29", "12:30", "13:29", "13:30"]
    found = [who(table, "10.0.0.5", clock) for clock in clocks]
    mine, other = f"{ONE} pc", f"{TWO} other"
    assert found == [mine, mine, None, None, other, other, mine, mine, None]
    assert [who(table, "10.0.0.5", clock) for clock in ("14:09", "14:10")] == [mine, None]


def test_dhcpd_a_lease_that_is_free_now_was_held_until_its_end(tmp_path: Path) -> None:
    table, _ = read(declared(ONE, "09:00", "10:00", "free"), tmp_path)
    assert who(table, "10.0.0.5", "09:30") == f"{ONE} pc"
    assert who(table, "10.0.0.5", "10:30") is None


def test_dhcpd_other_times(tmp_path: Path) -> None:
    text = declared(ONE, "09:00", "10:00")
    text = text.replace("starts 1 2023/03/20 09:00:00", f"starts epoch {seconds('09:00')}")
    text = text.replace("ends 1 2023/03/20 10:00:00", "ends never")
    table, mistakes = read(text, tmp_path)
    assert mistakes == []
    assert [who(table, "10.0.0.5", c) for c in ("08:59", "23:59")] == [None, f"{ONE} pc"]


def test_dhcpd_ipv6(tmp_path: Path) -> None:
    duid = r"\001\000\000\000" + r"\000\001\000\001\052\003\004\005\002\000\000\000\000\001"
    text = (
        f'ia-na "{duid}" {{\n  cltt 1 2023/03/20 09:00:00;\n  iaaddr 2001:db8::5 {{\n'
        "    binding state active;\n    preferred-life 3600;\n    max-life 7200;\n"
        "    ends 1 2023/03/20 11:00:00;\n  }\n  iaaddr 2001:db8::6 {\n"
        "    binding state active;\n    ends 1 2023/03/20 10:00:00;\n  }\n}\n"
    )
    table, mistakes = read(text, tmp_path)
    assert mistakes == []
    assert who(table, "2001:db8::5", "10:30") == f"{ONE} None"
    assert who(table, "2001:db8::6", "08:59") is None
    assert who(table, "2001:db8::6", "09:30") == f"{ONE} None"


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (("lease 10.0.0.5", "lease 10.0.0"), 1, "'lease': expected an IP address, found '10.0.0'"),
        (("ends 1 2023", "ends 1 23"), 3, "'ends': expected a time like '4 2023/03/20 09:00:00'"),
        ((ONE, "02:00"), 7, "'hardware ethernet': expected a MAC address like 02:00:00:00:00:01"),
    ],
)
def test_dhcpd_mistakes_have_a_line(
    tmp_path: Path, change: tuple[str, str], line: int, message: str
) -> None:
    text = declared(ONE, "09:00", "10:00").replace(*change)
    _, (mistake,) = read(text + declared(TWO, "11:00", "12:00"), tmp_path)
    assert mistake.startswith(f"{line}: {message}")


KEA4 = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state"
KEA6 = (
    "address,duid,valid_lifetime,expire,subnet_id,pref_lifetime,lease_type,iaid,prefix_len,"
    "fqdn_fwd,fqdn_rev,hostname,hwaddr,state,user_context,hwtype,hwaddr_source"
)


def kea(
    mac: str, lifetime: int, expire: str, name: str = "PC.corp.example.", state: int = 0
) -> str:
    return f"10.0.0.5,{mac},,{lifetime},{seconds(expire)},1,0,0,{name},{state}\n"


def test_kea_a_lease_begins_its_lifetime_before_it_expires(tmp_path: Path) -> None:
    text = f"{KEA4}\n" + "".join(
        [
            kea(ONE, 3600, "10:00"),
            kea(ONE, 3600, "10:30"),
            kea(TWO, 3600, "12:00", "a&#x2cb"),
            kea(TWO, 3600, "12:30"),
            kea(TWO, 0, "11:30"),  # deleted, it is not said when
            kea(ONE, 7200, "14:00"),
            kea(ONE, 3600, "14:00", state=1),  # declined
        ]
    )
    table, mistakes = read(text, tmp_path)
    assert mistakes == []
    clocks = ["08:59", "09:00", "10:29", "10:30", "11:00", "11:59", "12:00", "12:59", "13:00"]
    one, two = f"{ONE} pc.corp.example", f"{TWO} pc.corp.example"
    expected = [None, one, one, None, two, two, one, one, None]
    assert [who(table, "10.0.0.5", clock) for clock in clocks] == expected


def test_kea_a_lease_file_begins_in_those_of_the_cleanup(tmp_path: Path) -> None:
    def write(end: str, *rows: str) -> None:
        (tmp_path / f"leases{end}").write_text(f"{KEA4}\n{''.join(rows)}")

    write(".2", kea(ONE, 7200, "10:00"))
    write(".1", kea(ONE, 7200, "11:00"), kea(TWO, 3600, "12:00"))
    table, mistakes = read(f"{KEA4}\n{kea(TWO, 3600, '12:30')}", tmp_path)
    assert mistakes == []
    one, two = f"{ONE} pc.corp.example", f"{TWO} pc.corp.example"
    clocks = ["07:59", "08:00", "10:59", "11:00", "12:29", "12:30"]
    assert [who(table, "10.0.0.5", clock) for clock in clocks] == [None, one, one, two, two, None]
    (first, second) = table.leases_of(parse_ip("10.0.0.5") or b"")
    assert (first.file, first.line) == (f"{tmp_path / 'leases'}.1", 2)
    assert (second.file, second.line) == (str(tmp_path / "leases"), 2)
    # A cleanup that has ended takes the place of both.
    write(".completed", kea(ONE, 3600, "09:00"))
    table, _ = read(f"{KEA4}\n", tmp_path)
    assert [who(table, "10.0.0.5", clock) for clock in ("08:30", "10:00")] == [one, None]
    (tmp_path / "leases.completed").write_text(f"{KEA4}\nx\n")
    path = tmp_path / "leases"
    problems = Problems()
    read_leases(LeaseFile(path), problems)
    assert [str(each) for each in problems.found] == [
        f"{path}.completed:2: 'address': expected an IP address, found 'x'"
    ]


def test_kea_ipv6_and_prefixes(tmp_path: Path) -> None:
    duid = "00:03:00:01:" + ONE
    rows = [
        f"2001:db8::5,{duid},3600,{seconds('10:00')},1,1800,0,1,128,0,0,six,,0,,,",
        f"2001:db8::6,00:04:aa,3600,{seconds('10:00')},1,1800,0,1,128,0,0,,{TWO},0,,1,2",
        f"2001:db8:1::,{duid},3600,{seconds('10:00')},1,1800,2,1,48,0,0,,,0,,,",
    ]
    table, mistakes = read("\n".join([KEA6, *rows, ""]), tmp_path)
    assert mistakes == []
    assert len(table) == 2
    assert who(table, "2001:db8::5", "09:30") == f"{ONE} six"
    assert who(table, "2001:db8::6", "09:30") == f"{TWO} None"


def test_kea_mistakes_have_a_line(tmp_path: Path) -> None:
    text = f"{KEA4}\n{kea(ONE, 1, '10:00')}x,,,1,1,,,,,\n10.0.0.1,,,y,1,,,,,\n"
    _, mistakes = read(text, tmp_path)
    assert mistakes == [
        "3: 'address': expected an IP address, found 'x'",
        "4: 'valid_lifetime': expected a number, found 'y'",
    ]
    _, mistakes = read("address,hwaddr,hostname\n", tmp_path)
    assert mistakes == [
        "1: expected columns of address, valid_lifetime, expire, found no valid_lifetime, expire"
    ]


def test_dnsmasq_a_lease_begins_the_lease_time_before_it_expires(tmp_path: Path) -> None:
    duid = "00:01:00:01:2a:03:04:05:" + TWO
    text = (
        f"{seconds('12:00')} {ONE} 10.0.0.5 pc 01:{ONE}\n0 {TWO} 10.0.0.6 * *\n"
        f"duid 00:01:00:01:aa\n{seconds('12:00')} 123 2001:db8::5 six {duid}\n"
    )
    table, mistakes = read(text, tmp_path)
    assert mistakes == []
    assert [who(table, "10.0.0.5", c) for c in ("10:59", "11:00")] == [None, f"{ONE} pc"]
    assert who(table, "10.0.0.6", "00:00") == f"{TWO} None"
    assert who(table, "2001:db8::5", "11:30") == f"{TWO} six"
    table, _ = read(text, tmp_path, lease_time=12 * HOUR)
    assert [who(table, "10.0.0.5", c) for c in ("00:00", "12:00")] == [f"{ONE} pc", None]
    period = table.binding_at(parse_ip("10.0.0.6"), None, 0).period  # type: ignore[arg-type,union-attr]
    assert period is not None
    assert (period.source, period.since, period.until) == ("dnsmasq", None, None)


def test_dnsmasq_mistakes_have_a_line(tmp_path: Path) -> None:
    text = f"1 {ONE} 10.0.0.5 pc *\n1 {ONE} 10.0.0.5 pc\nx {ONE} 10.0.0.5 pc *\n1 {ONE} x pc *\n"
    _, mistakes = read(text, tmp_path)
    assert [mistake.split(":")[0] for mistake in mistakes] == ["2", "3", "4"]


def test_two_servers_that_lease_one_address_at_a_time(tmp_path: Path) -> None:
    first, _ = read(declared(ONE, "09:00", "11:00"), tmp_path)
    path = tmp_path / "kea"
    path.write_text(f"{KEA4}\n{kea(TWO, 3600, '11:00')}")
    problems = Problems()
    leases = read_leases(LeaseFile(tmp_path / "leases"), problems)
    table = LeaseTable([*leases, *read_leases(LeaseFile(path), problems)])
    assert who(first, "10.0.0.5", "10:30") == f"{ONE} pc"
    assert who(table, "10.0.0.5", "09:30") == f"{ONE} pc"
    assert who(table, "10.0.0.5", "10:30") == "address"


def test_a_frame_of_another_client_is_not_the_device(tmp_path: Path) -> None:
    text = declared(ONE, "09:00", "10:00")
    text += declared(TWO, "09:00", "09:30").replace("10.0.0.5", "10.0.0.6")
    table, _ = read(text, tmp_path)
    assert who(table, "10.0.0.5", "09:10", TWO) == "frame"
    assert who(table, "10.0.0.5", "09:40", TWO) == f"{ONE} pc"  # it has no lease any more
    assert who(table, "10.0.0.5", "09:10", "02:00:00:00:00:99") == f"{ONE} pc"  # a router


HEADS = {"dhcpd": HEAD, "kea": f"{KEA4}\n", "dnsmasq": ""}
DECLARATIONS = {
    "dhcpd": declared(ONE, "09:00", "10:00"),
    "kea": kea(ONE, 3600, "10:00"),
    "dnsmasq": f"{seconds('12:00')} {ONE} 10.0.0.5 pc *\n",
}


def test_every_format_has_an_example() -> None:
    assert set(HEADS) == set(DECLARATIONS) == set(FORMATS)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_is_being_written(tmp_path: Path, name: str) -> None:
    """Wherever it ends, what is complete counts, and what is cut off is no mistake."""
    text = HEADS[name] + 3 * DECLARATIONS[name]
    for end in range(len(text) - 2 * len(DECLARATIONS[name]), len(text)):
        table, mistakes = read(text[:end], tmp_path, format=name)
        assert (len(table), mistakes) == (1, [])


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing yet\n"])
def test_a_file_without_leases(tmp_path: Path, text: str) -> None:
    for format_ in (None, *FORMATS) if not text.strip() else (None, "dhcpd"):
        table, mistakes = read(text, tmp_path, format=format_)
        assert (len(table), mistakes) == (0, [])


def test_another_file_is_a_mistake(tmp_path: Path) -> None:
    _, mistakes = read("id,mac,ip\n", tmp_path)
    expected = "expected a lease file of dhcpd, kea, dnsmasq; name its 'format' if it is one"
    assert mistakes == [f"1: {expected}"]
    problems = Problems()
    assert read_leases(LeaseFile(tmp_path / "none"), problems) == []
    (problem,) = problems.found
    assert str(problem).endswith("none: the lease file cannot be read: No such file or directory")


def test_leases_and_mistakes_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, mistakes = read(f"{KEA4}\n" + "x\n" * 1000, tmp_path)
    assert len(mistakes) == lease_files.MAX_MISTAKES + 1
    assert mistakes[-1] == "21: too many mistakes: the rest is not read"
    monkeypatch.setattr(lease_files, "LEASE_LIMIT", 2)
    rows = "".join(kea(ONE, 60, "10:00").replace("10.0.0.5", f"10.0.0.{n}") for n in range(9))
    _, mistakes = read(f"{KEA4}\n{rows}", tmp_path)
    assert mistakes == ["4: expected at most 2 leases, found more"]


@given(
    name=st.sampled_from(sorted(FORMATS)),
    cut=st.integers(0, 600),
    junk=st.text(alphabet='ab;{}"\\ \n#,:0123\x00\u2028', max_size=60) | st.text(max_size=20),
)
def test_any_text_is_leases_or_mistakes(name: str, cut: int, junk: str) -> None:
    text = HEADS[name] + DECLARATIONS[name]
    mixed = text[:cut] + junk + text[cut:]
    recorded = FORMATS[name].read(mixed, LeaseFile(Path("x")))
    for item in recorded:
        assert item.line >= 1
        if isinstance(item, tuple):
            assert len(item.ip) in (4, 16)
            assert 0 <= item.since <= NEVER
            assert 0 <= item.until <= NEVER
