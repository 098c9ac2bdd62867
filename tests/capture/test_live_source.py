"""What all sources have that never end by themselves."""

from netwatch.capture import live_source as endless


def test_notes_are_the_last_ones() -> None:
    notes = endless.RecentNotes()
    for number in range(endless.MAX_NOTES + 10):
        notes.append(str(number))
    assert len(notes) == endless.MAX_NOTES
    assert (notes[0], notes[-1]) == ("10", str(endless.MAX_NOTES + 9))
