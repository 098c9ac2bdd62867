"""What speaks against a record, in plain words for the person concerned."""

from collections.abc import Iterator

from netwatch.language.language import Language


def contradictions(language: Language) -> Iterator[tuple[str, str]]:
    """What was seen that speaks against the record, by the codes of refutations."""
    say = language.say
    yield (
        "mac-not-bound",
        say(
            "Some of the messages did not come from the network card of the device as it is"
            " registered: another machine may have sent them under its address."
        ),
    )
    yield (
        "address-claimed-twice",
        say(
            "Two machines said at that time that the network address was theirs: the messages may"
            " be those of the other one."
        ),
    )
    yield (
        "two-names",
        say(
            "A connection of the device showed two names of servers: another machine may have"
            " added one of them."
        ),
    )
    yield (
        "overlap",
        say(
            "Parts of a connection of the device were seen twice with different content: another"
            " machine may have added one of them."
        ),
    )
    for each in ("sensor-network", "sensor-device"):
        yield (
            each,
            say("The device that recorded this may not have been connected to this network."),
        )
