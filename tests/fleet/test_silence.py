from hypothesis import given
from hypothesis import strategies as st

from netwatch.fleet.silence import PAUSE_LIMIT, Change, Known, Silences

NS = 1_000_000_000
DAY = 1_700_000_000
LIMIT = 30.0


class Clock:
    """A centre that looks once a second, and its clocks: monotonic from 1000 s on, and wall."""

    def __init__(self, limit: float = LIMIT) -> None:
        self.now = 1000.0
        self.silences = Silences(self.now, limit)
        self.changes: list[Change] = []

    @property
    def at(self) -> int:
        return DAY * NS + round(self.now * NS)

    def heard(self, sensor: str = "a", *, goodbye: bool = False) -> Change | None:
        change = self.silences.heard(sensor, self.now, self.at, goodbye=goodbye)
        if change is not None:
            self.changes.append(change)
        return change

    def wait(self, seconds: float, *, sending: str = "") -> None:
        """Let time pass, in which `sending` sends every 5 s."""
        for second in range(round(seconds)):
            self.now += 1
            if sending and second % 5 == 0:
                self.heard(sending)
            self.changes += self.silences.look(self.now, self.at)

    def told(self) -> list[tuple[str, str]]:
        changes, self.changes = self.changes, []
        return [(each.sensor, each.state) for each in changes]


def test_a_sensor_that_sends_nothing_is_silent_once_and_back_once() -> None:
    clock = Clock()
    clock.heard()
    last = clock.at
    clock.wait(LIMIT)
    assert clock.told() == [("a", "present")]
    clock.wait(500)
    assert clock.changes == [Change("a", "silent", last, last + 31 * NS)]
    assert clock.told() == [("a", "silent")]
    assert list(clock.silences.silent()) == [("a", last)]
    change = clock.heard()
    assert change == Change("a", "present", last, clock.at, closes=True)
    clock.told()
    clock.wait(500, sending="a")
    assert clock.told() == []
    assert not list(clock.silences.silent())


def test_a_sensor_that_says_goodbye_has_stopped_and_is_not_silent() -> None:
    clock = Clock()
    clock.heard()
    clock.heard(goodbye=True)
    clock.wait(1000)
    assert clock.told() == [("a", "present"), ("a", "stopped")]
    clock.heard()
    clock.wait(100)
    assert clock.told() == [("a", "present"), ("a", "silent")]
    # A goodbye that is found late ends the silence, too.
    change = clock.heard(goodbye=True)
    assert change is not None
    assert (change.state, change.closes) == ("stopped", True)


def test_the_start_of_the_centre_is_no_silence() -> None:
    clock = Clock()
    old = (DAY - 86_400) * NS
    known = {
        "a": Known(old),
        "silent": Known(old, silent_since=old),
        "gone": Known(old, stopped=True),
        "new": Known(),
    }
    clock.silences.restore(known)
    clock.wait(LIMIT)
    # What was silent before is not reported once more.
    assert clock.told() == []
    clock.wait(5)
    assert clock.changes == [Change("a", "silent", old, clock.at - 4 * NS)]
    assert clock.silences.states() == {
        "a": "silent", "silent": "silent", "gone": "stopped", "new": "unheard"
    }  # fmt: skip
    change = clock.heard("silent")
    assert change is not None
    assert (change.closes, change.since) == (True, old)


def test_a_centre_that_could_not_listen_blames_nobody() -> None:
    clock = Clock()
    clock.heard()
    clock.told()
    # Its process was suspended for a day.
    clock.now += 86_400
    clock.wait(LIMIT - 5)
    assert clock.told() == []
    clock.heard()
    # Its server was away.
    for _ in range(300):
        clock.now += 1
        clock.silences.interrupted(clock.now)
        clock.changes += clock.silences.look(clock.now, clock.at)
    clock.wait(LIMIT)
    assert clock.told() == []
    clock.wait(2)
    assert clock.told() == [("a", "silent")]


def test_a_sensor_that_was_removed_is_forgotten() -> None:
    clock = Clock()
    clock.heard("a")
    clock.heard("b")
    clock.silences.restore({"b": Known()})
    clock.told()
    clock.wait(100)
    assert clock.told() == [("b", "silent")]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["wait", "heard", "goodbye", "interrupted", "pause"]),
            st.integers(0, 100),
        ),
        max_size=30,
    )
)
def test_silence_begins_and_ends_in_turn_and_only_after_listening(
    events: list[tuple[str, int]],
) -> None:
    clock = Clock(limit=20)
    is_silent = False
    quiet = 0.0
    for what, seconds in events:
        if what == "wait":
            for _ in range(seconds):
                clock.wait(1)
                quiet += 1
                assert (quiet > 20) >= any(each.state == "silent" for each in clock.changes)
                is_silent = _follow(clock, is_silent)
            continue
        if what == "pause" and seconds > PAUSE_LIMIT:
            clock.now += seconds
            clock.changes += clock.silences.look(clock.now, clock.at)
            assert not clock.changes
            quiet = 0
        elif what == "interrupted":
            clock.silences.interrupted(clock.now)
            quiet = 0
        elif what != "pause":
            clock.heard(goodbye=what == "goodbye")
            quiet = 0
        is_silent = _follow(clock, is_silent)


def _follow(clock: Clock, is_silent: bool) -> bool:
    for each in clock.changes:
        assert each.since <= each.at
        if each.state == "silent":
            assert not is_silent
            is_silent = True
        else:
            assert each.closes == is_silent
            is_silent = False
    clock.changes.clear()
    return is_silent
