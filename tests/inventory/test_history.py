"""The rows of an inventory over time: at each moment, they say what was listed then."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from netwatch.core.addresses import parse_ip
from netwatch.core.user_yaml import Problems
from netwatch.inventory.entry_table import EntryTable
from netwatch.inventory.inventory_file import parse_inventory
from netwatch.inventory.registered import (
    MARKER,
    Changes,
    Registered,
    Row,
    carried,
    ended_after,
    inventory_text,
    last_change,
    merge,
    registered,
    row_of,
    settle,
)

SECOND = 10**9
NOON = 1_679_313_600 * SECOND  # 2023-03-20T12:00:00Z
MACS = [bytes([2, 0, 0, 0, 0, n]) for n in range(1, 5)]
PC = registered("pc", macs=MACS[:1], owner="Finance")


def read(text: str) -> EntryTable:
    problems = Problems()
    table = parse_inventory(text, "d.csv", problems)
    assert [str(each) for each in problems.found] == []
    return table


def test_a_device_that_is_gone_or_changed_has_a_row_that_ends() -> None:
    other = registered("pc", macs=MACS[:1], owner="Press")
    lab = registered("lab", macs=MACS[1:3], ips=[parse_ip("10.0.0.7") or b""])
    first, changes = merge((), [PC, lab], None)
    assert changes == Changes(("lab", "pc"), (), (), 0)
    assert [(row.since, row.until) for row in first] == [(None, None)] * 2
    second, changes = merge(first, [other, lab], NOON)
    assert changes == Changes((), ("pc",), (), 1)
    third, changes = merge(second, [lab], NOON + SECOND)
    assert (changes, changes.before, changes.after) == (Changes((), (), ("pc",), 1), 2, 1)
    assert inventory_text(third) == (
        f"{MARKER}\n"
        "id,mac,ip,hostname,owner,class,from,until\n"
        '"pc","02:00:00:00:00:01","","","Finance","","","2023-03-20T12:00:00Z"\n'
        '"lab","02:00:00:00:00:02 02:00:00:00:00:03","10.0.0.7","","","","",""\n'
        '"pc","02:00:00:00:00:01","","","Press","","2023-03-20T12:00:00Z","2023-03-20T12:00:01Z"\n'
    )
    assert last_change(third) == NOON + SECOND
    assert last_change(first) == 0
    assert [row.id for row in ended_after(third, NOON + 1)] == ["lab", "pc"]
    assert [row.id for row in carried(third)] == ["lab"]
    assert not merge(third, [lab], NOON + 2 * SECOND)[1]


NAMES = st.sampled_from(["a", "b", "#c", 'q"u,o;te', "é", "-", " d e "]) | st.text(max_size=5)
DEVICES = st.lists(
    st.builds(
        registered,
        NAMES,
        macs=st.lists(st.sampled_from(MACS), max_size=2),
        ips=st.sampled_from([(), (parse_ip("10.0.0.1"),), (parse_ip("2001:db8::1"),)]),
        hostname=NAMES,
        owner=NAMES,
        device_class=st.sampled_from([None, "service", "guest"]),
    ),
    max_size=5,
).map(lambda listed: settle([listed]).devices)


def said(table: EntryTable, time: int) -> list[Registered]:
    """What an inventory lists at a time."""
    found = [
        registered(
            entry.id,
            macs=entry.macs,
            ips=entry.ips,
            hostname=entry.hostname or "",
            owner=entry.owner or "",
            device_class=entry.device_class,
        )
        for entry in table
        if (entry.since or 0) <= time and (entry.until is None or time < entry.until)
    ]
    return sorted(found, key=lambda device: device.id)


@given(st.lists(DEVICES, min_size=1, max_size=6))
def test_at_each_moment_the_file_says_what_was_listed_then(
    states: list[Sequence[Registered]],
) -> None:
    rows: list[Row] = []
    for number, devices in enumerate(states):
        rows, _ = merge(rows, devices, NOON + number * SECOND if number else None)
        rows = [row_of(entry) for entry in read(inventory_text(rows))]
    table = read(inventory_text(rows))
    for number, devices in enumerate(states):
        expected = [
            registered(
                each.id,
                macs=each.macs,
                ips=each.ips,
                hostname=each.hostname,
                owner=each.owner,
                device_class=each.device_class,
            )
            for each in devices
        ]
        for moment in (NOON + number * SECOND, NOON + number * SECOND + SECOND - 1):
            assert said(table, moment) == expected
