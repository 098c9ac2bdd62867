"""What an incident looks like: use, contact in the background, a part of a page, a lookup."""

from collections.abc import Callable

from craft import Wire
from support.app_traffic import asked, visit, wire
from support.office import FAR
from support.situations.situation import Expected, Frames, Situation

APP, MESSAGES, PAGE = "api16-normal.tiktokv.com", "im-api.tiktokv.com", "www.tiktok.com"


def frames(build: Callable[[Wire], None]) -> Callable[[], Frames]:
    """The frames of a wire, made when they are asked for."""

    def made() -> Frames:
        on = wire()
        build(on)
        return on.frames

    return made


def in_use(on: Wire) -> None:
    for number in range(6):
        visit(on, (APP, MESSAGES)[number % 2], 30_000)
        on.wait(20)


def checking(on: Wire) -> None:
    for _ in range(4):
        visit(on, APP, 1200)
        visit(on, MESSAGES, 300)
        on.wait(900)


def embedded(on: Wire) -> None:
    for _ in range(4):
        visit(on, PAGE, 50_000)


def looked_up(on: Wire) -> None:
    asked(on, APP, ((APP, "A", 60, FAR.ip),))


SITUATIONS = (
    Situation(
        "app-in-use",
        "kind",
        "Two minutes of new connections to hosts that only the app calls, with volume both ways",
        frames(in_use),
        Expected("confirmed", "session", "reached", names=(APP, MESSAGES)),
        contact=True,
    ),
    Situation(
        "app-checks-for-messages",
        "kind",
        "Every quarter of an hour the app checks for messages",
        frames(checking),
        Expected("confirmed", "background", "reached", names=(APP, MESSAGES)),
        contact=True,
    ),
    Situation(
        "page-with-a-player",
        "kind",
        "A page loads an embedded player",
        frames(embedded),
        Expected("probable", "embed", "reached", names=(PAGE,)),
        contact=True,
    ),
    Situation(
        "name-looked-up",
        "kind",
        "A host that only the app calls is looked up, and not contacted",
        frames(looked_up),
        Expected("probable", "lookup", "attempted", names=(APP,)),
        contact=True,
    ),
)
