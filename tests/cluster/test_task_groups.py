from netwatch.cluster.task_groups import GROUP_SECONDS, MAX_GROUP, GroupSizes


def test_the_first_tasks_come_alone() -> None:
    groups = GroupSizes(2)
    assert not groups.is_known
    assert [groups.next(pending) for pending in (1, 2, 1000)] == [1, 1, 1]


def test_a_group_takes_as_long_as_it_should() -> None:
    groups = GroupSizes(2)
    groups.took(1, 0.1)
    assert groups.is_known
    assert groups.next(10_000) == GROUP_SECONDS / 0.1


def test_long_tasks_and_the_last_ones_come_alone() -> None:
    groups = GroupSizes(4)
    groups.took(1, 3 * GROUP_SECONDS)
    assert groups.next(10_000) == 1
    groups.took(100_000, 0.0)
    assert groups.next(10_000) == MAX_GROUP
    assert [groups.next(pending) for pending in (1, 8, 9, 80)] == [1, 1, 2, 10]


def test_all_tasks_are_in_groups_that_become_smaller() -> None:
    groups, pending, sizes = GroupSizes(2), 92, []
    groups.took(4, 0.4)
    while pending:
        sizes.append(groups.next(pending))
        pending -= sizes[-1]
    assert sum(sizes) == 92
    assert sizes == sorted(sizes, reverse=True)
    assert (sizes[0], sizes[-1]) == (20, 1)


def test_what_was_longer_ago_counts_less() -> None:
    groups = GroupSizes(1)
    groups.took(10, 10.0)
    for _ in range(8):
        groups.took(10, 1.0)
    assert 15 <= groups.next(10_000) <= 20


def test_no_workers_are_as_one() -> None:
    groups = GroupSizes(0)
    groups.took(1, 0.001)
    assert groups.next(10) == 5
