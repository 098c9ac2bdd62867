"""Consoles over a copy of the store of the sample captures."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from argon2 import PasswordHasher
from support.consoles import NAMES, Visitor, copied, make_sample_store
from support.paths import PCAPS

from netwatch.config import Config, load
from netwatch.config.console_section import ConsoleOptions
from netwatch.console import accounts, application, pages
from netwatch.console.console import Console


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> Iterator[None]:
    """Hash passwords with little work, which tests do hundreds of times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounts, "hasher", partial(PasswordHasher, 1, 1024, 1))
        yield


# Not for the session: tests of other folders in the same process must find the real values.
@pytest.fixture(autouse=True, scope="module")
def brief_events() -> Iterator[None]:
    """End streams of events after the first: clients of tests wait for the end of an answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "STREAM_SECONDS", 0.0)
        patch.setattr(application, "INTERVAL", 0.01)
        yield


@pytest.fixture(autouse=True, scope="module")
def patient_pages() -> Iterator[None]:
    """Let pages take longer than people would wait, which they do on a busy machine. The tests of
    these limits set their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(application, "ANSWER_SECONDS", 120.0)
        for each in pkgutil.iter_modules(pages.__path__, f"{pages.__name__}."):
            module = importlib.import_module(each.name)
            if hasattr(module, "QUERY_SECONDS"):
                patch.setattr(module, "QUERY_SECONDS", 60.0)
        yield


@pytest.fixture(scope="session")
def sample_config() -> Config:
    return load(str(PCAPS / "netwatch.yaml"))


@pytest.fixture(scope="session")
def sample_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_sample_store(tmp_path_factory.mktemp("sample")).path)


MakeConsole = Callable[[ConsoleOptions], Console]


@pytest.fixture
def make_console(
    sample_config: Config, sample_store: Path, tmp_path: Path
) -> Iterator[MakeConsole]:
    made: list[Console] = []
    options = copied(sample_store, tmp_path)

    def make(console_options: ConsoleOptions) -> Console:
        made.append(Console(sample_config, options, console_options))
        return made[-1]

    yield make
    for console in made:
        console.close()


@pytest.fixture
def console(make_console: MakeConsole) -> Console:
    return make_console(ConsoleOptions())


@pytest.fixture
def visit(console: Console) -> Callable[[str], Visitor]:
    """A visitor who has signed in with a role."""

    def signed_in(role: str) -> Visitor:
        visitor = Visitor(console)
        assert visitor.sign_in(NAMES[role]).status_code == 303
        return visitor

    return signed_in


@pytest.fixture
def incident(visit: Callable[[str], Visitor]) -> str:
    """The id of an incident."""
    text = visit("analyst").get("/incidents").text
    found = re.search(r'href="/incidents/([0-9a-f]{32})"', text)
    assert found is not None
    return found[1]
